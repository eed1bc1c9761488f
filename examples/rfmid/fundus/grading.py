"""Grades of severity, by what is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

import numpy as np

from .render import fundus_severity

# By disease, where its grade 2, 3, ... begins: in red lesions, standard deviation of the blur in
# retinal units, and drusen.
CUTS = MappingProxyType({"DR": (25.0, 42.0, 60.0), "MH": (0.022, 0.034), "DN": (45.0, 73.0)})


def grades_of(labels: Iterable[str], rng: np.random.Generator) -> list[int]:
    """Return the grade of each disease in `CUTS` as `draw_fundus` draws it; 0 where it is absent.

    Examples
    --------
    >>> grades_of(["DR", "MH"], np.random.default_rng(1))[2]
    0
    """
    severity = fundus_severity(labels, rng=rng)
    return [
        1 + int(np.searchsorted(cuts, severity[code], side="right")) if code in severity else 0
        for code, cuts in CUTS.items()
    ]
