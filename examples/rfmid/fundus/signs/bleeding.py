"""Signs of sick retinal vessels: diabetic retinopathy and the vein occlusions."""

from __future__ import annotations

import numpy as np

from examples.rfmid.fundus.canvas import Canvas
from examples.rfmid.fundus.retina import Retina

from .disc import swell_disc
from .places import BLOOD, COTTON, EXUDATE, Points, around, clear_of_disc


def diabetic_retinopathy(retina: Retina, rng: np.random.Generator) -> None:
    """DR: microaneurysms and blot haemorrhages, hard exudates, cotton-wool spots."""
    severity = rng.beta(1.3, 1.2)
    n_dots, n_blots = rng.poisson(8 + 40 * severity), rng.poisson(4 + 22 * severity)
    retina.severity["DR"] = float(n_dots + n_blots)
    n_clusters, n_wool = rng.poisson(1 + 4 * severity), rng.poisson(2.2 * severity)

    def paint(canvas: Canvas) -> None:
        blood = canvas.mask()
        centre = clear_of_disc(around(0.25, 0, 0.65, n_dots, rng), retina)
        blood.blobs(centre, rng.uniform(0.012, 0.022, n_dots), rng, opacity=0.85)
        centre = clear_of_disc(around(0.25, 0, 0.6, n_blots, rng), retina)
        blood.blobs(
            centre, 0.06 * rng.lognormal(0, 0.35, n_blots), rng,
            opacity=rng.uniform(0.5, 1, n_blots), irregularity=0.45,
        )  # fmt: skip
        canvas.stain(blood.alpha(0.010), BLOOD)
        _cotton_wool(canvas, around(0.45, 0, 0.55, n_wool, rng), rng)
        hard = canvas.mask()
        for x, y in around(0.05, 0, 0.42, n_clusters, rng):
            n = int(rng.integers(8, 26))
            angle, ring = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.06, 0.2)
            radius = ring * np.sqrt(rng.uniform(0.4, 1.2, n))
            bits = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=-1)
            hard.blobs(bits, rng.uniform(0.018, 0.046, n), rng, irregularity=0.5)
        canvas.blend(0.9 * hard.alpha(0.005), EXUDATE)

    retina.superficial.append(paint)


def branch_vein_occlusion(retina: Retina, rng: np.random.Generator) -> None:
    """BRVO: one branch of the veins bleeds along its course, the other quadrants are spared."""
    quadrant = int(rng.choice(4, p=[0.5, 0.36, 0.08, 0.06]))
    severity = rng.uniform(0.2, 1.0)
    retina.vein_swelling[quadrant] = 1.2 + 0.3 * severity
    n = rng.poisson(35 + 90 * severity)
    n_wool = rng.poisson(2.5 * severity)
    blocked, reach = rng.uniform(0.12, 0.28), rng.uniform(0.65, 0.9)

    def paint(canvas: Canvas) -> None:
        vein = canvas.veins.trunks
        steps = vein.points.shape[1]
        at = (rng.uniform(blocked, reach, n) * steps).astype(int)
        centres = vein.points[quadrant, at] + rng.normal(0, 0.17, (n, 2))
        headings = vein.headings[quadrant, at] + rng.normal(0, 0.35, n)
        _flames(canvas, clear_of_disc(centres, retina), headings, rng)
        at = (rng.uniform(blocked, 0.6, n_wool) * steps).astype(int)
        _cotton_wool(canvas, vein.points[quadrant, at] + rng.normal(0, 0.1, (n_wool, 2)), rng)

    retina.superficial.append(paint)


def central_vein_occlusion(retina: Retina, rng: np.random.Generator) -> None:
    """CRVO: bleeding in all four quadrants, wide winding veins and a swollen disc."""
    severity = rng.uniform(0.3, 1.0)
    retina.vein_width *= 1.25 + 0.4 * severity
    retina.vein_tortuosity = 0.35 + 0.35 * severity
    swell_disc(retina, 0.5 * severity)
    n, n_wool = rng.poisson(80 + 150 * severity), rng.poisson(3 * severity)

    def paint(canvas: Canvas) -> None:
        angle = rng.uniform(0, 2 * np.pi, n)
        distance = retina.disc_radius + rng.gamma(1.8, 0.38, n)
        out = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        centres = retina.disc + out * distance[:, None]
        _flames(canvas, centres, angle + rng.normal(0, 0.3, n), rng)
        _cotton_wool(canvas, around(*retina.disc, 0.4, n_wool, rng), rng)

    retina.superficial.append(paint)


def _flames(canvas: Canvas, centres: Points, headings: Points, rng: np.random.Generator) -> None:
    """Haemorrhages drawn out along the nerve fibres, with some round blots among them."""
    n = len(centres)
    blot = rng.random(n) < 0.35
    mask = canvas.mask()
    mask.blobs(
        centres,
        np.where(blot, rng.uniform(0.02, 0.06, n), rng.uniform(0.04, 0.13, n)),
        rng,
        opacity=rng.uniform(0.5, 0.95, n),
        irregularity=0.5,
        aspect=np.where(blot, 0.9, rng.uniform(0.10, 0.26, n)),
        heading=headings,
    )
    # Where many lie close, blood and edema also dull the retina between them.
    canvas.stain(0.8 * mask.alpha(0.10), BLOOD)
    canvas.stain(mask.alpha(0.009), BLOOD)


def _cotton_wool(canvas: Canvas, centres: Points, rng: np.random.Generator) -> None:
    """Small white clouds: nerve fibres without blood supply."""
    n = len(centres)
    if n:
        mask = canvas.mask()
        centres = clear_of_disc(centres, canvas.retina, 1.7)
        mask.blobs(centres, rng.uniform(0.045, 0.1, n), rng, opacity=0.9, irregularity=0.6)
        canvas.blend(0.85 * mask.alpha(0.028), COTTON)
