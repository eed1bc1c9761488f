"""Thresholds to start from, each found by the search that its name says."""

from __future__ import annotations

from typing import Any, NamedTuple

from mlthresh.threshold_set import ScoreScale, ThresholdSet
from mlthresh.thresholds import find_optimal_thresholds

__all__ = ["Preset", "presets"]

_POOLED = {"strategy": "pooled"}


class Preset(NamedTuple):
    """Thresholds under a name, and in a sentence how they were chosen."""

    name: str
    about: str
    found: ThresholdSet


def presets(
    labels: Any,
    scores: Any,
    *,
    class_names: tuple[str, ...] | None,
    groups: Any,
    min_recall: float,
    confidence: float,
    score_scale: ScoreScale,
    given: ThresholdSet | None,
) -> list[Preset]:
    """Return the thresholds given, if any, and those of each search that suits the scores.

    0.5 and the grid mean something for probabilities only.
    """
    floor = f"recall at least {min_recall:g} with {100 * confidence:g} % confidence"
    searches: list[tuple[str, str, dict[str, Any]]] = [
        ("Exact", "The cut of the highest F1 on this data", {"strategy": "exact"}),
        ("Pooled", "The highest expected F1, rare classes borrowing from all", _POOLED),
        (
            "Certified",
            f"Pooled, but no higher than certifies {floor}",
            {**_POOLED, "min_recall": min_recall, "confidence": confidence, "groups": groups},
        ),
    ]
    if score_scale == "probability":
        fixed = {"strategy": "grid", "grid": [0.5], "min_threshold": 0.5, "max_threshold": 0.5}
        searches[:0] = [
            ("Fixed 0.5", "0.5 for every class with positives", fixed),
            ("Grid", "The highest F1 of 0.10, 0.15, ..., 0.90", {"strategy": "grid"}),
        ]
    found = [
        Preset(
            name,
            about,
            find_optimal_thresholds(
                labels, scores, class_names=class_names, score_scale=score_scale, **options
            ),
        )
        for name, about, options in searches
    ]
    return found if given is None else [Preset("File", "The thresholds given", given), *found]
