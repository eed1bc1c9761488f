"""Paint what every eye has: pigment and choroid, macula, optic disc, vessels."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .retina import Float, smooth_step
from .vessels import Tree, grow_choroid


def paint_pigment(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the pigmented background, the choroid as far as it shows, and the macula."""
    retina, rgb = canvas.retina, canvas.rgb
    texture = canvas.noise(5, rng) + 0.7 * canvas.noise(14, rng) + 0.6 * canvas.noise(44, rng)
    rgb *= 1 + np.float32(retina.mottling) * texture
    rgb[1] *= 1 + np.float32(0.5 * retina.mottling) * canvas.noise(7, rng)
    from_fovea = canvas.from_fovea
    if retina.pallor > 0:
        canvas.blend(
            np.float32(retina.pallor) * smooth_step(from_fovea, -0.4, 1.2), (0.90, 0.62, 0.38)
        )
    if retina.choroid > 0.02:
        mask = canvas.mask()
        n = 200
        mask.vessels(grow_choroid(n, rng), opacity=rng.uniform(0.3, 1, n))
        stripes = mask.alpha(0.016)
        shown = np.float32(retina.choroid) * (0.25 + 0.75 * smooth_step(from_fovea, 0.1, 0.9))
        canvas.stain(shown * (1 - stripes), (0.74, 0.58, 0.54))
        canvas.blend(0.30 * shown * stripes, (0.98, 0.62, 0.34))
    pigment = np.float32(retina.macula_darkness) * (
        np.exp(-((from_fovea / 0.36) ** 2)) + 0.6 * np.exp(-((from_fovea / 0.1) ** 2))
    )
    canvas.stain(pigment, (0.40, 0.18, 0.12))


def paint_disc(canvas: Canvas) -> None:
    """Paint the optic disc: a soft halo, the neuroretinal rim and the cup."""
    retina = canvas.retina
    (x, y), radius = retina.disc, retina.disc_radius
    rho = canvas.distance(x, y, aspect=retina.disc_aspect) / np.float32(radius)
    margin = retina.disc_margin
    halo = np.exp(-np.maximum(rho - 1, 0) * np.float32(2.2))
    canvas.blend(0.16 * halo, retina.rim)
    disc = smooth_step(rho, 1 + margin, 1 - margin)
    # The nasal rim is thicker with nerve fibres, hence redder.
    nasal = smooth_step((canvas.x - np.float32(x)) / np.float32(radius), -1.0, 1.2)
    canvas.blend(disc, retina.rim)
    canvas.stain(disc * nasal, (0.97, 0.88, 0.82))
    cup_rho = canvas.distance(x - 0.05 * radius, y, aspect=retina.disc_aspect) / np.float32(radius)
    cup = smooth_step(cup_rho, retina.cup + 0.12, max(retina.cup - 0.16, 0.0))
    canvas.blend(np.float32(retina.cup_depth) * cup, (1.0, 0.93, 0.74))


def paint_vessels(canvas: Canvas) -> None:
    """Paint veins, then the thinner and brighter arteries with their light reflex."""
    retina = canvas.retina
    shown = smooth_step(canvas.from_fovea, 0.08, 0.30)
    if retina.disc_veil > 0:
        on_disc = canvas.distance(*retina.disc) / np.float32(retina.disc_radius)
        shown = shown * (1 - np.float32(retina.disc_veil) * smooth_step(on_disc, 1.3, 0.9))
    canvas.stain(shown * _tree_alpha(canvas, canvas.veins), (0.66, 0.42, 0.46))
    canvas.stain(shown * _tree_alpha(canvas, canvas.arteries), (0.82, 0.56, 0.50))
    reflex = canvas.mask()
    reflex.vessels(canvas.arteries.trunks, width=0.3)
    reflex.vessels(canvas.veins.trunks, width=0.2, opacity=0.6)
    canvas.blend(0.22 * shown * reflex.alpha(), (0.98, 0.72, 0.52))


def _tree_alpha(canvas: Canvas, tree: Tree) -> Float:
    mask = canvas.mask()
    for bundle, opacity in zip(reversed(tree.branches), (0.55, 0.7, 0.85), strict=True):
        mask.vessels(bundle, opacity=opacity)
    mask.vessels(tree.trunks)
    return mask.alpha()
