"""Subgroups of the rows: who they are, by the values of one variable at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh.exceptions import InputError

__all__ = ["UNKNOWN", "subgroup_rows"]

UNKNOWN = "unknown"
_MOST_VALUES = 50


def subgroup_rows(subgroups: Any, n_samples: int) -> dict[str, dict[str, npt.NDArray[np.intp]]]:
    """Return for each variable its values, ascending, with the rows that have them.

    Parameters
    ----------
    subgroups : mapping of str to array of shape (n_samples,), frame, or None
        A value that is missing (None, NaN, an empty text) is "unknown", and comes last.
    n_samples : int

    Examples
    --------
    >>> subgroup_rows({"sex": ["m", "f", None, "m"]}, 4)
    {'sex': {'f': array([1]), 'm': array([0, 3]), 'unknown': array([2])}}
    """
    if subgroups is None:
        return {}
    names = getattr(subgroups, "columns", None)
    if names is None:
        if not isinstance(subgroups, Mapping):
            raise InputError(
                "subgroups must be a mapping from names to one value a row, or a frame, "
                f"got {type(subgroups).__name__}"
            )
        names = list(subgroups)
    return {str(name): _rows_of_values(str(name), subgroups[name], n_samples) for name in names}


def _rows_of_values(name: str, values: Any, n_samples: int) -> dict[str, npt.NDArray[np.intp]]:
    for method in ("tolist", "to_list"):  # of arrays, tensors and series
        if hasattr(values, method):
            values = getattr(values, method)()
            break
    listed = values if isinstance(values, list) else list(values)
    if len(listed) != n_samples:
        raise InputError(
            f"subgroups[{name!r}] has {len(listed)} values, but there are {n_samples} rows"
        )
    rows: dict[Any, list[int]] = {}
    for row, value in enumerate(listed):
        rows.setdefault(None if _is_missing(value) else value, []).append(row)
    unknown = rows.pop(None, None)
    if len(rows) > _MOST_VALUES:
        raise InputError(
            f"subgroups[{name!r}] has {len(rows)} different values; cut it into at most "
            f"{_MOST_VALUES} groups"
        )
    try:
        ordered = sorted(rows)
    except TypeError:  # texts among numbers
        ordered = sorted(rows, key=str)
    found = [(_shown(value), rows[value]) for value in ordered]
    if unknown is not None:
        found.append((UNKNOWN, unknown))
    if len({value for value, _ in found}) < len(found):
        raise InputError(
            f"subgroups[{name!r}] has different values that read alike: "
            f"{[value for value, _ in found]}"
        )
    return {value: np.array(members) for value, members in found}


def _is_missing(value: Any) -> bool:
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    same = value == value  # NaN and NaT differ from themselves
    return not (isinstance(same, bool) and same)  # pandas' NA is neither


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
