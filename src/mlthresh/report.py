"""The figures of a multi-label classifier, as arrays, JSON and tables."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._averages import Undefined
from mlthresh._intervals import Float64Array
from mlthresh._tables import TabledReport, rate_cell

__all__ = ["MultilabelReport"]

Int64Array: TypeAlias = npt.NDArray[np.int64]

_HEADER = ("class", "positives", "alarms", "threshold", "recall", "precision", "F1", "AUROC", "AP")


@dataclass(frozen=True, eq=False, kw_only=True)
class MultilabelReport(TabledReport):
    """What `multilabel_report` measured; see there for definitions and assumptions.

    Arrays have shape (n_classes,) in the order of the columns, their intervals (n_classes, 2);
    averages are floats, their intervals pairs. What is undefined (0/0) is NaN.

    Attributes
    ----------
    class_names : tuple of str, or None
    n_samples : int
        Rows.
    confidence : float
        Of every interval.
    undefined : {"omit", "zero"}
        How macro averages treat undefined figures.
    n_resamples : int
        Bootstrap resamples behind the intervals of the averages.
    threshold : array
        In the data type that decisions were taken in.
    n_known : int array
        Rows whose label is known; all other figures of a class are over these.
    support : int array
        Positives.
    tp, fp, fn, tn : int arrays
        The confusion counts.
    prevalence, prevalence_interval : arrays
        Positives / known.
    alarm_rate, alarm_rate_interval : arrays
        Alarms (TP + FP) / known.
    recall, recall_interval : arrays
        TP / (TP + FN), the sensitivity.
    specificity, specificity_interval : arrays
        TN / (TN + FP).
    precision, precision_interval : arrays
        TP / (TP + FP), the positive predictive value at this data's prevalence.
    f1, f1_interval : arrays
        2 TP / (2 TP + FP + FN).
    auroc, auroc_interval : arrays
        Area under the ROC curve: the probability that a positive scores higher than a negative,
        ties counting half.
    average_precision : array
        Sum of precision times gain in recall over the distinct scores.
    macro_recall, macro_precision, macro_f1, macro_auroc : float, each with an interval
        Means over classes.
    macro_average_precision : float
        Mean over classes.
    micro_recall, micro_precision, micro_f1 : float, each with an interval
        Of the counts summed over classes.
    macro_f1_all_positive : float
        For reference: the macro-F1 of calling every class in every row, 2 p / (1 + p) for
        prevalence p, over the classes that `macro_f1` averages. No way of calling at random
        does better.
    macro_f1_chance : float
        For reference: the macro-F1 of calling each class at random as often as it occurs. The
        expected counts are then TP = n p^2 and FP = FN = n p (1 - p), so that F1 = p.
    n_with_support, n_learned : int
        Classes with positives, and those of them with F1 > 0.
    accuracy, accuracy_predicting_nothing : float
        The share of single labels that are right, here and for a model that calls nothing.
        Rare classes bring both near 1: the first means nothing without the second.
    subset_accuracy, subset_accuracy_predicting_nothing : float
        The share of rows with every label right; NaN if a label is missing.

    Examples
    --------
    >>> from mlthresh import multilabel_report
    >>> y_true, y_score = [[1, 0], [1, 1], [0, 0]], [[0.9, 0.2], [0.4, 0.8], [0.1, 0.3]]
    >>> report = multilabel_report(y_true, y_score, 0.5, class_names=["DR", "MH"])
    >>> report.support, report.recall
    (array([2, 1]), array([0.5, 1. ]))
    >>> print(str(report).splitlines()[3])
    DR               2 of 3       1        0.5  0.50 [0.01, 0.99]  1.00 [0.02, 1.00] ...
    >>> report.to_dict()["classes"][1]["name"]
    'MH'
    """

    _header: ClassVar = _HEADER

    class_names: tuple[str, ...] | None
    n_samples: int
    confidence: float
    undefined: Undefined
    n_resamples: int

    threshold: FloatArray
    n_known: Int64Array
    support: Int64Array
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

    def __post_init__(self) -> None:
        for name, value in self._items():
            if isinstance(value, np.ndarray):
                array = value.copy()
                array.setflags(write=False)
                object.__setattr__(self, name, array)

    def _items(self) -> list[tuple[str, Any]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.support)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values: the figures of the whole, and under "classes" a list.

        Undefined figures are float NaN here.
        """
        columns = {
            name: value.tolist() for name, value in self._items() if isinstance(value, np.ndarray)
        }
        names = self.class_names or (None,) * self.n_classes
        return {
            **{
                name: list(value) if isinstance(value, tuple) else value
                for name, value in self._items()
                if name not in columns and name != "class_names"
            },
            "classes": [
                {"name": names[c], **{key: column[c] for key, column in columns.items()}}
                for c in range(self.n_classes)
            ],
        }

    def _title(self) -> str:
        return (
            f"{self.n_samples} rows, {self.n_classes} classes, "
            f"{100 * self.confidence:g}% intervals in brackets"
        )

    def _rows(self) -> list[list[str]]:
        names = self.class_names or [f"class {c}" for c in range(self.n_classes)]
        alarms = self.tp + self.fp
        classes = [
            [
                names[c],
                f"{self.support[c]} of {self.n_known[c]}",
                str(alarms[c]),
                f"{self.threshold[c]:.3g}",
                rate_cell(self.recall[c], self.recall_interval[c]),
                rate_cell(self.precision[c], self.precision_interval[c]),
                rate_cell(self.f1[c], self.f1_interval[c]),
                rate_cell(self.auroc[c], self.auroc_interval[c]),
                rate_cell(self.average_precision[c]),
            ]
            for c in np.argsort(-self.support, kind="stable")
        ]
        macro = [
            *("macro average", "", "", ""),
            rate_cell(self.macro_recall, self.macro_recall_interval),
            rate_cell(self.macro_precision, self.macro_precision_interval),
            rate_cell(self.macro_f1, self.macro_f1_interval),
            rate_cell(self.macro_auroc, self.macro_auroc_interval),
            rate_cell(self.macro_average_precision),
        ]
        micro = [
            *("micro average", f"{self.support.sum()} of {self.n_known.sum()}"),
            *(str(alarms.sum()), ""),
            rate_cell(self.micro_recall, self.micro_recall_interval),
            rate_cell(self.micro_precision, self.micro_precision_interval),
            rate_cell(self.micro_f1, self.micro_f1_interval),
            *("", ""),
        ]
        return [*classes, macro, micro]

    def _notes(self) -> list[str]:
        """Say what the table's figures mean, and what they are to be compared with."""
        notes = [f"F1 > 0 in {self.n_learned} of {self.n_with_support} classes with positives."]
        notes.append(
            "Macro F1 without looking at a row: "
            f"{rate_cell(self.macro_f1_all_positive)} by calling every class, "
            f"{rate_cell(self.macro_f1_chance)} by calling each as often as it occurs."
        )
        notes.append(
            f"Single labels right: {self.accuracy:.3f}; by calling nothing: "
            f"{self.accuracy_predicting_nothing:.3f}."
        )
        if not np.isnan(self.subset_accuracy):
            notes.append(
                f"Rows with every label right: {self.subset_accuracy:.3f}; by calling nothing: "
                f"{self.subset_accuracy_predicting_nothing:.3f}."
            )
        undefined = {
            "recall": self.recall,
            "precision": self.precision,
            "F1": self.f1,
            "AUROC": self.auroc,
            "AP": self.average_precision,
        }
        left_out = [
            f"{name} of {n}" for name, rates in undefined.items() if (n := np.isnan(rates).sum())
        ]
        if left_out:
            treated = (
                "leave out" if self.undefined == "omit" else "count as 0 (but leave out AUROC)"
            )
            notes.append(
                f"Macro averages {treated} what is undefined: {', '.join(left_out)} "
                f"of {self.n_classes} classes."
            )
        resampled = f"bootstrap of {self.n_resamples} resamples" if self.n_resamples else "none"
        notes.append(
            "Intervals: exact for recall, precision and F1; DeLong's for AUROC; for AP none; for "
            f"averages {resampled}. They suppose independent rows that chose neither the "
            "thresholds nor the model, and hold one at a time."
        )
        return notes
