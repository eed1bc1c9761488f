"""Exact confusion counts of one class at any threshold."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray

__all__ = ["CountArray", "Counts", "SortedClass", "from_here_up"]

CountArray: TypeAlias = npt.NDArray[np.float64]


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
        one_class = cls(positive[:0], positive[:0])
        one_class.positive, one_class.negative = positive, negative
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

    def counts(self, thresholds: FloatArray) -> Counts:
        """Count at each threshold t, where a score is called positive if it is >= t."""
        tp, positives = _weight_from(self.positive, self._positive_weight, thresholds)
        fp, negatives = _weight_from(self.negative, self._negative_weight, thresholds)
        return Counts(tp, fp, positives - tp, negatives + self._unlisted - fp)

    def next_lower(self, threshold: np.floating[Any]) -> np.floating[Any] | None:
        """Return the largest score strictly below the threshold, or None."""
        below = [
            scores[index - 1]
            for scores in (self.positive, self.negative)
            if (index := scores.searchsorted(threshold)) > 0
        ]
        return max(below) if below else None

    def usable(self, threshold: np.floating[Any]) -> np.floating[Any]:
        """Return the lowest threshold, from this one up, that the counts are known at."""
        return threshold

    def typical(self, scores: FloatArray) -> FloatArray:
        """Return where the samples listed under these scores typically lie."""
        return scores


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


def _weight_from(
    scores: FloatArray, weight_from: CountArray | None, thresholds: FloatArray
) -> tuple[CountArray, float]:
    """Return the weight at or above each threshold, and the weight in all."""
    index = scores.searchsorted(thresholds)
    if weight_from is None:
        return len(scores) - index.astype(np.float64), float(len(scores))
    return weight_from[index], float(weight_from[0])
