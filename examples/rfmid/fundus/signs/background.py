"""Signs that change the whole photograph: media haze, tessellation, myopia."""

from __future__ import annotations

import numpy as np

from examples.rfmid.fundus.canvas import Canvas
from examples.rfmid.fundus.retina import Retina, smooth_step


def media_haze(retina: Retina, rng: np.random.Generator) -> None:
    """MH: a cloudy lens or vitreous blurs the photograph and lays a pale veil over it."""
    severity = rng.beta(1.4, 1.6)
    retina.haze = max(retina.haze, 0.14 + 0.44 * severity * rng.uniform(0.7, 1.1))
    retina.defocus = max(retina.defocus, 0.012 + 0.045 * severity * rng.uniform(0.4, 1.2))
    retina.severity["MH"] = retina.defocus
    yellow = rng.uniform(0, 1)
    retina.haze_colour = (0.62 + 0.06 * yellow, 0.57 + 0.01 * yellow, 0.54 - 0.20 * yellow)


def tessellation(retina: Retina, rng: np.random.Generator) -> None:
    """TSLN: thin pigment lets the choroidal vessels show, like a tiger's stripes."""
    retina.choroid = max(retina.choroid, rng.uniform(0.35, 0.9))
    retina.macula_darkness *= 0.8


def myopia(retina: Retina, rng: np.random.Generator) -> None:
    """MYA: a stretched eye: a pale crescent beside a tilted disc, and thin pale pigment."""
    severity = rng.beta(1.5, 1.5)
    retina.choroid = max(retina.choroid, 0.15 + 0.65 * severity)
    retina.pallor = 0.12 + 0.45 * severity * rng.uniform(0.6, 1.0)
    retina.disc_aspect *= rng.uniform(0.72, 0.95)
    size, tilt = rng.uniform(1.1, 1.3) + 0.4 * severity, rng.normal(0, 0.35)
    shift = rng.uniform(0.35, 0.55) + 0.35 * severity
    n_patches = rng.poisson(1.6 * severity) if severity > 0.5 else 0

    def paint(canvas: Canvas) -> None:
        (x, y), radius = retina.disc, retina.disc_radius
        x -= shift * radius * np.cos(tilt)
        y += shift * radius * np.sin(tilt)
        rho = canvas.distance(x, y, aspect=0.95) / np.float32(size * radius)
        ragged = rho * (1 + 0.05 * canvas.noise(14, rng))
        crescent = smooth_step(ragged, 1.12, 0.90)
        canvas.stain(smooth_step(np.abs(ragged - 1.08), 0.16, 0.02), (0.84, 0.80, 0.82))
        canvas.blend(rng.uniform(0.55, 0.85) * crescent, (0.95, 0.86, 0.72))
        if n_patches:
            mask = canvas.mask()
            centres = rng.normal((0.35, 0), 0.5, (n_patches, 2))
            mask.blobs(centres, rng.uniform(0.08, 0.24, n_patches), rng, irregularity=0.5)
            canvas.blend(0.8 * mask.alpha(0.015), (0.96, 0.87, 0.70))

    retina.deep.append(paint)
