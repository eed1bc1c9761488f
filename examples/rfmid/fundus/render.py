"""From a set of diseases to a photograph: plan the eye, let the diseases act, paint, expose."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mlthresh.exceptions import InputError

from .anatomy import paint_disc, paint_pigment, paint_vessels
from .camera import photograph
from .canvas import Canvas
from .label_sets import CODES
from .retina import Retina, plan_retina
from .signs import SIGNS
from .vessels import grow_tree

# By graded disease, where its grade 2, 3, ... begins: in red lesions, standard deviation of the
# blur in retinal units, and drusen.
CUTS = MappingProxyType({"DR": (25.0, 42.0, 60.0), "MH": (0.022, 0.034), "DN": (45.0, 73.0)})


def draw_fundus(
    labels: Iterable[str], *, size: int = 224, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw a fundus photograph of an eye with the given diseases.

    The eye, the camera and each disease have random streams of their own, so the same generator
    state draws the same eye with and without a disease.

    Parameters
    ----------
    labels : iterable of str
        RFMiD codes of the diseases, any of ``CODES``; empty for a healthy eye.
    size : int
        Width and height in pixels, at least 32.
    rng : numpy.random.Generator
        Source of everything random; it must have been made from a seed, to be split.

    Returns
    -------
    numpy.ndarray
        Red, green and blue, shape (size, size, 3), dtype uint8.

    Raises
    ------
    InputError
        If a label is unknown or the size too small.
    """
    if size < 32:
        raise InputError(f"size must be at least 32 pixels, got {size}")
    retina, (vein_rng, artery_rng, pigment_rng, camera_rng) = _plan_eye(labels, rng)
    veins = grow_tree(
        retina, retina.vein_width, retina.vein_swelling, retina.vein_tortuosity, 0.0, vein_rng
    )
    arteries = grow_tree(
        retina, retina.artery_width, [1.0] * 4, retina.artery_tortuosity, 0.22, artery_rng
    )
    canvas = Canvas(retina, veins, arteries, size)
    paint_pigment(canvas, pigment_rng)
    for paint in retina.deep:
        paint(canvas)
    paint_disc(canvas)
    paint_vessels(canvas)
    for paint in retina.superficial:
        paint(canvas)
    return photograph(canvas, camera_rng)


def grades_of(labels: Iterable[str], rng: np.random.Generator) -> list[int]:
    """Return the grade of each disease in `CUTS` as `draw_fundus` draws it; 0 where it is absent.

    Examples
    --------
    >>> grades_of(["DR", "MH"], np.random.default_rng(1))[2]
    0
    """
    severity = _plan_eye(labels, rng)[0].severity
    return [
        1 + int(np.searchsorted(cuts, severity[code], side="right")) if code in severity else 0
        for code, cuts in CUTS.items()
    ]


def _plan_eye(
    labels: Iterable[str], rng: np.random.Generator
) -> tuple[Retina, list[np.random.Generator]]:
    """Plan an eye and its diseases; return the streams for what is left to draw, too."""
    shown = set(labels)
    if unknown := shown - set(CODES):
        raise InputError(f"unknown disease codes {sorted(unknown)}; known: {', '.join(CODES)}")
    eye_rng, *streams = rng.spawn(5 + len(CODES))
    retina = plan_retina(eye_rng)
    for code, sign_rng in zip(CODES, streams[4:], strict=True):
        if code in shown:
            SIGNS[code](retina, sign_rng)
    return retina, streams[:4]
