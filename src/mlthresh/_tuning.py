"""Checked rows that thresholds are found on again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import (
    FloatArray,
    as_groups,
    as_labels,
    as_sample_weight,
    as_scores,
    matched_class_names,
)
from mlthresh.counts import Counts
from mlthresh.threshold_set import ThresholdSet
from mlthresh.thresholds import ThresholdSearch

__all__ = ["TuningRows"]


@dataclass(frozen=True, eq=False)
class TuningRows:
    """Arrays as `find_optimal_thresholds` takes them, checked once."""

    labels: npt.NDArray[Any]
    scores: FloatArray
    weight: npt.NDArray[np.float64] | None
    units: npt.NDArray[np.intp] | None
    class_names: tuple[str, ...] | None

    @classmethod
    def checked(
        cls,
        y_true: Any,
        y_score: Any,
        sample_weight: Any,
        groups: Any,
        class_names: Sequence[str] | None,
    ) -> TuningRows:
        """Check what the user passed."""
        labels, label_columns = as_labels(y_true, "y_true")
        scores, score_columns = as_scores(y_score, labels.shape)
        n_samples, n_classes = labels.shape
        return cls(
            labels,
            scores,
            as_sample_weight(sample_weight, n_samples),
            as_groups(groups, n_samples),
            matched_class_names(n_classes, class_names, label_columns, score_columns),
        )

    def tune(
        self, search: ThresholdSearch, rows: Any, units: npt.NDArray[np.intp] | None
    ) -> ThresholdSet:
        """Search on some of the rows; `units` are their patients, for a promise."""
        return search.run(
            self.labels[rows],
            self.scores[rows],
            sample_weight=None if self.weight is None else self.weight[rows],
            groups=units if search.confidence is not None else None,
            class_names=self.class_names,
        )

    def counts(
        self, decided: npt.NDArray[np.bool_], times: npt.NDArray[np.float64] | None = None
    ) -> Counts:
        """Return each class's weight by label and decision; `times` is how often a row counts."""
        rows = np.ones(len(self.labels)) if self.weight is None else self.weight
        rows = rows if times is None else rows * times
        positive, negative = self.labels == 1, self.labels == 0
        return Counts(
            rows @ (positive & decided),
            rows @ (negative & decided),
            rows @ (positive & ~decided),
            rows @ (negative & ~decided),
        )
