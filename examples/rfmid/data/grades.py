"""Columns that grade a disease: ``DR_grade`` says how severe ``DR`` is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from examples.rfmid.errors import RecipeError

GradesByClass = Mapping[str, npt.NDArray[np.float32]]

_SUFFIX = "_grade"
_HIGHEST = 20  # more than that is a measurement


def grade_columns(header: Iterable[str], class_names: Collection[str]) -> dict[str, str]:
    """Return column -> class for the columns that grade a class.

    Examples
    --------
    >>> grade_columns(["ID", "DR", "DR_grade", "image_grade"], ["DR"])
    {'DR_grade': 'DR'}
    """
    codes = {f"{name}{_SUFFIX}".lower(): name for name in class_names}
    return {name: codes[name.lower()] for name in header if name.lower() in codes}


def read_grades(
    cells: Sequence[str],
    labels: npt.NDArray[np.float32],
    places: Sequence[str],
    missing: Collection[str],
) -> npt.NDArray[np.float32]:
    """Return the grades in a column, NaN where it holds one of `missing`."""
    grades = np.full(len(cells), np.nan, dtype=np.float32)
    for i, cell in enumerate(cells):
        if cell.lower() in missing:
            continue
        digits = cell.removesuffix(".0")
        if not (digits.isdecimal() and int(digits) <= _HIGHEST):
            raise RecipeError(
                f"{places[i]}: {cell!r} is no grade: expected 0, 1, ..., {_HIGHEST} or empty"
            )
        grades[i] = int(digits)
        if not np.isnan(labels[i]) and (labels[i] == 1) != (grades[i] > 0):
            raise RecipeError(f"{places[i]}: the grade is {digits} beside the label {labels[i]:g}")
    return grades


def grade_levels(
    train: GradesByClass, others: Iterable[GradesByClass], class_names: Iterable[str]
) -> dict[str, int]:
    """Return how many grades each class has, 0 among them, for those that training can learn from.

    A class counts if its training images show at least two grades; its highest grade may be
    another split's.
    """
    levels = {}
    for name in class_names:
        known = np.unique(train.get(name, ()))
        if np.isfinite(known).sum() >= 2:
            every = [values[name] for values in (train, *others) if name in values]
            levels[name] = int(np.nanmax(np.concatenate(every))) + 1
    return levels
