"""Signs at the optic disc: cupping, pallor, edema."""

from __future__ import annotations

import numpy as np

from examples.rfmid.fundus.canvas import Canvas
from examples.rfmid.fundus.retina import Retina, smooth_step

from .places import BLOOD


def optic_disc_cupping(retina: Retina, rng: np.random.Generator) -> None:
    """ODC: the pale cup takes up most of the disc, as in glaucoma."""
    retina.cup = rng.uniform(0.64, 0.92)
    retina.cup_depth = rng.uniform(0.85, 1.0)
    retina.disc_radius *= rng.uniform(1.0, 1.2)


def optic_disc_pallor(retina: Retina, rng: np.random.Generator) -> None:
    """ODP: the rim has lost its pink: an evenly white disc with a sharp margin."""
    white = rng.uniform(0.65, 1.0)
    red, green, blue = retina.rim
    retina.rim = (
        red + white * (0.94 - red),
        green + white * (0.89 - green),
        blue + white * (0.80 - blue),
    )
    retina.disc_margin *= 0.6
    retina.artery_width *= rng.uniform(0.65, 0.9)
    retina.vein_width *= rng.uniform(0.8, 0.95)


def optic_disc_edema(retina: Retina, rng: np.random.Generator) -> None:
    """ODE: a swollen, reddened disc without cup or margin, and at times bleeding around it."""
    severity = rng.beta(1.6, 1.4)
    swell_disc(retina, severity)
    retina.vein_tortuosity *= 1.2 + 0.6 * severity
    n = rng.poisson(5 * severity)
    angles, reach = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.95, 1.5, n)
    lengths, opacity = rng.uniform(0.03, 0.09, n), rng.uniform(0.4, 0.9, n)

    def paint(canvas: Canvas) -> None:
        out = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        centres = retina.disc + out * (reach * retina.disc_radius)[:, None]
        mask = canvas.mask()
        mask.blobs(centres, lengths, rng, opacity=opacity, aspect=0.3, heading=angles)
        canvas.stain(mask.alpha(0.008), BLOOD)

    if n:
        retina.superficial.append(paint)


def swell_disc(retina: Retina, severity: float) -> None:
    """Raise and redden the disc, blur its margin and cloud the nerve fibres around it."""
    retina.disc_radius *= 1.2 + 0.55 * severity
    retina.disc_margin = 0.35 + 0.35 * severity
    retina.disc_aspect = 1.0
    retina.cup, retina.cup_depth = 0.1, 0.15
    red, green, blue = retina.rim
    retina.rim = (red, green * (0.94 - 0.12 * severity), blue)
    retina.disc_veil = 0.3 + 0.45 * severity

    def paint(canvas: Canvas) -> None:
        rho = canvas.distance(*retina.disc) / np.float32(retina.disc_radius)
        canvas.blend((0.15 + 0.4 * severity) * smooth_step(rho, 2.1, 0.9), (0.92, 0.68, 0.50))

    retina.deep.append(paint)
