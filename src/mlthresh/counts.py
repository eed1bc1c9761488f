"""Exact confusion counts of one class at any threshold."""

from __future__ import annotations

from functools import cached_property
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
    floor: np.floating[Any]
    """Thresholds below this can't be counted: lower negatives are not listed."""

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
            self._positive_weight = self._negative_weight = None
        else:
            counted = weight > 0
            self.positive, self._positive_weight = _sorted(score, weight, is_positive & counted)
            self.negative, self._negative_weight = _sorted(score, weight, is_negative & counted)
        self.floor = score.dtype.type(-np.inf)
        self._unlisted = 0

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
        one_class._positive_weight = one_class._negative_weight = None
        one_class.floor = floor
        one_class._unlisted = n_negatives - len(negative)
        return one_class

    @property
    def n_positives(self) -> int:
        """Number of positive samples."""
        return len(self.positive)

    @property
    def n_negatives(self) -> int:
        """Number of negative samples."""
        return len(self.negative) + self._unlisted

    def distinct_scores(self) -> FloatArray:
        """Return every distinct score, ascending."""
        return np.unique(np.concatenate([self.positive, self.negative]))

    @cached_property
    def total(self) -> tuple[float, float]:
        """The weight of all positives, and of all negatives."""
        if self._positive_weight is None or self._negative_weight is None:
            return float(self.n_positives), float(self.n_negatives)
        return float(self._positive_weight[0]), float(self._negative_weight[0])

    def called(self, thresholds: FloatArray) -> tuple[Ranks, npt.NDArray[Any], npt.NDArray[Any]]:
        """Return how many listed positives and negatives lie below, and the weight of the rest."""
        below = self.positive.searchsorted(thresholds)
        below_negative = self.negative.searchsorted(thresholds)
        below_both = below, below_negative
        if self._positive_weight is None or self._negative_weight is None:
            return below_both, len(self.positive) - below, len(self.negative) - below_negative
        return below_both, self._positive_weight[below], self._negative_weight[below_negative]

    def counts(self, thresholds: FloatArray) -> Counts:
        """Count at each threshold t, where a score is called positive if it is >= t."""
        _, hits, alarms = self.called(thresholds)
        tp, fp = hits.astype(np.float64), alarms.astype(np.float64)
        positives, negatives = self.total
        return Counts(tp, fp, positives - tp, negatives - fp)

    def score_below(self, positive_rank: int, negative_rank: int) -> np.floating[Any]:
        """Return the largest listed score below a threshold with these ranks, or -infinity."""
        below = self.positive.dtype.type(-np.inf)
        if positive_rank:
            below = self.positive[positive_rank - 1]
        if negative_rank and self.negative[negative_rank - 1] > below:
            below = self.negative[negative_rank - 1]
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
    columns, by_class = scores.T, np.ascontiguousarray(labels.T)
    positives, negatives = (_sorted_rows(columns, by_class == value) for value in (1, 0))
    lowest = scores.dtype.type(-np.inf)
    return [
        SortedClass.above(lowest, positive, negative, len(negative))
        for positive, negative in zip(positives, negatives, strict=True)
    ]


def _sorted_rows(matrix: FloatArray, chosen: npt.NDArray[np.bool_]) -> list[FloatArray]:
    """Return the chosen entries of each row, sorted."""
    stop = np.cumsum(np.count_nonzero(chosen, axis=1)).tolist()
    values = matrix[chosen]
    rows = [values[a:b] for a, b in zip([0, *stop], stop, strict=False)]
    for row in rows:
        row.sort()
    return rows


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
