"""Checks that the settings share."""

from __future__ import annotations

import math
from typing import Literal, get_args, get_origin, get_type_hints

from examples.rfmid.errors import RecipeError


def require(condition: bool, message: str) -> None:  # noqa: FBT001
    """Raise a RecipeError with this message unless the condition holds."""
    if not condition:
        raise RecipeError(message)


def require_range(section: object, low: float, high: float, *names: str) -> None:
    """Check that these numbers lie in [low, high]."""
    for name in names:
        value = getattr(section, name)
        if not (isinstance(value, (int, float)) and low <= value <= high):  # NaN fails too
            bound = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise RecipeError(f"{name} must be {bound}, got {value!r}")


def require_choices(section: object) -> None:
    """Check the fields of type Literal, for configurations that no command line has checked."""
    for name, kind in get_type_hints(type(section)).items():
        if get_origin(kind) is Literal and getattr(section, name) not in get_args(kind):
            choices = ", ".join(get_args(kind))
            raise RecipeError(f"{name} must be one of {choices}, got {getattr(section, name)!r}")
