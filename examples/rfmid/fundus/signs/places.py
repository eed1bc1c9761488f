"""Where lesions lie, and the colours that several diseases share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from examples.rfmid.fundus.retina import Colour, Retina

Points = NDArray[np.float64]

# Factors that stain what lies beneath.
BLOOD: Colour = (0.58, 0.27, 0.30)
PIGMENT: Colour = (0.44, 0.38, 0.44)
# Colours that cover it.
EXUDATE: Colour = (0.98, 0.88, 0.48)
COTTON: Colour = (0.94, 0.88, 0.74)


def around(x: float, y: float, spread: float, n: int, rng: np.random.Generator) -> Points:
    """Points (n, 2) in a normal cloud around a point."""
    return rng.normal((x, y), spread, (n, 2))


def clear_of_disc(points: Points, retina: Retina, margin: float = 1.35) -> Points:
    """Push points out of the optic disc, to ``margin`` disc radii from its centre at least."""
    offset = points - retina.disc
    distance = np.linalg.norm(offset, axis=-1, keepdims=True)
    nearest = margin * retina.disc_radius
    pushed: Points = retina.disc + offset * np.maximum(1, nearest / np.maximum(distance, 1e-9))
    return pushed
