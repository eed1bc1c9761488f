"""The cuts of one class that a page shows, few enough to embed, with their exact counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._intervals import rate
from mlthresh.counts import SortedClass

__all__ = ["Curve", "round_thresholds", "thin"]

_FALSE_ALARM_RATIO = 1.1  # between neighbouring cuts with few false alarms, where steps are larger


class Curve(NamedTuple):
    """Counts at ascending thresholds, the last of them infinity.

    Each threshold is a float64 that becomes the scores' own type when it is cast to it: the
    shortest decimal that makes the cut, or a threshold that was asked for.
    """

    threshold: npt.NDArray[np.float64]
    tp: npt.NDArray[np.int64]
    fp: npt.NDArray[np.int64]


def thin(
    one_class: SortedClass, marks: FloatArray, *, ticks: Sequence[float] = (), steps: int = 100
) -> Curve:
    """Keep so many cuts of a class that a curve through them is as good as whole.

    Kept are the marks and the cuts next to them; the ticks between the lowest and the highest
    score; the cuts with the highest F1, Youden index and precision, and those next to them; and
    cuts so close that between a kept one and the next, true and false positives each change by
    at most 1 / steps of all, and few false alarms by a tenth. Of cuts that decide alike, all
    marks and ticks stay and only those.

    Parameters
    ----------
    one_class : SortedClass
        Every row of weight one.
    marks : array of shape (n_marks,)
        Thresholds to keep, in the scores' data type; infinite ones too.
    ticks : sequence of float
        Round numbers.
    steps : int
        At least 1.

    Returns
    -------
    Curve

    Examples
    --------
    >>> score = np.array([0.1, 0.3, 0.6, 0.9])
    >>> one_class = SortedClass(score, np.array([0, 1, 0, 1]))
    >>> curve = thin(one_class, np.array([0.5]), ticks=(0.25, 0.75, 2.0))
    >>> curve.threshold
    array([0.1 , 0.25, 0.5 , 0.75,  inf])
    >>> curve.tp, curve.fp
    (array([2, 2, 1, 1, 0]), array([2, 1, 1, 0, 0]))
    """
    positive, negative = one_class.positive, one_class.negative
    dtype = positive.dtype
    distinct = np.unique(positive)  # between positives, a higher threshold only spares alarms
    scores = np.unique(
        np.concatenate(
            [
                positive[_even_ranks(len(positive), steps)],
                negative[_even_ranks(len(negative), steps)],
                negative[_ranks_from_the_top(len(negative))],
                distinct[_best_and_next(one_class, distinct)],
                _next_scores(one_class, marks),
            ]
        )
    )
    value_of = dict(zip((cuts := _between(one_class, scores)).astype(dtype), cuts, strict=True))
    inside = [t for t in ticks if scores.size and scores[0] < dtype.type(t) <= scores[-1]]
    asked = {dtype.type(t): float(t) for t in inside}
    asked |= {mark: _shortest(mark) for mark in [*marks, dtype.type(np.inf)]}
    value_of |= asked

    threshold = np.array(sorted(value_of), dtype=dtype)
    tp, fp = one_class.called(one_class.ranks(threshold))
    decides = np.stack([tp, fp])
    is_asked = np.isin(threshold, list(asked))
    taken = {tuple(pair) for pair in decides[:, is_asked].T.tolist()}
    keep = is_asked | [tuple(pair) not in taken for pair in decides.T.tolist()]
    values = np.array([value_of[t] for t in threshold[keep]], dtype=np.float64)
    return Curve(values, tp[keep].astype(np.int64), fp[keep].astype(np.int64))


def round_thresholds(lowest: float, highest: float, n_points: int = 100) -> list[float]:
    """Return about so many round numbers from `lowest` to `highest`, as decimals write them.

    Examples
    --------
    >>> round_thresholds(-0.1, 0.32, 5)
    [-0.1, 0.0, 0.1, 0.2, 0.3]
    """
    span = highest - lowest
    if not np.isfinite(span) or span <= 0:
        return []
    exponent = int(np.floor(np.log10(span / n_points)))
    digit = next(d for d in (1, 2, 5, 10) if d * 10.0**exponent >= span / n_points * (1 - 1e-9))
    step = digit * 10.0**exponent
    first, last = int(np.ceil(lowest / step)), int(np.floor(highest / step))
    return [float(f"{i * digit}e{exponent}") for i in range(first, last + 1)]


def _even_ranks(n: int, steps: int) -> npt.NDArray[np.intp]:
    if n == 0:
        return np.empty(0, dtype=np.intp)
    return np.append(np.arange(steps) * n // steps, n - 1)


def _ranks_from_the_top(n: int) -> npt.NDArray[np.intp]:
    """Return the ranks that leave 0, 1, 2, ... negatives above, ever further apart."""
    above = [0]
    while above[-1] < n:
        above.append(max(above[-1] + 1, int(above[-1] * _FALSE_ALARM_RATIO)))
    return n - 1 - np.array(above[:-1], dtype=np.intp)


def _best_and_next(one_class: SortedClass, distinct: FloatArray) -> npt.NDArray[np.intp]:
    """Return the best cuts at positives' scores, first of equals, and the cuts beside them."""
    if len(distinct) == 0:
        return np.empty(0, dtype=np.intp)
    tp, fp, fn, tn = one_class.counts(distinct)
    figures = (2 * tp / (2 * tp + fp + fn), rate(tp, tp + fn) + rate(tn, tn + fp), tp / (tp + fp))
    best = np.array([np.argmax(np.nan_to_num(figure)) for figure in figures])
    around = (best[:, None] + np.arange(-1, 2)).ravel()
    return np.unique(around.clip(0, len(distinct) - 1))


def _next_scores(one_class: SortedClass, marks: FloatArray) -> FloatArray:
    """Return the scores just below and just above each mark."""
    found: list[Any] = []
    for scores in (one_class.positive, one_class.negative):
        at = scores.searchsorted(marks)
        found.append(scores[at[at < len(scores)]])
        found.append(scores[at[at > 0] - 1])
    return np.concatenate(found)


def _between(one_class: SortedClass, scores: FloatArray) -> npt.NDArray[np.float64]:
    """Return a short decimal in the gap below each score, which makes the cut at that score."""
    positive_rank, negative_rank = one_class.ranks(scores)
    ranks = zip(positive_rank.tolist(), negative_rank.tolist(), strict=True)
    below = [one_class.score_below(*pair) for pair in ranks]
    each = zip(below, scores, strict=True)
    return np.array([_decimal(lower, upper) for lower, upper in each], dtype=np.float64)


def _decimal(below: float, score: np.floating[Any]) -> float:
    """Return the number of fewest digits near the middle of the gap, its upper end included."""
    if np.isfinite(below):
        kind, middle = type(score), float(below) / 2 + float(score) / 2
        for digits in range(1, 18):
            short = float(f"{middle:.{digits}g}")
            if below < kind(short) <= score:
                return short
    return _shortest(score)


def _shortest(value: np.floating[Any]) -> float:
    """Return the shortest decimal that is this very float in its own type."""
    short = float(str(value))
    return short if type(value)(short) == value else float(value)
