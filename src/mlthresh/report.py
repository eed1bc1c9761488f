"""The figures of a multi-label classifier, as arrays, JSON and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlthresh._report_figures import ReportFigures
from mlthresh._report_text import sections_of
from mlthresh._tables import Section, TabledReport

__all__ = ["MultilabelReport"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class MultilabelReport(ReportFigures, TabledReport):
    """What `multilabel_report` measured; see there for definitions and assumptions.

    Arrays have shape (n_classes,) in the order of the columns, their intervals (n_classes, 2);
    averages are floats, their intervals pairs. What is undefined (0/0) is NaN.

    Attributes
    ----------
    class_names : tuple of str, or None
    n_samples : int
        Rows.
    n_groups : int, or None
        Patients, if `groups` were given.
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
    support_groups : int array, or None
        Patients with a positive, if `groups` were given.
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
    subgroups : dict of dict of MultilabelReport
        For each variable and each of its values, a report on the rows that have it.

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

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values: the figures of the whole, and under "classes" a list.

        Undefined figures are float NaN here. Under "subgroups", if any were given, are the same
        values for each value of each variable.
        """
        columns = {
            name: value.tolist() for name, value in self._items() if isinstance(value, np.ndarray)
        }
        names = self.class_names or (None,) * self.n_classes
        apart = {"class_names", "support_groups", "subgroups", *columns}
        content = {
            **{
                name: list(value) if isinstance(value, tuple) else value
                for name, value in self._items()
                if name not in apart
            },
            "classes": [
                {"name": names[c], **{key: column[c] for key, column in columns.items()}}
                for c in range(self.n_classes)
            ],
        }
        if self.subgroups:
            content["subgroups"] = {
                name: {value: part.to_dict() for value, part in by_value.items()}
                for name, by_value in self.subgroups.items()
            }
        return content

    def _sections(self) -> list[Section]:
        return sections_of(self)
