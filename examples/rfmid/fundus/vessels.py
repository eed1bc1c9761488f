"""The branching vessels: polylines that leave the disc, arch around the macula and taper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .retina import Retina

Points = NDArray[np.float64]

_TRUNK_STEPS, _BRANCH_STEPS = 44, 13


@dataclass(frozen=True)
class Bundle:
    """Vessels of one generation: points (n, steps, 2), widths (n, steps), headings alike."""

    points: Points
    widths: Points
    headings: Points


@dataclass(frozen=True)
class Tree:
    """One kind of vessel. Trunks: superior and inferior temporal, superior and inferior nasal."""

    trunks: Bundle
    branches: tuple[Bundle, ...]


def grow(
    start: Points,
    heading: Points,
    final_heading: Points,
    bend: Points | float,
    length: Points | float,
    width: Points,
    *,
    tortuosity: float,
    taper: float,
    steps: int,
    rng: np.random.Generator,
) -> Bundle:
    """Grow n vessels at once: each turns from its heading to its final one over ``bend``."""
    n = len(start)
    s = np.linspace(0, 1, steps) * np.broadcast_to(length, n)[:, None]
    turn = np.exp(-s / np.broadcast_to(bend, n)[:, None])
    headings = final_heading[:, None] + (heading - final_heading)[:, None] * turn
    for wavelength, amplitude in ((1.1, 1.0), (0.5, 0.9), (0.22, 0.45)):
        phase = rng.uniform(0, 2 * np.pi, (n, 1))
        scale = rng.uniform(0.6, 1.4, (n, 1))
        wave = np.sin(2 * np.pi * s / (wavelength * scale) + phase)
        headings = headings + tortuosity * amplitude * wave * np.minimum(1, s / 0.15)
    step = np.diff(s, axis=1, prepend=0)[..., None]
    points = start[:, None] + np.cumsum(
        step * np.stack([np.cos(headings), np.sin(headings)], axis=-1), axis=1
    )
    widths = width[:, None] * (1 - taper * np.linspace(0, 1, steps))
    return Bundle(points, widths, headings)


def _branch(
    parent: Bundle, per_vessel: int, *, reach: float, tortuosity: float, rng: np.random.Generator
) -> Bundle:
    n, steps = parent.widths.shape
    slots = (np.arange(per_vessel) + rng.uniform(0.1, 0.9, (n, per_vessel))) / per_vessel
    at = ((0.1 + 0.88 * slots) * (steps - 1)).astype(int).ravel()
    row = np.repeat(np.arange(n), per_vessel)
    sign = np.where((np.arange(len(row)) + rng.integers(2)) % 2 == 0, 1.0, -1.0)
    heading = parent.headings[row, at]
    angle = rng.uniform(0.35, 0.95, len(row))
    width = parent.widths[row, at] * rng.uniform(0.35, 0.7, len(row))
    return grow(
        parent.points[row, at],
        heading + sign * angle,
        heading + sign * angle * rng.uniform(0.2, 1.1, len(row)),
        0.4,
        reach * rng.uniform(0.6, 1.3, len(row)),
        width,
        tortuosity=tortuosity,
        taper=0.6,
        steps=_BRANCH_STEPS,
        rng=rng,
    )


def grow_tree(
    retina: Retina,
    width: float,
    swelling: list[float],
    tortuosity: float,
    turn: float,
    rng: np.random.Generator,
) -> Tree:
    """Grow the four trunks of one kind and two generations of branches."""
    disc = np.array(retina.disc)
    up_down = np.array([1.0, -1.0, 1.0, -1.0])
    temporal = np.array([True, True, False, False])
    # Headings for the upper half; the lower half is mirrored.
    heading = np.where(temporal, rng.normal(1.75, 0.12, 4), rng.normal(1.2, 0.15, 4)) - turn
    final = np.where(temporal, rng.normal(3.32, 0.1, 4), rng.normal(0.55, 0.2, 4))
    widths = width * np.where(temporal, 1.0, 0.8) * np.array(swelling)
    trunks = grow(
        disc + rng.normal(0, 0.025, (4, 2)),
        up_down * heading,
        up_down * final,
        np.where(temporal, rng.normal(0.62, 0.06, 4), rng.normal(0.8, 0.2, 4)),
        np.where(temporal, rng.uniform(2.5, 3.0, 4), rng.uniform(1.5, 2.0, 4)),
        widths,
        tortuosity=tortuosity,
        taper=0.55,
        steps=_TRUNK_STEPS,
        rng=rng,
    )
    # Fine vessels that leave the disc on their own, toward the macula and the nasal side.
    angles = np.concatenate([rng.normal(np.pi, 0.55, 3), rng.normal(0, 0.6, 2)])
    fine = grow(
        disc + rng.normal(0, 0.06, (5, 2)),
        angles,
        angles + rng.normal(0, 0.3, 5),
        0.3,
        np.concatenate([rng.uniform(0.35, 0.7, 3), rng.uniform(0.5, 1.2, 2)]),
        width * rng.uniform(0.25, 0.4, 5),
        tortuosity=tortuosity,
        taper=0.6,
        steps=_BRANCH_STEPS,
        rng=rng,
    )
    first = _branch(trunks, 6, reach=0.8, tortuosity=1.4 * tortuosity, rng=rng)
    second = _branch(first, 2, reach=0.4, tortuosity=1.4 * tortuosity, rng=rng)
    return Tree(trunks, (first, fine, second))


def grow_choroid(n: int, rng: np.random.Generator) -> Bundle:
    """Grow the broad choroidal vessels, which run outward and bend up or down."""
    angle, distance = rng.uniform(0, 2 * np.pi, n), 1.9 * np.sqrt(rng.random(n))
    start = np.stack([0.3 + distance * np.cos(angle), distance * np.sin(angle)], axis=-1)
    outward = np.arctan2(start[:, 1], start[:, 0] - 0.5)
    heading = outward + rng.normal(0, 0.35, n)
    return grow(
        start,
        heading,
        heading + rng.normal(0, 0.5, n),
        0.6,
        rng.uniform(0.5, 1.3, n),
        rng.uniform(0.025, 0.06, n),
        tortuosity=0.3,
        taper=0.5,
        steps=_BRANCH_STEPS,
        rng=rng,
    )
