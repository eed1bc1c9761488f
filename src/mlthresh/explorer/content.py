"""All that a page knows of the data: per class the kept cuts with their counts, and presets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray, shown_names
from mlthresh._clustered import clustered_auroc_interval
from mlthresh._intervals import auroc_interval
from mlthresh._ranking import average_precision, placements
from mlthresh.certify import Units, largest_rank, positives_needed
from mlthresh.counts import SortedClass
from mlthresh.explorer.curves import Curve, round_thresholds, thin
from mlthresh.explorer.patients import effective_rows
from mlthresh.explorer.presets import Preset
from mlthresh.threshold_set import ScoreScale

__all__ = ["Data", "content"]

_MOST_CUTS = 40_000  # of all classes together, which keeps a page under 5 MB
_FLOORS = (*(percent / 100 for percent in range(5, 100, 5)), 0.99)


class Data(NamedTuple):
    """Checked arrays: labels and scores (n_samples, n_classes), each row's patient, and names."""

    labels: npt.NDArray[Any]
    scores: FloatArray
    units: npt.NDArray[np.intp] | None
    class_names: tuple[str, ...] | None


def content(
    data: Data,
    presets: list[Preset],
    *,
    score_scale: ScoreScale,
    source: str,
    min_recall: float,
    confidence: float,
) -> dict[str, Any]:
    """Return JSON values.

    Everything about a threshold follows from whole counts: of each class `tp` and `fp` at the
    kept thresholds, and for each floor on recall how many missed positives still certify it
    (-1: none do). `cuts` says where in these each preset's thresholds are.
    """
    floors = sorted({*_FLOORS, float(min_recall)})
    n_samples, n_classes = data.scores.shape
    names = shown_names(data.class_names, n_classes)
    curves, classes = [], []
    for c in range(n_classes):
        one_class = SortedClass(data.scores[:, c], data.labels[:, c])
        marks = np.array([preset.found.thresholds[c] for preset in presets], data.scores.dtype)
        curve = thin(
            one_class, marks, ticks=_ticks(one_class, score_scale), steps=_steps(n_classes)
        )
        curves.append(curve)
        classes.append(
            {
                "name": names[c],
                "positives": one_class.n_positives,
                "negatives": one_class.n_negatives,
                "distinct": len(one_class.distinct_scores()),
                "threshold": [_finite_or_text(t) for t in curve.threshold.tolist()],
                "tp": curve.tp.tolist(),
                "fp": curve.fp.tolist(),
                **_ranking(data, c, one_class, confidence),
                **_certified(data, c, one_class, floors, confidence),
                **_effective(data, c, curve, confidence),
            }
        )
    return {
        "source": source,
        "named": data.class_names is not None,
        "rows": n_samples,
        "patients": None if data.units is None else int(data.units.max()) + 1,
        "dtype": data.scores.dtype.name,
        "score_scale": score_scale,
        "confidence": confidence,
        "floors": floors,
        "floor": floors.index(float(min_recall)),
        "needed": [positives_needed(floor, confidence) for floor in floors],
        "classes": classes,
        "presets": [_preset(preset, curves, data.scores.dtype) for preset in presets],
    }


def _steps(n_classes: int) -> int:
    # A class gets its ticks, its marks and about three cuts a step.
    return max(10, min(100, _MOST_CUTS // n_classes // 4))


def _ticks(one_class: SortedClass, score_scale: ScoreScale) -> list[float]:
    if score_scale == "probability":
        return [percent / 100 for percent in range(1, 100)]
    ends = [s[[0, -1]] for s in (one_class.positive, one_class.negative) if len(s)]
    return round_thresholds(float(np.min(ends)), float(np.max(ends))) if ends else []


def _ranking(data: Data, c: int, one_class: SortedClass, confidence: float) -> dict[str, Any]:
    positive, negative = one_class.positive, one_class.negative
    placed = placements(positive, negative)
    if data.units is None:
        interval = auroc_interval(*placed, confidence)
    else:
        score, label = data.scores[:, c], data.labels[:, c]
        rows = [np.flatnonzero(label == kind) for kind in (1, 0)]
        units = [data.units[one[np.argsort(score[one], kind="stable")]] for one in rows]
        interval = clustered_auroc_interval(*placed, units[0], units[1], confidence)
    known = len(positive) > 0 and len(negative) > 0
    return {
        "auroc": float(placed[0].mean()) if known else None,
        "auroc_interval": list(map(float, interval)) if known else None,
        "average_precision": average_precision(positive, negative) if len(positive) else None,
    }


def _effective(data: Data, c: int, curve: Curve, confidence: float) -> dict[str, Any]:
    """Return what the rows behind each figure are worth, where patients have several.

    Rounded down, and for recall and specificity also at the root of the confidence, at which
    both intervals hold together.
    """
    if data.units is None:
        return {}
    threshold = curve.threshold.astype(data.scores.dtype)
    columns = data.scores[:, c], data.labels[:, c]
    one, both = effective_rows(*columns, data.units, threshold, (confidence, confidence**0.5))
    return {
        "effective": {name: _rounded_down(values) for name, values in one.items()},
        "effective_together": {
            name: _rounded_down(both[name]) for name in ("recall", "specificity")
        },
    }


def _rounded_down(values: npt.NDArray[np.float64]) -> list[float]:
    digit = 10.0 ** (np.floor(np.log10(np.maximum(values, 1.0))) - 4)
    return [float(f"{value:.6g}") for value in (np.floor(values / digit) * digit).tolist()]


def _certified(
    data: Data, c: int, one_class: SortedClass, floors: list[float], confidence: float
) -> dict[str, Any]:
    units = Units.of_rows(data.scores[:, c], data.labels[:, c] == 1, data.units)
    misses = []
    for floor in floors:
        k = largest_rank(units.n, floor, confidence)
        misses.append(int(one_class.positive.searchsorted(units.lowest(k))) if k else -1)
    return {"units": units.n, "misses": misses}


def _preset(preset: Preset, curves: list[Curve], dtype: np.dtype[Any]) -> dict[str, Any]:
    thresholds = zip(curves, preset.found.thresholds, strict=True)
    return {
        "name": preset.name,
        "about": preset.about,
        "cuts": [int(curve.threshold.astype(dtype).searchsorted(t)) for curve, t in thresholds],
        "file": preset.found.to_dict(),
    }


def _finite_or_text(value: float) -> float | str:
    return value if np.isfinite(value) else str(value)
