"""How far rates at fixed thresholds are uncertain: intervals at each point of a curve."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._intervals import Float64Array, clopper_pearson, f1_interval, rate
from mlthresh.plotting._one_class import ClassCurve, OneClass

__all__ = ["Band", "Bands", "bootstrap_bands", "exact_bands"]

Band: TypeAlias = Literal["auto", "exact", "bootstrap"]


class Bands(NamedTuple):
    """Lower and upper ends, each of shape (n_thresholds, 2)."""

    precision: Float64Array
    recall: Float64Array
    f1: Float64Array


def exact_bands(curve: ClassCurve, confidence: float) -> Bands:
    """Return Clopper and Pearson's intervals, and their image for F1, for independent rows."""
    alarms = curve.tp + curve.fp
    positives = np.full(len(alarms), curve.n_positive)
    return Bands(
        clopper_pearson(curve.tp, alarms, confidence),
        clopper_pearson(curve.tp, positives, confidence),
        f1_interval(curve.tp, curve.fp, curve.n_positive - curve.tp, confidence),
    )


def bootstrap_bands(
    one: OneClass,
    curve: ClassCurve,
    groups: npt.NDArray[np.intp] | None,
    *,
    confidence: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> Bands:
    """Return percentile intervals from drawing rows, or whole groups, with replacement.

    Rows of one label between two thresholds count alike, so drawing rows is drawing from these
    cells: the cost depends on the number of thresholds, not of rows.
    """
    n_cells = len(curve.thresholds)
    interval = curve.thresholds.searchsorted(one.score, side="right") - 1
    cell = np.where(one.label == 1, interval + 1, interval + 1 + (n_cells + 1))
    drawn = _draw(cell, 2 * (n_cells + 1), groups, n_resamples, rng)
    # Entry i of a reversed running sum counts the scores at or above threshold i.
    above = np.cumsum(drawn.reshape(n_resamples, 2, -1)[:, :, ::-1], axis=2)[:, :, ::-1]
    tp, fp, positives = above[:, 0, 1:], above[:, 1, 1:], above[:, 0, :1]
    return Bands(
        _ends(rate(tp, tp + fp), confidence),
        _ends(rate(tp, np.broadcast_to(positives, tp.shape)), confidence),
        _ends(rate(2 * tp, tp + fp + positives), confidence),
    )


def _ends(resampled: Float64Array, confidence: float) -> Float64Array:
    """Return order statistics of each column, leaving out NaN; NaN where that leaves nothing."""
    in_order = np.sort(resampled, axis=0)  # NaN last
    last = np.maximum(np.count_nonzero(~np.isnan(resampled), axis=0) - 1, 0)
    tail = (1 - confidence) / 2
    ranks = np.stack([np.floor(tail * last), np.ceil((1 - tail) * last)]).astype(np.intp)
    return np.take_along_axis(in_order, ranks, axis=0).T


def _draw(
    cell: npt.NDArray[np.intp],
    n_cells: int,
    groups: npt.NDArray[np.intp] | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Return how many rows of each cell came in each resample, shape (n_resamples, n_cells)."""
    if groups is None:
        share = np.bincount(cell, minlength=n_cells) / len(cell)
        return rng.multinomial(len(cell), share, size=n_resamples)
    n_groups = int(groups.max()) + 1
    counts = np.empty((n_resamples, n_cells), dtype=np.int64)
    for i in range(n_resamples):
        times = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)
        counts[i] = np.bincount(cell, weights=times[groups], minlength=n_cells)
    return counts
