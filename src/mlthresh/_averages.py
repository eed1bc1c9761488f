"""Averages over classes, of one sample and of its resamples alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._bootstrap import bias_corrected_interval, row_multiplicities
from mlthresh._intervals import Float64Array, rate
from mlthresh._ranking import ResampledAUROC

__all__ = ["Undefined", "average_intervals", "averages", "mean_over_classes"]

Undefined: TypeAlias = Literal["omit", "zero"]


def mean_over_classes(values: Float64Array, undefined: Undefined) -> Float64Array:
    """Return the mean over the first axis; NaN is left out, or counted as 0.

    Examples
    --------
    >>> values = np.array([0.5, np.nan, 1.0])
    >>> float(mean_over_classes(values, "omit")), float(mean_over_classes(values, "zero"))
    (0.75, 0.5)
    """
    known = ~np.isnan(values)
    counted = known.sum(axis=0) if undefined == "omit" else np.full(values.shape[1:], len(values))
    return rate(np.where(known, values, 0.0).sum(axis=0), counted)


def averages(
    tp: npt.NDArray[Any],
    fp: npt.NDArray[Any],
    fn: npt.NDArray[Any],
    auroc: Float64Array,
    undefined: Undefined,
) -> dict[str, Float64Array]:
    """Return the macro and micro averages over the first axis of the counts.

    A macro average is the mean of the classes' figures; a micro average is the figure of the
    summed counts.
    """
    tp_sum, fp_sum, fn_sum = tp.sum(axis=0), fp.sum(axis=0), fn.sum(axis=0)
    micro = {
        "micro_recall": rate(tp_sum, tp_sum + fn_sum),
        "micro_precision": rate(tp_sum, tp_sum + fp_sum),
        "micro_f1": rate(2 * tp_sum, 2 * tp_sum + fp_sum + fn_sum),
    }
    if undefined == "zero":
        micro = {name: np.nan_to_num(value) for name, value in micro.items()}
    return {
        "macro_recall": mean_over_classes(rate(tp, tp + fn), undefined),
        "macro_precision": mean_over_classes(rate(tp, tp + fp), undefined),
        "macro_f1": mean_over_classes(rate(2 * tp, 2 * tp + fp + fn), undefined),
        "macro_auroc": mean_over_classes(auroc, "omit"),
        **micro,
    }


def average_intervals(
    estimates: dict[str, float],
    outcomes: Sequence[npt.NDArray[np.bool_]],
    scores: FloatArray,
    labels: npt.NDArray[Any],
    *,
    units: npt.NDArray[np.intp] | None,
    undefined: Undefined,
    confidence: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, tuple[float, float]]:
    """Return an interval of every average, by resampling rows, or patients, at fixed thresholds.

    Parameters
    ----------
    estimates : dict
        The sample's own `averages`.
    outcomes : three bool arrays of shape (n_samples, n_classes)
        Which entries are true positives, false positives and false negatives.
    scores, labels : arrays of shape (n_samples, n_classes)
    units : int array of shape (n_samples,), or None
        The patient of each row.

    Returns
    -------
    dict
        For each name of an average, followed by "_interval", the two ends; NaN without resamples.
    """
    if n_resamples == 0:
        return {f"{name}_interval": (np.nan, np.nan) for name in estimates}
    n_samples, n_classes = labels.shape
    rankings = [ResampledAUROC(scores[:, c], labels[:, c]) for c in range(n_classes)]
    as_rows = [outcome.T.astype(np.float64) for outcome in outcomes]
    blocks = []
    for multiplicity in row_multiplicities(n_samples, n_resamples, rng, units):
        tp, fp, fn = (outcome @ multiplicity for outcome in as_rows)
        auroc = np.array([ranking(multiplicity) for ranking in rankings])
        blocks.append(averages(tp, fp, fn, auroc, undefined))
    return {
        f"{name}_interval": bias_corrected_interval(
            estimate, np.concatenate([block[name] for block in blocks]), confidence
        )
        for name, estimate in estimates.items()
    }
