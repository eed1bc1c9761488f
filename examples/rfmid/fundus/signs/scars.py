"""Signs of inflammation and its treatment: laser scars, retinitis, chorioretinitis."""

from __future__ import annotations

import numpy as np

from examples.rfmid.fundus.canvas import Canvas
from examples.rfmid.fundus.retina import Retina

from .places import BLOOD, COTTON, PIGMENT, around, clear_of_disc


def laser_scars(retina: Retina, rng: np.random.Generator) -> None:
    """LS: rows of round pale burns, many with a pigmented heart, outside the macula."""
    spacing, radius = rng.uniform(0.13, 0.2), rng.uniform(0.034, 0.055)
    inner, rows = rng.uniform(0.75, 1.0), int(rng.integers(3, 7))
    gap, gap_at = rng.uniform(0, 0.45), rng.uniform(0, 1)
    fading, pigmented = rng.uniform(0.5, 0.95), rng.uniform(0.1, 0.8)

    def paint(canvas: Canvas) -> None:
        centres = []
        for row in range(rows):
            ring = inner + row * spacing
            turns = (np.arange(int(2 * np.pi * ring / spacing)) + rng.random()) * spacing / ring
            treated = ((turns / (2 * np.pi) - gap_at) % 1) > gap
            angle = turns[treated]
            centres.append(np.stack([0.35 + ring * np.cos(angle), ring * np.sin(angle)], axis=-1))
        scars = np.concatenate(centres)
        scars += rng.normal(0, 0.18 * spacing, scars.shape)
        off_disc = np.linalg.norm(scars - retina.disc, axis=-1) > 1.9 * retina.disc_radius
        scars = scars[off_disc & (rng.random(len(scars)) < 0.9)]
        radii = radius * rng.uniform(0.75, 1.25, len(scars))
        pale = canvas.mask()
        pale.blobs(scars, radii, rng, opacity=rng.uniform(0.6, 1, len(scars)))
        canvas.blend(fading * pale.alpha(0.008), (0.92, 0.80, 0.58))
        heart = rng.random(len(scars)) < pigmented
        dark = canvas.mask()
        dark.blobs(scars[heart], 0.45 * radii[heart], rng, irregularity=0.5)
        canvas.stain(0.75 * dark.alpha(0.005), PIGMENT)

    retina.deep.append(paint)


def retinitis(retina: Retina, rng: np.random.Generator) -> None:
    """RS: fluffy white patches of inflamed retina, some blood, a hazy vitreous."""
    severity = rng.beta(1.5, 1.5)
    n = 1 + rng.poisson(0.8 + 1.2 * severity)
    x, y = retina.view.visible(1, rng)[0] * 0.8
    retina.haze = max(retina.haze, 0.06 + 0.14 * severity)

    def paint(canvas: Canvas) -> None:
        fluff = canvas.mask()
        for near in clear_of_disc(around(x, y, 0.28, n, rng), retina, 1.8):
            k = int(rng.integers(5, 10))
            size = rng.uniform(0.1, 0.18) * (0.8 + 0.6 * severity)
            puffs = around(near[0], near[1], 0.6 * size, k, rng)
            fluff.blobs(puffs, size * rng.uniform(0.35, 0.8, k), rng, irregularity=0.6)
        patches = fluff.alpha(0.035)
        uneven = np.clip(0.8 + 0.15 * canvas.noise(24, rng), 0, 1)
        canvas.blend(patches * uneven, COTTON)
        m = rng.poisson(3 + 7 * severity)
        blood = canvas.mask()
        centres = clear_of_disc(around(x, y, 0.32, m, rng), retina)
        blood.blobs(centres, rng.uniform(0.02, 0.06, m), rng, opacity=0.8, irregularity=0.6)
        canvas.stain(blood.alpha(0.01), BLOOD)

    retina.superficial.append(paint)


def chorioretinitis(retina: Retina, rng: np.random.Generator) -> None:
    """CRS: punched-out scars, white to the sclera inside, with a rim of dark pigment."""
    n = 1 + rng.poisson(1.8)
    main = retina.view.visible(1, rng) * 0.75
    main_radius = rng.uniform(0.18, 0.35)
    radii = np.concatenate([[main_radius], main_radius * rng.uniform(0.25, 0.7, n - 1)])

    def paint(canvas: Canvas) -> None:
        near = main + rng.normal(0, 0.4, (n - 1, 2))
        centres = clear_of_disc(np.concatenate([main, near]), retina, 2.0)
        rim, core, clumps = canvas.mask(), canvas.mask(), canvas.mask()
        rim.blobs(centres, 1.2 * radii, rng, irregularity=0.3)
        canvas.stain(0.8 * rim.alpha(0.02), PIGMENT)
        core.blobs(centres, 0.92 * radii, rng, irregularity=0.25)
        canvas.blend(0.85 * core.alpha(0.012), (0.93, 0.83, 0.62))
        k = 3 * n + rng.poisson(4)
        at = rng.integers(0, n, k)
        spots = centres[at] + rng.normal(0, 0.5, (k, 2)) * radii[at, None]
        clumps.blobs(spots, radii[at] * rng.uniform(0.08, 0.3, k), rng, irregularity=0.8)
        canvas.stain(0.8 * clumps.alpha(0.012), PIGMENT)

    retina.deep.append(paint)
