"""The report's section on another data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from examples.rfmid.reporting.record import RunRecord
from examples.rfmid.tables import counted, markdown_table, number, with_interval


def external_sections(record: RunRecord) -> list[str]:
    """Write a section for each data set that the run was scored on beside its own."""
    return [block for result in record.external for block in _section(record, result)]


def _section(record: RunRecord, result: Mapping[str, Any]) -> list[str]:
    at_home = {one["name"]: one for one in record.evaluation["test"]["classes"]}
    floors = result["floors"]["checks"] if result["floors"] else []
    rows = [
        [
            record.label(one["name"]),
            f"{one['support']} of {one['n_known']}",
            *(with_interval(one[rate], one[f"{rate}_interval"], 2) for rate in _RATES),
            " / ".join(number(at_home[one["name"]][rate], 2) for rate in _RATES),
            _verdict(floors, one["name"]),
        ]
        for one in result["report"]["classes"]
    ]
    found, report = result["calibration"], result["report"]
    auroc = with_interval(report["macro_auroc"], report["macro_auroc_interval"])
    broken = [one["class_name"] for one in floors if one["verdict"] == "broken"]
    return [
        f"## On other data: `{result['name']}`",
        _what(record, result),
        markdown_table(
            ["disease", "images with it", "recall", "precision", "AUROC", "own test set", "floor"],
            rows,
        ),
        (
            f"Macro-F1 {with_interval(report['macro_f1'], report['macro_f1_interval'])}, "
            f"macro-AUROC {auroc} over the diseases recorded there; macro calibration error "
            f"{number(found['probability']['macro_error'], 4)}, log loss "
            f"{number(found['probability']['log_loss'], 4)} (each disease's prevalence for "
            f"everyone: {number(found['log_loss_of_prevalence'], 4)})."
        ),
        _floors(result, broken),
    ]


_RATES = ("recall", "precision", "auroc")


def _what(record: RunRecord, result: Mapping[str, Any]) -> str:
    of = counted(result["n_images"], "image")
    if result["n_patients"] is not None:
        of += f" of {counted(result['n_patients'], 'patient')}"
    learnt = ", ".join(result["parts_learnt_from"])
    absent = ", ".join(map(record.label, result["not_recorded"]))
    label_map = result["label_map"]
    not_scored = f"Not recorded there, and so not scored: {absent}. " if absent else ""
    return (
        f"{of} that the run has not learnt from, at the thresholds as shipped"
        f"{f' ({learnt} left out)' if learnt else ''}. What a column means: "
        f"{f'label map `{label_map}`' if label_map else 'the class of the same code'}. "
        f"{not_scored}"
        "*Own test set*: recall / precision / AUROC at home. Precision moves with how common a "
        "disease is."
    )


def _verdict(floors: list[dict[str, Any]], code: str) -> str:
    mine = [one for one in floors if one["class_name"] == code]
    return ", ".join(f"{one['floor']:g} {one['rate']}: {one['verdict']}" for one in mine) or "-"


def _floors(result: Mapping[str, Any], broken: list[str]) -> str:
    if result["floors"] is None:
        return "The thresholds were chosen without a floor, so there is none to verify."
    return (
        f"A floor *holds* where its exact bound at {result['floors']['confidence']:.0%} reaches "
        "it, is *broken* where even the upper bound stays below it, and else *undecided*: too few "
        f"patients. Broken here: {', '.join(broken) or 'none'}."
    )
