"""What a threshold search runs on: rows, or whatever else knows the counts at thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray, row_blocks
from mlthresh.certify import Units
from mlthresh.constraints import Constraints, Window
from mlthresh.counts import Counts, SortedClass, sort_classes
from mlthresh.objectives import Objective
from mlthresh.pruning import promising_parts

__all__ = ["Evidence", "Rows"]

_SORTED_TOGETHER = 1 << 15  # scores; more gain nothing from company


class Evidence(Protocol):
    """Scores and labels of some classes, as far as a search needs to know them."""

    @property
    def n_classes(self) -> int:
        """Number of classes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The scores' data type, in which thresholds are compared."""

    @property
    def extent(self) -> tuple[float | np.floating[Any], float | np.floating[Any]]:
        """Two numbers that no score lies below or above."""

    @property
    def evenly_weighted(self) -> bool:
        """Whether all samples have the same weight."""

    @property
    def batches(self) -> Sequence[slice]:
        """Columns to search together: many with few samples, or one by one."""

    def sorted_classes(self, columns: slice) -> Sequence[SortedClass]:
        """Return these classes with all their scores."""

    def counts_from(self, thresholds: FloatArray) -> tuple[FloatArray, Counts]:
        """Return a class's lowest threshold from this one up that can be counted at, and counts."""

    def promising_parts(
        self, objective: Objective, constraints: Constraints
    ) -> Sequence[SortedClass | None]:
        """Return for each class the part that probably holds the optimum, if one is quick to get.

        See `mlthresh.pruning`.
        """

    def units(self, c: int, label: int) -> Units:
        """Return the independent units of one label, as `mlthresh.certify.certify` takes them."""

    def bounds(
        self, lowest: npt.NDArray[np.float64], highest: npt.NDArray[np.float64]
    ) -> FloatArray:
        """Return the bounds on each class's threshold as it can be, shape (2, n_classes)."""

    def grid_points(self, points: npt.NDArray[np.float64], window: Window) -> FloatArray:
        """Return the points of a grid as they can be, those that lie in the window."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Checked arrays: scores and labels (n_samples, n_classes), weight and groups (n_samples,)."""

    scores: FloatArray
    labels: npt.NDArray[Any]
    weight: npt.NDArray[np.float64] | None = None
    groups: npt.NDArray[np.intp] | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.scores.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The scores' data type."""
        return self.scores.dtype

    @property
    def extent(self) -> tuple[np.floating[Any], np.floating[Any]]:
        """The lowest and the highest score."""
        return self.scores.min(), self.scores.max()

    @property
    def evenly_weighted(self) -> bool:
        """Whether all rows have the same weight."""
        return self.weight is None or len(np.unique(self.weight)) == 1

    @property
    def batches(self) -> Sequence[slice]:
        """Columns to search together."""
        step = max(1, _SORTED_TOGETHER // len(self.scores))
        return [slice(start, start + step) for start in range(0, self.n_classes, step)]

    def sorted_classes(self, columns: slice) -> Sequence[SortedClass]:
        """Return these classes with all their scores."""
        return sort_classes(self.scores[:, columns], self.labels[:, columns], self.weight)

    def counts_from(self, thresholds: FloatArray) -> tuple[FloatArray, Counts]:
        """Return the thresholds, and the counts that one pass over the rows makes there."""
        weight = np.ones(len(self.scores)) if self.weight is None else self.weight
        counts = np.zeros((4, self.n_classes))
        for rows in row_blocks(*self.scores.shape):
            called, label = self.scores[rows] >= thresholds, self.labels[rows]
            for i, chosen in enumerate((label == 1, label == 0)):
                counts[i] += weight[rows] @ (chosen & called)
                counts[i + 2] += weight[rows] @ (chosen & ~called)
        return thresholds, Counts(*counts)

    def promising_parts(
        self, objective: Objective, constraints: Constraints
    ) -> Sequence[SortedClass | None]:
        """Return the parts of large unweighted data."""
        if self.weight is not None:
            return [None] * self.n_classes
        return promising_parts(self.scores, self.labels, objective, constraints)

    def units(self, c: int, label: int) -> Units:
        """Return the rows of one label, or the patients with such a row."""
        score = self.scores[:, c] if label else -self.scores[:, c]
        return Units.of_rows(score, self.labels[:, c] == label, self.groups)

    def bounds(
        self, lowest: npt.NDArray[np.float64], highest: npt.NDArray[np.float64]
    ) -> FloatArray:
        """Return the bounds in the scores' data type."""
        return np.array([lowest, highest]).astype(self.dtype)

    def grid_points(self, points: npt.NDArray[np.float64], window: Window) -> FloatArray:
        """Return the points in the scores' data type that lie in the window."""
        return window.inside(points.astype(self.dtype))
