"""Severity beside presence: what is kept of graded diseases, with their predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Grades:
    """Grades 0 (absent), 1, 2, ... of some diseases, and their predicted distributions.

    Attributes
    ----------
    codes : tuple of str
        The graded diseases.
    levels : tuple of int
        How many grades each has, 0 among them.
    true : float32 ndarray of shape (n_images, n_graded)
        NaN where the grade isn't known.
    prob : float64 ndarray of shape (n_images, n_graded, max(levels))
        Probability of each grade; 0 beyond a disease's last.
    """

    codes: tuple[str, ...]
    levels: tuple[int, ...]
    true: npt.NDArray[np.float32]
    prob: npt.NDArray[np.float64]

    @property
    def median(self) -> npt.NDArray[np.intp]:
        """The lowest grade that the true one exceeds with at most even odds."""
        above = 1 - np.cumsum(self.prob, axis=2)
        last = np.array(self.levels)[:, None] - 1
        exceeded = (above > 0.5) & (np.arange(self.prob.shape[2]) < last)
        median: npt.NDArray[np.intp] = exceeded.sum(axis=2)
        return median

    def rows(self, index: npt.NDArray[np.intp]) -> Grades:
        """Return some of the images."""
        return Grades(self.codes, self.levels, self.true[index], self.prob[index])

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return arrays for a file."""
        return {
            "grade_codes": np.array(self.codes, dtype=np.str_),
            "grade_levels": np.array(self.levels, dtype=np.int64),
            "grade_true": self.true,
            "grade_prob": self.prob,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], n_images: int) -> Grades | None:
        """Read what `to_arrays` returned; None where there is nothing of it.

        Raises
        ------
        KeyError, ValueError
            If a part is absent or of another shape.
        """
        if "grade_codes" not in arrays:
            return None
        found = cls(
            codes=tuple(map(str, arrays["grade_codes"])),
            levels=tuple(map(int, arrays["grade_levels"])),
            true=arrays["grade_true"],
            prob=arrays["grade_prob"],
        )
        shape = (n_images, len(found.codes))
        wanted = (*shape, max(found.levels, default=0))
        if found.true.shape != shape or found.prob.shape != wanted:
            raise ValueError(
                f"grades have the shapes {found.true.shape} and {found.prob.shape}, expected "
                f"{shape} and {wanted}"
            )
        return found
