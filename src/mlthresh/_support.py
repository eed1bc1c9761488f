"""The scores of all classes, each condensed to some hundred weighted points on the real line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh.counts import SortedClass

__all__ = ["LOGIT", "REAL", "Matrix", "Scale", "Support", "condense", "sigmoid"]

Matrix: TypeAlias = npt.NDArray[np.float64]

_FINENESS = 50
_SATURATED = 1e-12  # probabilities nearer to 0 or 1 are taken for this near, to be finite


@dataclass(frozen=True)
class Support:
    """Points of all classes, a row a class, ascending; short rows end in points without weight.

    Attributes
    ----------
    score : array of shape (n_classes, n_points)
        On the real line; padded with the class's highest.
    positive, negative : arrays of shape (n_classes, n_points)
        Weight of the class's positives and negatives; a row sums to the class's number of
        samples, so that only the ratios of sample weights matter.
    cuts : list of n_classes arrays
        The lowest score, as given, that each point stands for.
    thresholds : list of n_classes arrays
        As given, one that parts each point from the one below.
    unit : array of shape (n_classes,)
        Weight, as given, that one sample stands for.
    """

    score: Matrix
    positive: Matrix
    negative: Matrix
    cuts: list[FloatArray]
    thresholds: list[FloatArray]
    unit: Matrix

    @property
    def weight(self) -> Matrix:
        """The weight of each point."""
        return self.positive + self.negative


class Scale(NamedTuple):
    """Increasing functions from the given scores to the real line and back."""

    to_real: Callable[[FloatArray], Matrix]
    to_score: Callable[[Matrix], Matrix]


def _logit(score: FloatArray) -> Matrix:
    p = np.clip(score.astype(np.float64), _SATURATED, 1 - _SATURATED)
    return np.asarray(np.log(p) - np.log1p(-p))


def sigmoid(x: Matrix) -> Matrix:
    """Return 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


REAL = Scale(lambda score: score.astype(np.float64), lambda x: x)
LOGIT = Scale(_logit, sigmoid)


class _OneClass(NamedTuple):
    """The points of one class, as in `Support`, but not padded."""

    score: Matrix
    positive: Matrix
    negative: Matrix
    cuts: FloatArray
    thresholds: FloatArray
    unit: float


def condense(classes: Iterable[SortedClass], scale: Scale) -> Support:
    """Represent each class by points that grow coarser from both ends towards the middle.

    A point stands for at most 1/50 of the scores between it and the nearer end, so that the
    cost grows with the logarithm of the number of samples and a threshold stays fine where few
    samples lie beyond it. Each class is looked at once and may then be forgotten.
    """
    rows = [_condense_one(one_class, scale) for one_class in classes]
    shape = (len(rows), max(1, *(len(row.score) for row in rows)))
    score, positive, negative = np.zeros((3, *shape))
    for c, row in enumerate(rows):
        k = len(row.score)
        if k:
            score[c, :k], score[c, k:] = row.score, row.score[-1]
            positive[c, :k], negative[c, :k] = row.positive, row.negative
    cuts, thresholds = [row.cuts for row in rows], [row.thresholds for row in rows]
    unit = np.array([row.unit for row in rows])
    return Support(score, positive, negative, cuts, thresholds, unit)


def _condense_one(one_class: SortedClass, scale: Scale) -> _OneClass:
    distinct = one_class.distinct_scores()
    if len(distinct) == 0:
        none = np.empty(0)
        return _OneClass(none, none, none, distinct, distinct, 1.0)
    start = _starts(len(distinct))
    stop = np.append(start[1:], len(distinct))
    typical = scale.to_real(one_class.typical(distinct[(start + stop - 1) // 2]))
    cuts, below = distinct[start], distinct[start - 1]
    middle = scale.to_score(scale.to_real(below) / 2 + scale.to_real(cuts) / 2)
    middle = middle.astype(distinct.dtype)
    # Rounding may leave the gap, neighbouring floats have no number between them, and the
    # first has none below: index -1 is the last.
    thresholds = np.where((below < middle) & (middle < cuts), middle, cuts)
    tp, fp, _, _ = one_class.counts(cuts)
    unit = sum(one_class.total) / (one_class.n_positives + one_class.n_negatives)
    # Running sums of weights leave rounding errors where there is no weight.
    positive, negative = (np.maximum(-np.diff(x, append=0) / unit, 0) for x in (tp, fp))
    return _OneClass(typical, positive, negative, cuts, thresholds, unit)


def _starts(n_scores: int) -> npt.NDArray[np.intp]:
    """Return the rank of the lowest score of each point."""
    half = [0]
    while half[-1] < (n_scores + 1) // 2:
        half.append(half[-1] + max(1, half[-1] // _FINENESS))
    low = np.array(half[:-1])
    return np.unique(np.concatenate([low, n_scores - 1 - low]))
