"""The options of a threshold search: their types, their checks and how a file shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import as_float64, per_class
from mlthresh.certify import check_confidence
from mlthresh.constraints import Constraints
from mlthresh.exceptions import InputError
from mlthresh.objectives import Objective, resolve_objective
from mlthresh.threshold_set import ScoreScale

__all__ = [
    "BOUNDS",
    "CHOICES",
    "FLOORS",
    "SearchOptions",
    "Settings",
    "check_options",
    "grid_points",
    "options_as_json",
]

FLOORS = ("min_recall", "min_precision", "min_specificity", "max_alarm_rate")
BOUNDS = ("min_threshold", "max_threshold")
CHOICES = {
    "strategy": ("exact", "pooled", "grid"),
    "average": ("macro", "micro"),
    "score_scale": ("probability", "real"),
    "on_infeasible": ("closest", "raise", "never"),
}


class SearchOptions(TypedDict, total=False):
    """The keyword options of a threshold search; see `ThresholdSearch`."""

    objective: str | Objective | Callable[..., npt.ArrayLike]
    min_recall: npt.ArrayLike | None
    min_precision: npt.ArrayLike | None
    min_specificity: npt.ArrayLike | None
    max_alarm_rate: npt.ArrayLike | None
    min_threshold: npt.ArrayLike | None
    max_threshold: npt.ArrayLike | None
    confidence: float | None
    joint: bool
    strategy: Literal["exact", "pooled", "grid"]
    grid: npt.ArrayLike | None
    score_scale: ScoreScale
    average: Literal["macro", "micro"]
    on_infeasible: Literal["closest", "raise", "never"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings:
    """The options of a threshold search, checked; see `mlthresh.ThresholdSearch`."""

    objective: str | Objective | Callable[..., npt.ArrayLike] = "f1"
    min_recall: npt.ArrayLike | None = None
    min_precision: npt.ArrayLike | None = None
    min_specificity: npt.ArrayLike | None = None
    max_alarm_rate: npt.ArrayLike | None = None
    min_threshold: npt.ArrayLike | None = None
    max_threshold: npt.ArrayLike | None = None
    confidence: float | None = None
    joint: bool = False
    strategy: Literal["exact", "pooled", "grid"] = "exact"
    grid: npt.ArrayLike | None = None
    score_scale: ScoreScale = "probability"
    average: Literal["macro", "micro"] = "macro"
    on_infeasible: Literal["closest", "raise", "never"] = "closest"

    def __post_init__(self) -> None:
        check_options(vars(self))

    def bounds(self, n_classes: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the lowest and the highest threshold asked for, each of shape (n_classes,)."""
        lowest = -np.inf if self.min_threshold is None else self.min_threshold
        highest = np.inf if self.max_threshold is None else self.max_threshold
        lowest = per_class(lowest, n_classes, "min_threshold")
        highest = per_class(highest, n_classes, "max_threshold")
        crossed = lowest > highest
        if crossed.any():
            c = crossed.argmax()
            raise InputError(
                f"min_threshold {lowest[c]} exceeds max_threshold {highest[c]} (class {c})"
            )
        return lowest, highest

    def constraints(self, n_classes: int) -> Constraints:
        """Return the constraints of all classes."""
        given = {name: getattr(self, name) for name in FLOORS}
        return Constraints(
            **{
                name: per_class(value, n_classes, name)
                for name, value in given.items()
                if value is not None
            }
        )


def check_options(options: Mapping[str, Any]) -> None:
    """Raise unless each option is in its domain and applies beside the others."""
    objective = resolve_objective(options["objective"])
    for name, choices in CHOICES.items():
        if options[name] not in choices:
            raise InputError(f"{name} must be one of {choices}, got {options[name]!r}")
    if options["average"] == "micro" and objective.worth is None:
        raise InputError(
            "average='micro' applies to f1, fbeta, jaccard, cost, youden and balanced_accuracy, "
            f"got {objective.name!r}"
        )
    for name in (*FLOORS, *BOUNDS):
        value = options[name]
        if value is None:
            continue
        array = as_float64(value, name)
        per_class(value, array.size, name)
        if name in FLOORS and not ((array >= 0) & (array <= 1)).all():
            raise InputError(f"{name} must lie in [0, 1], got {value!r}")
    if options["confidence"] is not None:
        check_confidence(options["confidence"])
        if options["min_recall"] is None and options["min_specificity"] is None:
            raise InputError("confidence applies to min_recall or min_specificity; give one")
    elif options["joint"]:
        raise InputError("joint applies with confidence only")
    if options["strategy"] == "grid":
        grid_points(options["grid"])
    elif options["grid"] is not None:
        raise InputError("grid applies to strategy='grid' only")


def grid_points(grid: npt.ArrayLike | None) -> npt.NDArray[np.float64]:
    """Return the grid, ascending; by default 0.10, 0.15, ..., 0.90."""
    if grid is None:
        return np.arange(10, 91, 5) / 100  # the quotient is the float nearest to the decimal
    points = as_float64(grid, "grid")
    if points.ndim != 1 or points.size == 0 or not np.isfinite(points).all():
        raise InputError(f"grid must be a non-empty list of finite numbers, got {grid!r}")
    return np.unique(points)


def options_as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were set, as JSON values."""
    shown: dict[str, Any] = {
        "objective": resolve_objective(options["objective"]).name,
        "strategy": options["strategy"],
        "average": options["average"],
        "on_infeasible": options["on_infeasible"],
    }
    for name in (*FLOORS, *BOUNDS, "grid"):
        value = options[name]
        if value is not None:
            shown[name] = _finite_or_text(as_float64(value, name).tolist())
    if options["confidence"] is not None:
        shown |= {"confidence": float(options["confidence"]), "joint": bool(options["joint"])}
    return shown


def _finite_or_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite_or_text(item) for item in value]
    return value if np.isfinite(value) else str(value)
