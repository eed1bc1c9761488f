"""Validation of single numbers that users pass as options."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlthresh.exceptions import InputError

__all__ = ["as_integer", "as_number"]


def as_number(
    value: Any, name: str, *, at_least: float | None = None, above: float | None = None
) -> float:
    """Return a finite float inside its domain, ``>= at_least`` and ``> above``."""
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if (
        not is_number
        or isinstance(value, bool)
        or not math.isfinite(value)
        or (at_least is not None and value < at_least)
        or (above is not None and value <= above)
    ):
        bounds = [
            f"{sign} {bound:g}"
            for sign, bound in ((">=", at_least), (">", above))
            if bound is not None
        ]
        expected = " ".join(["a finite number", *bounds])
        raise InputError(f"{name} must be {expected}, got {value!r}")
    return float(value)


def as_integer(value: Any, name: str, low: int, end: int | None = None) -> int:
    """Return an int of at least `low` and below `end`."""
    if (
        not isinstance(value, int | np.integer)
        or isinstance(value, bool)
        or value < low
        or (end is not None and value >= end)
    ):
        expected = f"an integer >= {low}" if end is None else f"an integer from {low} to {end - 1}"
        raise InputError(f"{name} must be {expected}, got {value!r}")
    return int(value)
