"""One eye: where its parts lie, how they look, and what the diseases did to them.

Positions are in *retinal coordinates*: the fovea is the origin, the optic disc lies near
(1, 0) whichever eye it is, y points up, and the unit is the distance from fovea to disc
(about 4.5 mm). A disc is some 0.4 wide, and a photograph shows a circle of radius 1.4 to 1.8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .canvas import Canvas

Float = NDArray[np.float32]
Colour = tuple[float, float, float]
Paint = Callable[["Canvas"], None]


def smooth_step(x: Float, low: float, high: float) -> Float:
    """0 below ``low``, 1 above ``high``, a smooth ramp between (reversed where high < low)."""
    t: Float = (x - low) * (1 / (high - low))
    np.clip(t, 0, 1, out=t)
    rest = 2 * t
    np.subtract(3, rest, out=rest)
    t *= t
    t *= rest
    return t


@dataclass(frozen=True)
class View:
    """Where the camera looks, and the shape of its field on the square photograph."""

    side: int  # +1: the disc is to the right of the fovea; -1: to the left
    rotation: float  # radians
    fovea: tuple[float, float]  # in the field, in field radii
    reach: float  # the field's radius in retinal units
    centre: tuple[float, float]  # of the field on the photograph, in half widths
    radius: float  # of the field, in half widths
    cut: float  # top and bottom are black beyond this height, in field radii

    def pixels(self, points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
        """Pixel coordinates (..., 2) on a photograph ``size`` wide of retinal points (..., 2)."""
        cos, sin = np.cos(self.rotation) / self.reach, np.sin(self.rotation) / self.reach
        x, y = self.side * points[..., 0], points[..., 1]
        right = self.fovea[0] + cos * x - sin * y
        up = self.fovea[1] + sin * x + cos * y
        half = size / 2
        return np.stack(
            [
                half * (1 + self.centre[0] + self.radius * right) - 0.5,
                half * (1 + self.centre[1] - self.radius * up) - 0.5,
            ],
            axis=-1,
        )

    def visible(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Random retinal points (n, 2), even over the part of the retina in the photograph."""
        angle, radius = rng.uniform(0, 2 * np.pi, n), 0.93 * np.sqrt(rng.random(n))
        up = np.clip(radius * np.sin(angle), -0.93 * self.cut, 0.93 * self.cut) - self.fovea[1]
        right = radius * np.cos(angle) - self.fovea[0]
        cos, sin = np.cos(self.rotation) * self.reach, np.sin(self.rotation) * self.reach
        return np.stack([self.side * (cos * right + sin * up), cos * up - sin * right], axis=-1)

    def field_grid(self, size: int) -> tuple[Float, Float]:
        """Right and up coordinates of the pixels in field radii, shapes (1, size), (size, 1)."""
        steps: Float = ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)
        right: Float = (steps - np.float32(self.centre[0])) / np.float32(self.radius)
        up: Float = -(steps - np.float32(self.centre[1])) / np.float32(self.radius)
        return right[None, :], up[:, None]

    def retinal_grid(self, size: int) -> tuple[Float, Float]:
        """Retinal x and y of the pixels, each of shape (size, size)."""
        right, up = self.field_grid(size)
        right, up = right - np.float32(self.fovea[0]), up - np.float32(self.fovea[1])
        cos = np.float32(np.cos(self.rotation) * self.reach)
        sin = np.float32(np.sin(self.rotation) * self.reach)
        return np.float32(self.side) * (cos * right + sin * up), cos * up - sin * right


@dataclass(kw_only=True)
class Retina:
    """The plan of one eye, healthy at first; each disease changes it before it is painted."""

    view: View
    # Pigment
    base: Colour
    mottling: float
    choroid: float  # visibility of the choroidal vessels: 0 hidden, 1 tigroid
    pallor: float = 0.0  # thinning of the pigment that lets the pale sclera through
    # Macula
    macula_darkness: float
    # Optic disc
    disc: tuple[float, float]
    disc_radius: float
    disc_aspect: float  # width over height
    disc_margin: float  # width of the blurred margin, in disc radii
    cup: float  # diameter of the cup over that of the disc
    cup_depth: float  # how pale the cup is: 0 like the rim, 1 white
    rim: Colour
    disc_veil: float = 0.0  # how far a swelling hides the vessels on the disc
    # Vessels
    vein_width: float
    artery_width: float
    vein_tortuosity: float
    artery_tortuosity: float
    vein_swelling: list[float] = field(default_factory=lambda: [1.0] * 4)  # of the four trunks
    # Clarity of lens and vitreous
    haze: float
    haze_colour: Colour = (0.66, 0.60, 0.48)
    defocus: float  # standard deviation of the blur, in retinal units
    # How much of a graded disease is drawn, by code: lesions, or the strength of the blur
    severity: dict[str, float] = field(default_factory=dict)
    # What the diseases paint under and over the retinal vessels
    deep: list[Paint] = field(default_factory=list)
    superficial: list[Paint] = field(default_factory=list)


# Orange, tan, red-brown and pink fundi: pigmentation and the camera's colour together.
_PIGMENTS = np.array(
    [[0.80, 0.40, 0.16], [0.74, 0.52, 0.32], [0.58, 0.24, 0.11], [0.76, 0.46, 0.38]]
)


def _sample_view(rng: np.random.Generator) -> View:
    side = 1 if rng.random() < 0.5 else -1
    reach = rng.uniform(1.42, 1.75)
    # Most photographs are centred near the macula, some nearer to the disc.
    gaze = rng.normal(0.22, 0.12) if rng.random() < 0.75 else rng.normal(0.7, 0.12)
    return View(
        side=side,
        rotation=rng.normal(0, 0.08),
        fovea=(-side * gaze / reach, rng.normal(0, 0.06)),
        reach=reach,
        centre=(rng.normal(0, 0.012), rng.normal(0, 0.012)),
        radius=rng.uniform(0.93, 1.02),
        cut=rng.uniform(0.84, 0.97) if rng.random() < 0.4 else 2.0,
    )


def plan_retina(rng: np.random.Generator) -> Retina:
    """Plan a healthy eye and a view of it at random."""
    base = rng.dirichlet([4.0, 2.0, 2.8, 1.6]) @ _PIGMENTS
    artery = rng.uniform(0.024, 0.033)
    return Retina(
        view=_sample_view(rng),
        base=(base[0], base[1], base[2]),
        mottling=rng.uniform(0.02, 0.05),
        choroid=max(0.0, rng.normal(0.02, 0.12)),
        macula_darkness=rng.uniform(0.16, 0.36),
        disc=(rng.normal(1.0, 0.02), rng.normal(0.06, 0.04)),
        disc_radius=rng.uniform(0.195, 0.235),
        disc_aspect=rng.uniform(0.86, 0.98),
        disc_margin=rng.uniform(0.10, 0.20),
        cup=rng.uniform(0.2, 0.48),
        cup_depth=rng.uniform(0.45, 0.85),
        rim=(rng.uniform(0.88, 0.97), rng.uniform(0.58, 0.70), rng.uniform(0.32, 0.46)),
        artery_width=artery,
        vein_width=artery * rng.uniform(1.25, 1.45),
        vein_tortuosity=rng.uniform(0.08, 0.25),
        artery_tortuosity=rng.uniform(0.06, 0.2),
        haze=max(0.0, rng.normal(0.0, 0.05)),
        defocus=rng.uniform(0.0, 0.012),
    )
