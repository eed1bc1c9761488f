"""What is said of one photograph, and of the model that says it: plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from examples.rfmid.serving.examine import Examination, most_probable_grade
from mlthresh import ThresholdSet


def about_classes(
    names: Mapping[str, str], thresholds: ThresholdSet, certified: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return code, name, threshold and certified recall of each class, in the model's order.

    Parameters
    ----------
    names
        Code -> disease name.
    thresholds
        Of the same classes.
    certified
        What `certified_recall` returned.
    """
    by_code = {one["class"]: one for one in certified["classes"]}
    return [
        {
            "code": code,
            "name": name,
            "threshold": threshold if math.isfinite(threshold) else str(threshold),
            "certified": _certified(by_code.get(code), certified),
        }
        for (code, name), threshold in zip(
            names.items(), thresholds.thresholds.tolist(), strict=True
        )
    ]


def findings(
    classes: Sequence[Mapping[str, Any]], examination: Examination
) -> list[dict[str, Any]]:
    """Return an entry a class: those found first, then by probability.

    One that is graded also has its most probable grade. A class whose threshold is infinite had
    nothing to choose it by: it is "not assessed", which is not a "no".
    """
    entries = [{**one, **_said(examination, one)} for one in classes]
    return sorted(entries, key=lambda one: (one["decision"] != "yes", -one["probability"]))


def _said(examination: Examination, one: Mapping[str, Any]) -> dict[str, Any]:
    code = one["code"]
    otherwise = "not assessed" if one["threshold"] == "inf" else "no"
    said: dict[str, Any] = {
        "probability": examination.probabilities[code],
        "decision": "yes" if examination.decisions[code] else otherwise,
    }
    if code in examination.grades:
        distribution = examination.grades[code]
        said["grade"] = {
            **most_probable_grade(distribution)._asdict(),
            "distribution": distribution,
        }
    return said


def _certified(one: Mapping[str, Any] | None, certified: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lower bound of a class's recall, whether it reaches the floor, and if not, why."""
    unit = "image" if certified.get("n_patients") is None else "patient"
    if one is None:
        why_not = certified["why_not"] or "it is no class of those set aside"
        return {"recall_at_least": None, "why_not": why_not}
    if not one["with_disease"]:
        return {"recall_at_least": None, "why_not": f"no {unit} set aside shows it"}
    evidence = f"{one['found']} of {one['with_disease']} {unit}s found"
    lower, floor = one["recall_at_least"], one["floor"]
    return {
        "recall_at_least": lower if lower >= floor else None,
        "confidence": certified["confidence"],
        "floor": floor,
        "evidence": evidence,
        "why_not": None
        if lower >= floor
        else f"{evidence} show at least {lower:.2f}, the floor is {floor:g}",
    }
