"""Binned scores as evidence for a threshold search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._bins import Bins
from mlthresh.certify import Units
from mlthresh.constraints import Constraints, Window
from mlthresh.counts import CountArray, Counts, SortedClass, from_here_up
from mlthresh.exceptions import InputError
from mlthresh.objectives import Objective

__all__ = ["BinnedScores"]


class _BinnedClass(SortedClass):
    """One class's non-empty bins: each listed once, as its lower edge, with its weight."""

    def __init__(
        self,
        bins: Bins,
        dtype: np.dtype[Any],
        weight: CountArray,
        n_samples: npt.NDArray[np.int64],
    ) -> None:
        edges = bins.edges.astype(dtype)
        negative, positive = (np.flatnonzero(row) for row in weight)
        self.negative, self.positive = edges[negative], edges[positive]
        self.weights = from_here_up(weight[1, positive]), from_here_up(weight[0, negative])
        self.total = float(self.weights[0][0]), float(self.weights[1][0])
        self.n_negatives, self.n_positives = n_samples.tolist()
        self.floor = dtype.type(-np.inf)
        self._bins = bins

    def usable(self, threshold: np.floating[Any]) -> np.floating[Any]:
        """Return the next edge: no bin is cut."""
        known: np.floating[Any] = self._bins.known_from(np.array([threshold]))[0]
        return known

    def typical(self, scores: FloatArray) -> FloatArray:
        """Return the middles of the bins."""
        return scores / 2 + self._bins.tops(scores.dtype)[self._bins.index(scores)] / 2


@dataclass(frozen=True, eq=False)
class BinnedScores:
    """What a histogram of scores tells a search.

    Attributes
    ----------
    bins : Bins
    dtype : dtype
        The widest that scores came in; thresholds are compared in it.
    extent : tuple of two floats
    weight : array of shape (n_classes, 2, n_bins)
        Of the negatives and of the positives in each bin.
    n_samples : int array of shape (n_classes, 2)
        Negatives and positives of non-zero weight.
    sample_weight : float or None
        The weight of each sample, where all have the same.
    """

    bins: Bins
    dtype: np.dtype[Any]
    extent: tuple[float, float]
    weight: CountArray
    n_samples: npt.NDArray[np.int64]
    sample_weight: float | None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.weight)

    @property
    def evenly_weighted(self) -> bool:
        """Whether all samples have the same weight."""
        return self.sample_weight is not None

    @property
    def batches(self) -> Sequence[slice]:
        """Columns to search together: one by one, for their bins are many."""
        return [slice(c, c + 1) for c in range(self.n_classes)]

    def sorted_classes(self, columns: slice) -> Sequence[SortedClass]:
        """Return the bins of these classes."""
        histograms = zip(self.weight[columns], self.n_samples[columns], strict=True)
        return [_BinnedClass(self.bins, self.dtype, *one) for one in histograms]

    def counts_from(self, thresholds: FloatArray) -> tuple[FloatArray, Counts]:
        """Return the next edges, and the counts there."""
        edges = self.bins.known_from(thresholds)
        classes = (self.sorted_classes(columns)[0] for columns in self.batches)
        each = [one.counts(edges[c : c + 1]) for c, one in enumerate(classes)]
        return edges, Counts(*(np.concatenate(count) for count in zip(*each, strict=True)))

    def promising_parts(
        self,
        objective: Objective,  # noqa: ARG002
        constraints: Constraints,  # noqa: ARG002
    ) -> Sequence[SortedClass | None]:
        """Return no part: even many rows have but few bins."""
        return [None] * self.n_classes

    def units(self, c: int, label: int) -> Units:
        """Return the samples of one label, at the hardest score that their bins can hold."""
        used = np.flatnonzero(self.weight[c, label])
        score = self.bins.edges.astype(self.dtype)[used]
        if not label:
            used = used[::-1]
            score = -self.bins.tops(self.dtype)[used]
        count = np.rint(self.weight[c, label, used] / self.sample_weight).astype(np.int64)
        return Units(score, np.cumsum(count))

    def bounds(
        self, lowest: npt.NDArray[np.float64], highest: npt.NDArray[np.float64]
    ) -> FloatArray:
        """Return the bounds moved inward to edges."""
        low = self.bins.known_from(lowest.astype(self.dtype))
        high = self.bins.known_to(highest.astype(self.dtype))
        crossed = np.flatnonzero(low > high)
        if len(crossed):
            c = crossed[0]
            raise InputError(
                f"no edge of the {len(self.bins)} bins lies between min_threshold {lowest[c]} "
                f"and max_threshold {highest[c]} (class {c}); nearest above: {low[c]}"
            )
        return np.array([low, high])

    def grid_points(self, points: npt.NDArray[np.float64], window: Window) -> FloatArray:
        """Return the points moved to the nearest edge in the window, by less than a bin."""
        points = points.astype(self.dtype)
        down, up = self.bins.known_to(points), self.bins.known_from(points)
        nearest = np.where(points - down <= up - points, down, up)
        inside = (window.lowest <= up) & (down <= window.highest)
        return np.unique(np.clip(nearest[inside], window.lowest, window.highest))
