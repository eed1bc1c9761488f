"""The recall that images which chose nothing certify."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from mlthresh import ThresholdSet, verify_thresholds

CONFIDENCE = 0.9

_WHY_NOT = (
    "no validation patients were set aside (--certify-share): the others chose the epoch and the "
    "thresholds, and who chooses can't certify"
)


def certified_recall(folder: RunFolder, thresholds: ThresholdSet) -> dict[str, Any]:
    """Return each class's lower bound of recall, or why there is none.

    A bound holds with the confidence `CONFIDENCE` for its class, for this model at these
    thresholds and for patients like those set aside: one-sided Clopper-Pearson over patients, of
    whom one counts as found if every image that shows the disease is called.
    """
    path = folder.predictions("certify")
    if not path.is_file():
        return {"confidence": CONFIDENCE, "why_not": _WHY_NOT, "classes": []}
    aside = Predictions.load(path)
    report = verify_thresholds(
        replace(thresholds, options={"min_recall": thresholds.options.get("min_recall") or 0.0}),
        aside.y_true,
        aside.y_score,
        confidence=CONFIDENCE,
        groups=aside.patients,
    )
    return {
        "confidence": CONFIDENCE,
        "why_not": None,
        "n_images": len(aside.ids),
        "n_patients": aside.n_patients,
        "classes": [
            {
                "class": check.class_name,
                "floor": check.floor,
                "found": check.met,
                "with_disease": check.units,
                "recall_at_least": check.lower,
            }
            for check in report.checks
        ],
    }


def certified_summary(certified: dict[str, Any]) -> str:
    """Write one line of it."""
    if certified["why_not"]:
        return f"recall certified for no class: {certified['why_not']}"
    holds = [one["class"] for one in certified["classes"] if one["recall_at_least"] >= one["floor"]]
    return (
        f"floor on recall certified at {certified['confidence']:.0%} by {certified['n_images']} "
        f"images set aside: {len(holds)} of {len(certified['classes'])} classes"
        f"{': ' if holds else ''}{', '.join(holds)}"
    )
