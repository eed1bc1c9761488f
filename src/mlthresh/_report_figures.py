"""What a report holds; `mlthresh.report.MultilabelReport` says what each figure means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._averages import Undefined
from mlthresh._intervals import Float64Array

__all__ = ["ReportFigures"]

Int64Array: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ReportFigures:
    """The figures of a multi-label classifier, arrays being read-only."""

    class_names: tuple[str, ...] | None
    n_samples: int
    n_groups: int | None = None
    confidence: float
    undefined: Undefined
    n_resamples: int

    threshold: FloatArray
    n_known: Int64Array
    support: Int64Array
    support_groups: Int64Array | None = None
    tp: Int64Array
    fp: Int64Array
    fn: Int64Array
    tn: Int64Array
    prevalence: Float64Array
    prevalence_interval: Float64Array
    alarm_rate: Float64Array
    alarm_rate_interval: Float64Array
    recall: Float64Array
    recall_interval: Float64Array
    specificity: Float64Array
    specificity_interval: Float64Array
    precision: Float64Array
    precision_interval: Float64Array
    f1: Float64Array
    f1_interval: Float64Array
    auroc: Float64Array
    auroc_interval: Float64Array
    average_precision: Float64Array

    macro_recall: float
    macro_recall_interval: tuple[float, float]
    macro_precision: float
    macro_precision_interval: tuple[float, float]
    macro_f1: float
    macro_f1_interval: tuple[float, float]
    macro_auroc: float
    macro_auroc_interval: tuple[float, float]
    macro_average_precision: float
    micro_recall: float
    micro_recall_interval: tuple[float, float]
    micro_precision: float
    micro_precision_interval: tuple[float, float]
    micro_f1: float
    micro_f1_interval: tuple[float, float]

    macro_f1_all_positive: float
    macro_f1_chance: float
    n_with_support: int
    n_learned: int
    accuracy: float
    accuracy_predicting_nothing: float
    subset_accuracy: float
    subset_accuracy_predicting_nothing: float
    subgroups: Mapping[str, Mapping[str, Self]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self._items():
            if isinstance(value, np.ndarray):
                array = value.copy()
                array.setflags(write=False)
                object.__setattr__(self, name, array)

    def _items(self) -> list[tuple[str, Any]]:
        return [(one.name, getattr(self, one.name)) for one in fields(self)]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.support)
