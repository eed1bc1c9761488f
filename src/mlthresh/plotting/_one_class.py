"""One class out of predictions: its scores, its curve and where a threshold lies on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray, as_labels, as_scores, matched_class_names, per_class
from mlthresh._intervals import Float64Array, rate
from mlthresh.counts import SortedClass
from mlthresh.exceptions import InputError
from mlthresh.threshold_set import ThresholdSet

__all__ = ["ClassCurve", "OneClass", "class_curve", "one_class", "thinned"]

_N_CELLS = 1000


class OneClass(NamedTuple):
    """The rows whose label of the class is known, and which these are."""

    score: FloatArray
    label: npt.NDArray[Any]
    is_known: npt.NDArray[np.bool_]
    column: int
    name: str
    n_classes: int

    def threshold(self, thresholds: Any) -> tuple[np.floating[Any], int]:
        """Return the class's threshold, and how many of the rows it calls positive."""
        if isinstance(thresholds, ThresholdSet):
            if thresholds.n_classes != self.n_classes:
                raise InputError(
                    f"there are {thresholds.n_classes} thresholds for {self.n_classes} classes"
                )
            threshold = thresholds.thresholds[self.column]
        else:
            given = per_class(thresholds, self.n_classes, "thresholds")
            with np.errstate(over="ignore"):  # beyond the type's range no score is reached: inf
                threshold = given.astype(self.score.dtype)[self.column]
        called = self.score.astype(threshold.dtype, copy=False) >= threshold
        return threshold, int(np.count_nonzero(called))


def one_class(
    y_true: Any,
    y_score: Any,
    class_of_interest: str | int | None,
    class_names: Sequence[str] | None,
    thresholds: Sequence[Any] = (),
) -> OneClass:
    """Check predictions and take out one class, by its name or its column."""
    labels, label_columns = as_labels(y_true, "y_true")
    scores, score_columns = as_scores(y_score, labels.shape)
    n_classes = labels.shape[1]
    tuned = [one.class_names for one in thresholds if isinstance(one, ThresholdSet)]
    names = matched_class_names(n_classes, class_names, label_columns, score_columns, *tuned)
    c = _column(class_of_interest, names, n_classes)
    label = labels[:, c]
    is_known = (label == 0) | (label == 1)
    name = names[c] if names else f"class {c}"
    if not is_known.any():
        raise InputError(f"no label of {name!r} is known")
    return OneClass(scores[is_known, c], label[is_known], is_known, c, name, n_classes)


def _column(chosen: str | int | None, names: tuple[str, ...] | None, n_classes: int) -> int:
    if chosen is None and n_classes == 1:
        return 0
    if isinstance(chosen, str) and names is not None and chosen in names:
        return names.index(chosen)
    is_index = isinstance(chosen, int | np.integer) and not isinstance(chosen, bool)
    if is_index and -n_classes <= int(chosen or 0) < n_classes:
        return int(chosen or 0) % n_classes
    known = f"one of {list(names)} or " if names else ""
    raise InputError(
        f"class_of_interest must be {known}a column from 0 to {n_classes - 1}, got {chosen!r}"
    )


class ClassCurve(NamedTuple):
    """Counts at every distinct score, ascending, and at infinity, where nothing is called.

    A count holds from just above the score before up to and including its own.
    """

    thresholds: Float64Array
    tp: Float64Array
    fp: Float64Array
    n_positive: int
    n_negative: int

    @property
    def recall(self) -> Float64Array:
        """True positives over positives; NaN without positives."""
        return rate(self.tp, np.full(len(self.tp), self.n_positive))

    @property
    def fpr(self) -> Float64Array:
        """False positives over negatives; NaN without negatives."""
        return rate(self.fp, np.full(len(self.fp), self.n_negative))

    @property
    def precision(self) -> Float64Array:
        """True positives over alarms; NaN without alarms."""
        return rate(self.tp, self.tp + self.fp)

    @property
    def f1(self) -> Float64Array:
        """2 TP / (TP + FP + positives); NaN without positives and alarms."""
        return rate(2 * self.tp, self.tp + self.fp + self.n_positive)

    def with_alarms(self, n_alarms: int) -> int:
        """Return the index at which so many rows are called."""
        return int(np.flatnonzero(self.tp + self.fp == n_alarms)[0])

    def take(self, index: npt.NDArray[np.intp]) -> ClassCurve:
        """Return the curve at these of its thresholds."""
        return self._replace(
            thresholds=self.thresholds[index], tp=self.tp[index], fp=self.fp[index]
        )


def class_curve(one: OneClass) -> ClassCurve:
    """Count at every threshold that decides differently."""
    in_order = SortedClass(one.score, one.label)
    thresholds = np.append(np.unique(one.score), one.score.dtype.type(np.inf))
    counts = in_order.counts(thresholds)
    return ClassCurve(
        thresholds.astype(np.float64),
        counts.tp,
        counts.fp,
        len(in_order.positive),
        len(in_order.negative),
    )


def thinned(
    x: Float64Array, curves: Sequence[Float64Array], keep: Sequence[int]
) -> npt.NDArray[np.intp]:
    """Return the points of long curves that a picture can show; those of short ones all.

    The points are cut into cells, by x and by rank, and of each curve the first, last, lowest
    and highest point of every cell stay, so that a line through them covers the same pixels
    [1]_. The points themselves do not move. Those in `keep` stay too.

    Parameters
    ----------
    x : array of shape (n,)
        Ascending or descending; an infinite end counts as the neighbouring value.
    curves : arrays of shape (n,)
    keep : indices

    References
    ----------
    .. [1] U. Jugel et al., "M4: a visualization-oriented time series data aggregation",
       Proceedings of the VLDB Endowment 7(10), 2014.
    """
    n = len(x)
    if n <= 4 * _N_CELLS:
        return np.arange(n)
    rank = np.arange(n)
    finite = np.clip(x, *_finite_range(x))
    position = np.abs(finite - finite[0]) / max(np.ptp(finite), np.finfo(np.float64).tiny)
    cell = np.floor(position * _N_CELLS).astype(np.intp) + rank * _N_CELLS // n
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    ends = np.append(starts[1:], n) - 1
    kept = [starts, ends, np.array(keep, dtype=np.intp)]
    for curve in curves:
        by_height = np.lexsort((np.nan_to_num(curve), cell))
        kept += [by_height[starts], by_height[ends]]
    return np.unique(np.concatenate(kept))


def _finite_range(x: Float64Array) -> tuple[float, float]:
    finite = x[np.isfinite(x)]
    return float(finite.min()), float(finite.max())
