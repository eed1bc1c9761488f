"""The imbalance of a data set's labels, as arrays, JSON and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mlthresh._arrays import shown_names
from mlthresh._intervals import Float64Array
from mlthresh._tables import Section, TabledReport
from mlthresh.class_counts import Int64Array

__all__ = ["ImbalanceReport"]

_PER_CLASS = ("n_known", "n_positive", "prevalence", "irlbl", "scumble_per_class")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ImbalanceReport(TabledReport):
    """What `imbalance_report` measured; see there for definitions and missing labels.

    Attributes
    ----------
    class_names : tuple of str, or None
    n_samples : int
        Rows.
    n_complete : int
        Rows with every label known.
    n_unlabelled : int
        Rows without a known label.
    n_without_positive : int
        Rows that are not known to show any class.
    n_label_sets : int
        Distinct label sets among the rows with every label known; showing nothing is one.
    cardinality, density : float
        Positive labels a row, and the same over the number of classes.
    mean_ir, max_ir, cvir : float
        Mean, maximum and coefficient of variation of `irlbl` over the classes with positives;
        NaN where there are too few.
    scumble : float
        In [0, 1).
    n_known, n_positive : int arrays of shape (n_classes,)
        Known labels and positive ones.
    prevalence : array of shape (n_classes,)
        Positives / known; NaN where nothing is known.
    irlbl : array of shape (n_classes,)
        The largest prevalence over the class's; infinite without positives.
    scumble_per_class : array of shape (n_classes,)
        NaN without positives.
    rows_by_n_positive : int array of shape (n_classes + 1,)
        How many rows show 0, 1, 2, ... classes.
    co_occurrence : int array of shape (n_classes, n_classes)
        Rows that show both classes; on the diagonal `n_positive`.
    conditional : array of shape (n_classes, n_classes)
        Entry (i, j): of the rows that show class i and where j is known, the share that shows j.
        NaN where there is none.

    Examples
    --------
    >>> from mlthresh import imbalance_report
    >>> report = imbalance_report([[1, 0], [1, 1], [1, 0], [0, float("nan")]], ["DR", "MH"])
    >>> report.n_known, report.n_missing
    (array([4, 3]), array([0, 1]))
    >>> report.to_dict()["classes"][1]["irlbl"]
    2.25
    """

    class_names: tuple[str, ...] | None
    n_samples: int
    n_complete: int
    n_unlabelled: int
    n_without_positive: int
    n_label_sets: int
    cardinality: float
    density: float
    mean_ir: float
    max_ir: float
    cvir: float
    scumble: float

    n_known: Int64Array
    n_positive: Int64Array
    prevalence: Float64Array
    irlbl: Float64Array
    scumble_per_class: Float64Array
    rows_by_n_positive: Int64Array
    co_occurrence: Int64Array
    conditional: Float64Array

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.n_positive)

    @property
    def n_missing(self) -> Int64Array:
        """Missing labels of each class."""
        return self.n_samples - self.n_known

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values: the figures of the whole, and under "classes" a list.

        Undefined figures are float NaN here, and an infinite IRLbl a float too.
        """
        names = self.class_names or (None,) * self.n_classes
        columns = {name: getattr(self, name).tolist() for name in _PER_CLASS}
        columns["n_missing"] = self.n_missing.tolist()
        content: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in (*_PER_CLASS, "class_names"):
                content[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
        content["classes"] = [
            {"name": names[c], **{key: column[c] for key, column in columns.items()}}
            for c in range(self.n_classes)
        ]
        return content

    def _sections(self) -> list[Section]:
        header = ("class", "positives", "prevalence", "IRLbl", "SCUMBLE", "most often with")
        return [Section(self._title(), header, self._rows(), self._notes())]

    def _title(self) -> str:
        return f"{_counted(self.n_samples, 'row')}, {_counted(self.n_classes, 'class', 'classes')}"

    def _rows(self) -> list[list[str]]:
        names = shown_names(self.class_names, self.n_classes)
        return [
            [
                names[c],
                f"{self.n_positive[c]} of {self.n_known[c]}",
                _cell(100 * self.prevalence[c], ".2f", "%"),
                _cell(self.irlbl[c], ".2f"),
                _cell(self.scumble_per_class[c], ".3f"),
                self._companion(c, names),
            ]
            for c in np.argsort(-self.n_positive, kind="stable")
        ]

    def _companion(self, c: int, names: Sequence[str]) -> str:
        """Return the class most often shown by the rows that show c, and how often."""
        share = np.nan_to_num(self.conditional[c])
        share[c] = 0
        other = int(share.argmax())
        return f"{names[other]} ({100 * share[other]:.0f}%)" if share[other] > 0 else "-"

    def _notes(self) -> list[str]:
        show = "shows" if self.n_without_positive == 1 else "show"
        none = f"{_counted(self.n_without_positive, 'row')} {show} no class"
        if self.n_unlabelled:
            none += f", {self.n_unlabelled} of them without a known label"
        ratios = f"MeanIR {_cell(self.mean_ir, '.2f')}, the largest {_cell(self.max_ir, '.2f')}"
        label_sets = _counted(self.n_label_sets, "distinct label set")
        notes = [
            f"{ratios}, CVIR {_cell(self.cvir, '.3f')}, SCUMBLE {self.scumble:.3f}.",
            f"Classes a row (cardinality) {self.cardinality:.3f}, density {self.density:.3f}.",
            f"{label_sets} in {_counted(self.n_complete, 'row')} with every label known.",
            f"{none}.",
        ]
        absent = int(np.count_nonzero(self.n_positive == 0))
        if absent:
            notes.append(
                f"{_counted(absent, 'class', 'classes')} without a positive, left out of MeanIR "
                "and CVIR."
            )
        n_missing = int(self.n_missing.sum())
        if n_missing:
            share = n_missing / (self.n_samples * self.n_classes)
            notes.append(
                f"{_counted(n_missing, 'label')} ({100 * share:.1f}%) missing: prevalence, and "
                "what is compared by it, is over known labels."
            )
        return notes


def _cell(value: float, form: str, unit: str = "") -> str:
    return "-" if np.isnan(value) else f"{value:{form}}" + (unit if np.isfinite(value) else "")


def _counted(n: int, one: str, several: str | None = None) -> str:
    return f"{n} {one if n == 1 else several or one + 's'}"
