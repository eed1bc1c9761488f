"""What lies between retina and file: cloudy media, the flash, the lens and the sensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .canvas import Canvas
from .retina import Float, smooth_step


def photograph(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the photograph: (size, size, 3) bytes, black outside the camera's field."""
    view, size, rgb = canvas.retina.view, canvas.size, canvas.rgb
    right, up = view.field_grid(size)
    _blur(canvas)
    rgb *= _illumination(right, up, rng)
    _cloud(canvas, rng)
    rgb *= rng.normal(1, [0.02, 0.02, 0.03]).astype(np.float32)[:, None, None]
    _flare(canvas, right, up, rng)
    grain, dark = rng.uniform(0.003, 0.012), rng.uniform(0.0, 0.012)
    rgb += np.float32(grain) * rng.standard_normal((size, size), dtype=np.float32)
    rgb *= _aperture(right, up, view.cut, 2 / (size * view.radius))
    rgb += np.float32(dark)
    # A soft shoulder instead of clipping: bright discs keep their shading.
    np.maximum(rgb, 0, out=rgb)
    flat = rgb.reshape(-1)
    bright = np.flatnonzero(flat > 0.8)
    flat[bright] = 1 - 0.2 * np.exp(-5 * (flat[bright] - 0.8))
    pixels: NDArray[np.uint8] = (rgb * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _blur(canvas: Canvas) -> None:
    sigma = canvas.retina.defocus / canvas.retina.view.reach * canvas.size / 2
    if sigma > 0.25:
        gaussian_filter(canvas.rgb, (0, sigma, sigma), output=canvas.rgb, truncate=3)


def _illumination(right: Float, up: Float, rng: np.random.Generator) -> Float:
    """Bright where the flash is centred, darker toward the rim."""
    at = rng.normal(0, 0.16, 2).astype(np.float32)
    squared = (right - at[0]) ** 2 + (up - at[1]) ** 2
    falloff = np.float32(rng.uniform(0.10, 0.36))
    slope = rng.normal(0, 0.05, 2).astype(np.float32)
    exposure = np.float32(rng.uniform(0.9, 1.08))
    light: Float = exposure * (1.08 - falloff * squared + slope[0] * right + slope[1] * up)
    return light


def _cloud(canvas: Canvas, rng: np.random.Generator) -> None:
    """Scattered light of a cloudy lens or vitreous, uneven over the field."""
    retina = canvas.retina
    if retina.haze > 0:
        density = np.float32(retina.haze) * (1 + 0.22 * canvas.noise(4, rng))
        canvas.blend(np.clip(density, 0, 0.95), retina.haze_colour)


def _flare(canvas: Canvas, right: Float, up: Float, rng: np.random.Generator) -> None:
    """In some photographs a pale crescent at the rim, from light at the edge of the pupil."""
    shown, angle = rng.random() < 0.2, rng.uniform(0, 2 * np.pi)
    strength, width = rng.uniform(0.1, 0.45), rng.uniform(0.15, 0.35)
    if shown:
        shift = np.array([np.cos(angle), np.sin(angle)], dtype=np.float32) * np.float32(width)
        radius = np.sqrt((right + shift[0]) ** 2 + (up + shift[1]) ** 2)
        canvas.blend(
            np.float32(strength) * smooth_step(radius, 1 - 0.2 * width, 1 + 1.3 * width),
            (0.80, 0.72, 0.55),
        )


def _aperture(right: Float, up: Float, cut: float, pixel: float) -> Float:
    """1 in the field, 0 in the black surround, with an edge about two pixels wide."""
    inside = smooth_step(right**2 + up**2, 1 + 2 * pixel, 1 - 2 * pixel)
    return inside * smooth_step(np.abs(up), cut + pixel, cut - pixel)
