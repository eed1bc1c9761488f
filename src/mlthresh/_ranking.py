"""How well scores rank positives above negatives: AUROC and average precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._intervals import Float64Array, rate

__all__ = ["ResampledAUROC", "average_precision", "placements"]


def placements(positive: FloatArray, negative: FloatArray) -> tuple[Float64Array, Float64Array]:
    """Return each score's place among the scores of the other kind; ties count half.

    The mean of either array is the area under the ROC curve.

    Parameters
    ----------
    positive, negative : arrays of shape (n_positive,) and (n_negative,)
        The scores of the positives and of the negatives, each sorted in ascending order.

    Returns
    -------
    positive_placement : array of shape (n_positive,)
        The fraction of negatives that score lower than each positive; NaN without negatives.
    negative_placement : array of shape (n_negative,)
        The fraction of positives that score higher than each negative; NaN without positives.

    Examples
    --------
    >>> placements(np.array([0.4, 0.9]), np.array([0.1, 0.4]))
    (array([0.75, 1.  ]), array([1.  , 0.75]))
    """
    return _fraction_below(negative, positive), 1.0 - _fraction_below(positive, negative)


def _fraction_below(reference: FloatArray, score: FloatArray) -> Float64Array:
    """Return the fraction of the sorted reference below each score, ties counting half."""
    if len(reference) == 0:
        return np.full(len(score), np.nan)
    below = np.searchsorted(reference, score, side="left")
    not_above = np.searchsorted(reference, score, side="right")
    return np.asarray((below + not_above) / (2.0 * len(reference)), dtype=np.float64)


def average_precision(positive: FloatArray, negative: FloatArray) -> float:
    """Return the sum over distinct scores of precision times the gain in recall.

    The definition is that of `sklearn.metrics.average_precision_score`: a step function, without
    interpolation, in which tied scores are one step.

    Parameters
    ----------
    positive, negative : arrays of shape (n_positive,) and (n_negative,)
        The scores of the positives and of the negatives, each sorted in ascending order.

    Returns
    -------
    float
        In (0, 1]; NaN without positives.

    Examples
    --------
    >>> round(average_precision(np.array([0.4, 0.9]), np.array([0.1, 0.4])), 4)
    0.8333
    """
    if len(positive) == 0:
        return float("nan")
    # Recall grows at positives' scores alone. Each of k tied ones brings 1 / n_positive of recall
    # at the precision of the whole step.
    tp = len(positive) - np.searchsorted(positive, positive, side="left")
    fp = len(negative) - np.searchsorted(negative, positive, side="left")
    return float(np.mean(tp / (tp + fp)))


class ResampledAUROC:
    """The AUROC of one class in many resamples of its rows, for one sort of the scores.

    Parameters
    ----------
    score : array of shape (n_samples,)
    label : array of shape (n_samples,)
        0, 1 or NaN; rows whose label is missing do not count.
    """

    def __init__(self, score: FloatArray, label: npt.NDArray[Any]) -> None:
        negative = np.flatnonzero(label == 0)
        self._positive = np.flatnonzero(label == 1)
        self._negative = negative[np.argsort(score[negative])]
        positive_score, negative_score = score[self._positive], score[self._negative]
        self._below = np.searchsorted(negative_score, positive_score, side="left")
        self._not_above = np.searchsorted(negative_score, positive_score, side="right")

    def __call__(self, multiplicity: Float64Array) -> Float64Array:
        """Return the AUROC of each resample.

        Parameters
        ----------
        multiplicity : array of shape (n_samples, n_resamples)
            How often each row occurs in each resample.

        Returns
        -------
        array of shape (n_resamples,)
            NaN where a resample has no positive or no negative.
        """
        cumulated = np.zeros((len(self._negative) + 1, multiplicity.shape[1]))
        np.cumsum(multiplicity[self._negative], axis=0, out=cumulated[1:])
        positives = multiplicity[self._positive]
        pairs = positives.sum(axis=0) * cumulated[-1]
        won = (positives * (cumulated[self._below] + cumulated[self._not_above])).sum(axis=0) / 2.0
        return rate(won, pairs)
