"""Flat arrays in which the entries of several classes lie one class after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Index", "Segments"]

Index: TypeAlias = npt.NDArray[np.intp]


class Segments:
    """Where each class's entries lie; each class has at least one.

    Attributes
    ----------
    start : array of shape (n_classes,)
        Index of each class's first entry.
    of_class : array of shape (n_entries,)
        The class that each entry belongs to.

    Examples
    --------
    >>> segments = Segments([2, 1])
    >>> segments.of_class
    array([0, 0, 1])
    >>> segments.first_best(np.array([3.0, 3.0, 1.0]), np.array([False, True, True]))
    array([1, 2])
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        size = np.array(sizes)
        self.start: Index = size.cumsum() - size
        self.of_class = np.arange(len(size)).repeat(size)

    def first_best(self, value: npt.NDArray[np.float64], among: npt.NDArray[np.bool_]) -> Index:
        """Return for each class the first of the best of these entries; there is one in each."""
        top = np.maximum.reduceat(np.where(among, value, -np.inf), self.start)
        best = np.flatnonzero(among & (value == top[self.of_class]))
        return best[best.searchsorted(self.start)]
