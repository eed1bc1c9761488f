"""Exact confusion counts of one class at any threshold."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray

__all__ = ["CountArray", "Counts", "SortedClass", "from_here_up", "sort_classes"]

CountArray: TypeAlias = npt.NDArray[np.float64]
Ranks: TypeAlias = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


class Counts(NamedTuple):
    """Weighted true and false positives and negatives, one entry a threshold."""

    tp: CountArray
    fp: CountArray
    fn: CountArray
    tn: CountArray


class SortedClass:
    """One class's scores, the positives' and the negatives' each sorted once.

    With both sorted, the counts at a threshold are two binary searches. Sorting values is
    several times cheaper than the argsort of a whole column that a precision-recall curve
    takes, and a tie is never cut: equal scores lie on one side of a threshold.

    Parameters
    ----------
    score : array of shape (n_samples,)
        Finite scores.
    label : array of shape (n_samples,)
        0, 1 or NaN; rows whose label is missing are left out.
    weight : array of shape (n_samples,), optional
        Non-negative weights; rows of weight zero are left out.

    Examples
    --------
    >>> import numpy as np
    >>> one_class = SortedClass(np.array([0.9, 0.8, 0.8, 0.1]), np.array([1, 0, 1, 0]))
    >>> counts = one_class.counts(np.array([0.8, 0.9]))
    >>> counts.tp, counts.fp
    (array([2., 1.]), array([1., 0.]))
    """

    positive: FloatArray
    negative: FloatArray
    n_positives: int
    n_negatives: int
    total: tuple[float, float]
    """The weight of all positives, and of all negatives."""
    floor: np.floating[Any]
    """Thresholds below this can't be counted: lower negatives are not listed."""
    weights: tuple[CountArray, CountArray] | None = None
    """The weight of positives and of negatives from each rank up; None where each weighs 1."""

    def __init__(
        self,
        score: FloatArray,
        label: npt.NDArray[Any],
        weight: npt.NDArray[np.float64] | None = None,
    ) -> None:
        is_positive = label == 1
        is_negative = label == 0
        if weight is None:
            self.positive = np.sort(score[is_positive])
            self.negative = np.sort(score[is_negative])
            self.total = len(self.positive), len(self.negative)
        else:
            counted = weight > 0
            self.positive, positive_weight = _sorted(score, weight, is_positive & counted)
            self.negative, negative_weight = _sorted(score, weight, is_negative & counted)
            self.weights = positive_weight, negative_weight
            self.total = float(positive_weight[0]), float(negative_weight[0])
        self.n_positives, self.n_negatives = len(self.positive), len(self.negative)
        self.floor = score.dtype.type(-np.inf)

    @classmethod
    def above(
        cls,
        floor: np.floating[Any],
        positive: FloatArray,
        negative: FloatArray,
        n_negatives: int,
    ) -> SortedClass:
        """Return a class of which only the negatives of at least `floor` are listed, sorted."""
        one_class = cls.__new__(cls)
        one_class.positive, one_class.negative = positive, negative
        one_class.total = len(positive), n_negatives
        one_class.n_positives, one_class.n_negatives = one_class.total
        one_class.floor = floor
        return one_class

    def distinct_scores(self) -> FloatArray:
        """Return every distinct score, ascending."""
        # Such a sort merges what is in order already.
        scores = np.sort(np.concatenate([self.positive, self.negative]), kind="stable")
        is_first = np.ones(len(scores), dtype=bool)
        np.not_equal(scores[1:], scores[:-1], out=is_first[1:])
        distinct: FloatArray = scores[is_first]
        return distinct

    def ranks(self, thresholds: FloatArray) -> Ranks:
        """Return how many listed positives, and how many negatives, lie below each threshold."""
        return self.positive.searchsorted(thresholds), self.negative.searchsorted(thresholds)

    def called(self, ranks: Ranks) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the weight of the positives, and of the negatives, from these ranks up."""
        if self.weights is None:
            return len(self.positive) - ranks[0], len(self.negative) - ranks[1]
        return self.weights[0][ranks[0]], self.weights[1][ranks[1]]

    def counts(self, thresholds: FloatArray) -> Counts:
        """Count at each threshold t, where a score is called positive if it is >= t."""
        tp, fp = (weight.astype(np.float64) for weight in self.called(self.ranks(thresholds)))
        positives, negatives = self.total
        return Counts(tp, fp, positives - tp, negatives - fp)

    def score_below(self, positive_rank: int, negative_rank: int) -> float:
        """Return the largest listed score below a threshold with these ranks, or -infinity."""
        # Python's own floats hold every score, and cost less than NumPy's.
        below: float = self.positive.item(positive_rank - 1) if positive_rank else -math.inf
        if negative_rank:
            below = max(below, self.negative.item(negative_rank - 1))
        return below

    def usable(self, threshold: np.floating[Any]) -> np.floating[Any]:
        """Return the lowest threshold, from this one up, that the counts are known at."""
        return threshold

    def typical(self, scores: FloatArray) -> FloatArray:
        """Return where the samples listed under these scores typically lie."""
        return scores


def sort_classes(
    scores: FloatArray, labels: npt.NDArray[Any], weight: npt.NDArray[np.float64] | None
) -> list[SortedClass]:
    """Return each column of the matrices as a `SortedClass`, for less than one by one."""
    if weight is not None:
        return [SortedClass(scores[:, c], labels[:, c], weight) for c in range(scores.shape[1])]
    # Most samples are negatives, which one call sorts; what is none ends up behind them.
    negatives = np.array(scores.T, order="C")
    by_class = np.ascontiguousarray(labels.T)
    is_positive = by_class == 1
    n_positives = n_others = np.count_nonzero(is_positive, axis=1)
    positives, is_other = negatives[is_positive], is_positive
    if labels.dtype.kind == "f":  # some may be missing
        is_other = by_class != 0
        n_others = np.count_nonzero(is_other, axis=1)
    np.copyto(negatives, np.inf, where=is_other)
    negatives.sort(axis=1)
    lowest = scores.dtype.type(-np.inf)
    start, classes = 0, []
    each = (n_positives.tolist(), (len(scores) - n_others).tolist())
    for c, (n_positives, n_negatives) in enumerate(zip(*each, strict=True)):
        positive = positives[start : start + n_positives]
        positive.sort()
        start += n_positives
        negative = negatives[c, :n_negatives]
        classes.append(SortedClass.above(lowest, positive, negative, n_negatives))
    return classes


def from_here_up(weight: CountArray) -> CountArray:
    """Return the sums from each entry to the last; one longer, ending in 0."""
    sums = np.zeros(len(weight) + 1)
    sums[:-1] = np.cumsum(weight[::-1])[::-1]
    return sums


def _sorted(
    score: FloatArray, weight: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_]
) -> tuple[FloatArray, CountArray]:
    """Sort the chosen scores; entry i of the second array is the weight of scores i and up."""
    score, weight = score[chosen], weight[chosen]
    order = np.argsort(score, kind="stable")
    return score[order], from_here_up(weight[order])
