"""How a report reads: its titles, tables and notes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlthresh._arrays import shown_names
from mlthresh._report_figures import ReportFigures
from mlthresh._tables import Section, rate_cell

__all__ = ["sections_of"]

_FEW_POSITIVES = 10
_SUBGROUP_RATES = {
    "recall": "recall",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    "auroc": "AUROC",
}


def sections_of(report: ReportFigures) -> list[Section]:
    """Return the table of the classes, and one of each variable of the subgroups."""
    sections = [Section(_title(report), _header(report), _rows(report), _notes(report))]
    for i, (name, by_value) in enumerate(report.subgroups.items(), start=1):
        notes = _subgroup_notes(report) if i == len(report.subgroups) else []
        title = f"By {name}: {_sizes(by_value)}"
        table = _subgroup_table(report, name, by_value)
        sections.append(Section(title, *table, notes, n_left=2))
    return sections


def _header(report: ReportFigures) -> list[str]:
    rates = ("recall", "precision", "F1", "AUROC", "AP")
    return ["class", "positives", *_if_patients(report, "patients"), "alarms", "threshold", *rates]


def _if_patients(report: ReportFigures, cell: str) -> list[str]:
    """Return a cell of the column of patients, if there is such a column."""
    return [] if report.n_groups is None else [cell]


def _patients(report: ReportFigures, c: int) -> list[str]:
    return [] if report.support_groups is None else [str(report.support_groups[c])]


def _subgroup_table(
    report: ReportFigures, name: str, by_value: Mapping[str, ReportFigures]
) -> tuple[list[str], list[list[str]]]:
    """Return a header and rows: under each class the values of the variable."""
    names = _names(report)
    rows = []
    for c in _by_frequency(report):
        for i, (value, part) in enumerate(by_value.items()):
            few = "*" if part.support[c] < _FEW_POSITIVES else " "
            rows.append(
                [
                    "" if i else names[c],
                    value,
                    f"{part.support[c]} of {part.n_known[c]} {few}",
                    *_patients(part, c),
                    str(part.tp[c] + part.fp[c]),
                    *(
                        rate_cell(getattr(part, rate)[c], getattr(part, f"{rate}_interval")[c])
                        for rate in _SUBGROUP_RATES
                    ),
                ]
            )
    for i, (value, part) in enumerate(by_value.items()):
        averages = [
            rate_cell(getattr(part, f"macro_{rate}"), getattr(part, f"macro_{rate}_interval"))
            if hasattr(part, f"macro_{rate}")
            else ""
            for rate in _SUBGROUP_RATES
        ]
        empty = ["", *_if_patients(part, ""), ""]
        rows.append(["" if i else "macro average", value, *empty, *averages])
    counted = ["positives", *_if_patients(report, "patients"), "alarms"]
    return ["class", name, *counted, *_SUBGROUP_RATES.values()], rows


def _subgroup_notes(report: ReportFigures) -> list[str]:
    cells = report.n_classes * sum(len(by_value) for by_value in report.subgroups.values())
    by_chance = f"{(1 - report.confidence) * cells:.0f}"
    notes = [f"A * marks fewer than {_FEW_POSITIVES} positives: read the interval, not the figure."]
    notes.append(
        f"Of {cells} intervals of a rate about {by_chance} may miss by chance alone: a difference "
        "that was not expected needs other data to confirm it."
    )
    if report.undefined == "omit":
        notes.append(
            "Subgroups without positives of a class leave it out of their macro averages, which "
            "are then of different classes."
        )
    return notes


def _sizes(by_value: Mapping[str, ReportFigures]) -> str:
    sizes = {
        value: [f"{part.n_samples} rows", *_if_patients(part, f"{part.n_groups} patients")]
        for value, part in by_value.items()
    }
    return "; ".join(f"{value} {', '.join(size)}" for value, size in sizes.items())


def _names(report: ReportFigures) -> tuple[str, ...]:
    return shown_names(report.class_names, report.n_classes)


def _by_frequency(report: ReportFigures) -> list[int]:
    return [int(c) for c in np.argsort(-report.support, kind="stable")]


def _title(report: ReportFigures) -> str:
    patients = "" if report.n_groups is None else f" of {report.n_groups} patients"
    return (
        f"{report.n_samples} rows{patients}, {report.n_classes} classes, "
        f"{100 * report.confidence:g}% intervals in brackets"
    )


def _rows(report: ReportFigures) -> list[list[str]]:
    names = _names(report)
    no_patients = _if_patients(report, "")
    alarms = report.tp + report.fp
    classes = [
        [
            names[c],
            f"{report.support[c]} of {report.n_known[c]}",
            *_patients(report, c),
            str(alarms[c]),
            f"{report.threshold[c]:.3g}",
            rate_cell(report.recall[c], report.recall_interval[c]),
            rate_cell(report.precision[c], report.precision_interval[c]),
            rate_cell(report.f1[c], report.f1_interval[c]),
            rate_cell(report.auroc[c], report.auroc_interval[c]),
            rate_cell(report.average_precision[c]),
        ]
        for c in _by_frequency(report)
    ]
    macro = [
        *("macro average", "", *no_patients, "", ""),
        rate_cell(report.macro_recall, report.macro_recall_interval),
        rate_cell(report.macro_precision, report.macro_precision_interval),
        rate_cell(report.macro_f1, report.macro_f1_interval),
        rate_cell(report.macro_auroc, report.macro_auroc_interval),
        rate_cell(report.macro_average_precision),
    ]
    micro = [
        *("micro average", f"{report.support.sum()} of {report.n_known.sum()}", *no_patients),
        *(str(alarms.sum()), ""),
        rate_cell(report.micro_recall, report.micro_recall_interval),
        rate_cell(report.micro_precision, report.micro_precision_interval),
        rate_cell(report.micro_f1, report.micro_f1_interval),
        *("", ""),
    ]
    return [*classes, macro, micro]


def _notes(report: ReportFigures) -> list[str]:
    """Say what the table's figures mean, and what they are to be compared with."""
    notes = [f"F1 > 0 in {report.n_learned} of {report.n_with_support} classes with positives."]
    notes.append(
        "Macro F1 without looking at a row: "
        f"{rate_cell(report.macro_f1_all_positive)} by calling every class, "
        f"{rate_cell(report.macro_f1_chance)} by calling each as often as it occurs."
    )
    notes.append(
        f"Single labels right: {report.accuracy:.3f}; by calling nothing: "
        f"{report.accuracy_predicting_nothing:.3f}."
    )
    if not np.isnan(report.subset_accuracy):
        notes.append(
            f"Rows with every label right: {report.subset_accuracy:.3f}; by calling nothing: "
            f"{report.subset_accuracy_predicting_nothing:.3f}."
        )
    undefined = {
        "recall": report.recall,
        "precision": report.precision,
        "F1": report.f1,
        "AUROC": report.auroc,
        "AP": report.average_precision,
    }
    left_out = [
        f"{name} of {n}" for name, rates in undefined.items() if (n := np.isnan(rates).sum())
    ]
    if left_out:
        treated = "leave out" if report.undefined == "omit" else "count as 0 (but leave out AUROC)"
        notes.append(
            f"Macro averages {treated} what is undefined: {', '.join(left_out)} "
            f"of {report.n_classes} classes."
        )
    units, method, ranking = "rows", "exact", "DeLong's"
    if report.n_groups is not None:
        units, ranking = "patients", "Obuchowski's"
        method = "by an effective number of rows (approximate)"
    resampled = f"bootstrap of {report.n_resamples} resamples" if report.n_resamples else "none"
    notes.append(
        f"Intervals: {method} for rates and F1; {ranking} for AUROC; for AP none; for "
        f"averages {resampled}. They suppose independent {units} that chose neither the "
        "thresholds nor the model, and hold one at a time."
    )
    return notes
