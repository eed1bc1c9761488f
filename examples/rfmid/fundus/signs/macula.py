"""Signs at the macula: drusen, degeneration, serous retinopathy, pigment epithelium changes."""

from __future__ import annotations

import numpy as np

from examples.rfmid.fundus.canvas import Canvas
from examples.rfmid.fundus.retina import Retina, smooth_step

from .places import BLOOD, EXUDATE, PIGMENT, around, clear_of_disc


def drusen(retina: Retina, rng: np.random.Generator) -> None:
    """DN: many small soft yellow spots around the macula."""
    n = int(rng.integers(18, 100))
    retina.severity["DN"] = float(n)
    spread = rng.uniform(0.22, 0.5)
    radii = 0.032 * rng.uniform(0.8, 1.25) * rng.lognormal(0, 0.3, n)
    strength = rng.uniform(0.45, 0.9)

    def paint(canvas: Canvas) -> None:
        mask = canvas.mask()
        centres = clear_of_disc(around(0, 0, spread, n, rng), retina)
        mask.blobs(centres, radii, rng, opacity=rng.uniform(0.5, 1, n))
        canvas.blend(strength * mask.alpha(0.010), (0.97, 0.82, 0.48))

    retina.deep.append(paint)


def macular_degeneration(retina: Retina, rng: np.random.Generator) -> None:
    """ARMD: large drusen that run together, with atrophy or bleeding in the late forms."""
    severity = rng.beta(1.4, 1.4)
    n = int(rng.integers(8, 30))
    form = rng.choice(["early", "atrophy", "bleeding"], p=[0.3, 0.4, 0.3])
    x, y = rng.normal(0, 0.06, 2)
    extent = 0.2 + 0.28 * severity * rng.uniform(0.7, 1.2)

    def paint(canvas: Canvas) -> None:
        mask = canvas.mask()
        mask.blobs(around(x, y, 0.26, n, rng), rng.uniform(0.035, 0.085, n), rng, irregularity=0.4)
        canvas.blend(0.75 * mask.alpha(0.02), (0.95, 0.78, 0.46))
        if form == "atrophy":
            _atrophy(canvas)
        elif form == "bleeding":
            _membrane(canvas)
        clumps = canvas.mask()
        k = rng.poisson(3 + 9 * severity)
        clumps.blobs(around(x, y, 0.2, k, rng), rng.uniform(0.015, 0.05, k), rng, irregularity=0.6)
        canvas.stain(0.7 * clumps.alpha(0.008), PIGMENT)

    def _atrophy(canvas: Canvas) -> None:
        """Geographic atrophy: a sharp pale area through which the choroid shows."""
        mask = canvas.mask()
        mask.blobs(around(x, y, 0.3 * extent, 4, rng), extent * rng.uniform(0.5, 0.9, 4), rng)
        area = mask.alpha(0.012)
        canvas.blend(0.72 * area, (0.92, 0.74, 0.52))
        canvas.stain(area * np.clip(0.2 + 0.25 * canvas.noise(18, rng), 0, 1), (0.8, 0.55, 0.5))

    def _membrane(canvas: Canvas) -> None:
        """Neovascular membrane: grey-green tissue, blood around it, exudate at the edge."""
        mask = canvas.mask()
        mask.blobs(
            around(x, y, 0.5 * extent, 5, rng), extent * rng.uniform(0.35, 0.8, 5), rng,
            irregularity=0.5,
        )  # fmt: skip
        canvas.stain(0.85 * mask.alpha(0.03), BLOOD)
        scar = canvas.mask()
        scar.blobs(around(x, y, 0.2 * extent, 2, rng), extent * rng.uniform(0.35, 0.6, 2), rng)
        canvas.blend(0.7 * scar.alpha(0.03), (0.72, 0.66, 0.44))

    retina.deep.append(paint)


def central_serous_retinopathy(retina: Retina, rng: np.random.Generator) -> None:
    """CSR: a round blister of clear fluid under the macula, dark at its edge."""
    x, y = rng.normal(0, 0.1, 2)
    radius, aspect = rng.uniform(0.32, 0.6), rng.uniform(0.85, 1.15)
    strength, glint = rng.uniform(0.5, 1.1), rng.uniform(0, 2 * np.pi)
    retina.macula_darkness *= 0.5

    def paint(canvas: Canvas) -> None:
        rho = canvas.distance(x, y, aspect=aspect) / np.float32(radius)
        dome = smooth_step(rho, 1.0, 0.55)
        edge = np.exp(-(((rho - 1) / 0.2) ** 2))
        towards_light = canvas.x * np.float32(np.cos(glint)) + canvas.y * np.float32(np.sin(glint))
        offset = np.float32(x * np.cos(glint) + y * np.sin(glint))
        lit = smooth_step((towards_light - offset) / np.float32(radius), -0.2, 1.0)
        canvas.blend(np.float32(0.34 * strength) * dome, (0.90, 0.66, 0.40))
        canvas.stain(np.float32(0.65 * strength) * edge, (0.66, 0.52, 0.52))
        inner = np.exp(-(((rho - 0.8) / 0.1) ** 2))
        canvas.blend(np.float32(0.3 * strength) * inner * lit, (1.0, 0.85, 0.62))
        n = rng.poisson(5)
        mask = canvas.mask()
        mask.blobs(around(x, y, 0.4 * radius, n, rng), rng.uniform(0.012, 0.025, n), rng)
        canvas.blend(0.6 * mask.alpha(0.006), EXUDATE)

    retina.deep.append(paint)


def pigment_epithelium_changes(retina: Retina, rng: np.random.Generator) -> None:
    """RPEC: mottling of the macula, dark clumps of pigment among pale grains."""
    x, y = rng.normal(0, 0.07, 2)
    spread, severity = rng.uniform(0.20, 0.34), rng.uniform(0.55, 1.0)
    n_pale, n_dark = (int(n) for n in rng.integers([35, 45], [80, 100]))

    def paint(canvas: Canvas) -> None:
        thinned = np.exp(-((canvas.distance(x, y) / np.float32(1.5 * spread)) ** 2))
        canvas.blend(np.float32(0.22 * severity) * thinned, (0.92, 0.68, 0.44))
        pale = canvas.mask()
        pale.blobs(
            around(x, y, spread, n_pale, rng), rng.uniform(0.015, 0.045, n_pale), rng,
            irregularity=0.5,
        )  # fmt: skip
        canvas.blend(0.5 * severity * pale.alpha(0.012), (0.92, 0.68, 0.44))
        dark = canvas.mask()
        dark.blobs(
            around(x, y, spread, n_dark, rng), rng.uniform(0.012, 0.038, n_dark), rng,
            irregularity=0.6,
        )  # fmt: skip
        canvas.stain(severity * dark.alpha(0.014), PIGMENT)

    retina.deep.append(paint)
