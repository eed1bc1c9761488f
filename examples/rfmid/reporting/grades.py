"""The report's section on severity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from examples.rfmid.reporting.record import RunRecord
from examples.rfmid.tables import markdown_table, number, with_interval


def grade_section(record: RunRecord) -> list[str]:
    """Write how well severity is graded, where the run has learnt to."""
    found = record.evaluation.get("grades", [])
    if not found:
        return []
    rows = [
        [record.label(one["class"]), title, *_cells(one[kind])]
        for one in found
        for kind, title in (("all", "all"), ("diseased", "with the disease"))
    ]
    counts = "; ".join(
        f"{one['class']} {' / '.join(str(n) for n in one['n_of_grade'])}" for one in found
    )
    return [
        "## Grades of severity",
        (
            "On the test images whose grade is known; the predicted grade is the median of the "
            "predicted distribution. Kappa is weighted by the squared distance of the grades: 1 is "
            "agreement, 0 is chance. The error is in grades, beside that of giving every image the "
            "validation images' median grade. Over all images both say above all whether the "
            "disease is found; the severity of what is there is graded in the second line. "
            f"{found[0]['confidence']:.0%} intervals in brackets."
        ),
        markdown_table(
            [
                "disease",
                "images",
                "n",
                "weighted kappa",
                "mean absolute error",
                "one grade for all",
            ],
            rows,
            n_left=2,
        ),
        f"Test images of grade 0 / 1 / ...: {counts}.",
    ]


def _cells(of: Mapping[str, Any]) -> list[str]:
    return [
        str(of["n"]),
        with_interval(of["kappa"], of["kappa_interval"], 2),
        with_interval(of["error"], of["error_interval"], 2),
        number(of["error_of_median"], 2),
    ]
