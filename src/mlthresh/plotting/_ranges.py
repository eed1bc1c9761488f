"""Which thresholds a search was allowed, and which of them rows certify."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh.certify import Units, certify
from mlthresh.plotting._one_class import OneClass
from mlthresh.threshold_set import ThresholdSet

__all__ = ["Range", "threshold_ranges"]

Range: TypeAlias = tuple[float, float]


def threshold_ranges(
    one: OneClass, units: npt.NDArray[np.intp] | None, found: ThresholdSet
) -> dict[str, Any]:
    """Return the allowed thresholds of a class, and those that its rows certify."""

    def option(name: str) -> float | None:
        value = found.options.get(name)
        if isinstance(value, list):
            value = value[one.column]
        return None if value is None else float(value)

    low, high = option("min_threshold"), option("max_threshold")
    ranges: dict[str, Any] = {}
    if low is not None or high is not None:
        ranges["allowed"] = (-np.inf if low is None else low, np.inf if high is None else high)
    confidence = option("confidence")
    floors = {"min_recall": option("min_recall"), "min_specificity": option("min_specificity")}
    if confidence is None or not any(floors.values()):
        return ranges
    joint = bool(found.options.get("joint"))
    n_classes = found.options.get("joint_classes", found.n_classes)
    each = 1 - (1 - confidence) / n_classes if joint else confidence
    scores = one.score.astype(found.thresholds.dtype)

    def of_label(label: int) -> Units:
        return Units.of_rows(scores if label else -scores, one.label == label, units)

    promise = certify(of_label, scores.dtype, confidence=each, **floors)
    ranges["promise"] = (
        " and ".join(
            f"{name.removeprefix('min_')} ≥ {floor:g}" for name, floor in floors.items() if floor
        )
        + f" ({100 * confidence:g}% confidence{', all classes' if joint else ''})"
    )
    if promise.holds and promise.lowest <= promise.highest:
        ranges["certified"] = (float(promise.lowest), float(promise.highest))
    return ranges
