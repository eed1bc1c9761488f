"""A photograph in the making, and antialiased masks in retinal coordinates to paint it with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

from .retina import Colour, Float, Retina
from .vessels import Bundle, Tree

# Masks are drawn at least this wide and averaged down, so thin shapes keep their true weight.
_MASK_WIDTH = 448


class Mask:
    """A supersampled grey image on which shapes given in retinal coordinates are drawn."""

    def __init__(self, retina: Retina, size: int) -> None:
        self._view, self._size = retina.view, size
        self._factor = max(2, round(_MASK_WIDTH / size))
        self._width = size * self._factor
        self._image = Image.new("L", (self._width, self._width))
        self._draw = ImageDraw.Draw(self._image)

    @property
    def _pixels_per_unit(self) -> float:
        return self._size / 2 * self._view.radius / self._view.reach

    def polygons(self, outlines: NDArray[np.float64], opacity: ArrayLike = 1.0) -> None:
        """Fill polygons (n, corners, 2) with an opacity in [0, 1], one for all or one each."""
        n = len(outlines)
        corners = (
            self._view.pixels(outlines, self._width).reshape(n, 2 * outlines.shape[1]).tolist()
        )
        fills = np.broadcast_to(np.asarray(opacity) * 255, n).astype(int).tolist()
        for corner, fill in zip(corners, fills, strict=True):
            self._draw.polygon(corner, fill=fill)

    def vessels(self, bundle: Bundle, width: float = 1.0, opacity: ArrayLike = 1.0) -> None:
        """Fill ribbons along polylines, ``width`` times as wide as they are."""
        normal = np.stack([-np.sin(bundle.headings), np.cos(bundle.headings)], axis=-1)
        side = normal * (width / 2 * bundle.widths)[..., None]
        outline = np.concatenate([bundle.points + side, (bundle.points - side)[:, ::-1]], axis=1)
        self.polygons(outline, opacity)

    def blobs(
        self,
        centres: NDArray[np.float64],
        radii: ArrayLike,
        rng: np.random.Generator,
        *,
        opacity: ArrayLike = 1.0,
        irregularity: float = 0.2,
        aspect: ArrayLike = 1.0,
        heading: ArrayLike = 0.0,
    ) -> None:
        """Fill round shapes (n, 2) of uneven outline; ``aspect`` is width across ``heading``."""
        n, corners = len(centres), 22
        radii, aspect, heading = (
            np.broadcast_to(np.asarray(value, dtype=np.float64), n)[:, None]
            for value in (radii, aspect, heading)
        )
        angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
        outline = np.ones((n, corners))
        for wave in (2, 3, 5):
            phase = rng.uniform(0, 2 * np.pi, (n, 1))
            size = irregularity * rng.uniform(0, 1, (n, 1)) * 1.5 / wave
            outline += size * np.sin(wave * angle + phase)
        along, across = radii * outline * np.cos(angle), radii * aspect * outline * np.sin(angle)
        cos, sin = np.cos(heading), np.sin(heading)
        shape = np.stack([cos * along - sin * across, sin * along + cos * across], axis=-1)
        self.polygons(centres[:, None] + shape, opacity)

    def alpha(self, blur: float = 0.0) -> Float:
        """Return the (size, size) opacities, blurred by ``blur`` retinal units."""
        image = self._image.reduce(self._factor)
        radius = blur * self._pixels_per_unit
        if radius > 0.2:
            image = image.filter(ImageFilter.GaussianBlur(radius))
        return np.asarray(image, dtype=np.float32) * np.float32(1 / 255)


class Canvas:
    """Planes (3, size, size) of red, green and blue in [0, 1] with each pixel's position."""

    def __init__(self, retina: Retina, veins: Tree, arteries: Tree, size: int) -> None:
        self.retina, self.size = retina, size
        self.veins, self.arteries = veins, arteries
        self.x, self.y = retina.view.retinal_grid(size)
        self.from_fovea = self.distance(0, 0)
        self.rgb = np.empty((3, size, size), dtype=np.float32)
        self.rgb[:] = np.array(retina.base, dtype=np.float32)[:, None, None]

    def mask(self) -> Mask:
        """Start an empty mask."""
        return Mask(self.retina, self.size)

    def distance(self, x: float, y: float, *, aspect: float = 1.0) -> Float:
        """Each pixel's distance from a point; ``aspect`` is the width of a circle's ellipse."""
        squared = ((self.x - np.float32(x)) * np.float32(1 / aspect)) ** 2
        squared += (self.y - np.float32(y)) ** 2
        distance: Float = np.sqrt(squared)  # several times faster than np.hypot
        return distance

    def noise(self, cells: int, rng: np.random.Generator) -> Float:
        """Smooth noise of unit variance at the nodes of a grid of ``cells`` across."""
        nodes = rng.standard_normal((cells, cells), dtype=np.float32)
        smooth = Image.fromarray(nodes).resize((self.size,) * 2, Image.Resampling.BICUBIC)
        return np.asarray(smooth)

    def blend(self, alpha: Float, colour: Colour) -> None:
        """Cover with a colour, as far as ``alpha`` says."""
        for plane, value in zip(self.rgb, colour, strict=True):
            plane += alpha * (np.float32(value) - plane)

    def stain(self, alpha: Float, factor: Colour) -> None:
        """Multiply by a colour, as far as ``alpha`` says: what lies beneath shows through."""
        for plane, value in zip(self.rgb, factor, strict=True):
            plane *= 1 + alpha * np.float32(value - 1)
