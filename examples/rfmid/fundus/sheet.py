"""A sheet to look at: the same eyes healthy and with each disease."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mlthresh.exceptions import InputError

from .label_sets import DISEASES
from .render import draw_fundus

__all__ = ["contact_sheet"]

_CAPTION_HEIGHT = 22


def contact_sheet(*, n_eyes: int = 5, size: int = 180, seed: int = 0) -> Image.Image:
    """Draw ``n_eyes`` eyes without disease, then the same eyes with each disease in turn.

    Parameters
    ----------
    n_eyes : int
        Photographs in a row, at least 1.
    size : int
        Width of each in pixels.
    seed : int
        Chooses the eyes.

    Returns
    -------
    PIL.Image.Image
        Two columns of captioned rows.
    """
    if n_eyes < 1:
        raise InputError(f"n_eyes must be at least 1, got {n_eyes}")
    rows = {"": "healthy"} | {code: f"{code}: {name}" for code, name in DISEASES.items()}
    height = size + _CAPTION_HEIGHT
    per_column = -(-len(rows) // 2)
    sheet = Image.new("RGB", (2 * n_eyes * size, per_column * height), "black")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for row, (code, caption) in enumerate(rows.items()):
        left, top = row // per_column * n_eyes * size, row % per_column * height
        pen.text((left + 6, top + 3), caption, fill="white", font=font)
        for eye in range(n_eyes):
            rng = np.random.default_rng([seed, eye])
            pixels = draw_fundus([code] if code else [], size=size, rng=rng)
            sheet.paste(Image.fromarray(pixels), (left + eye * size, top + _CAPTION_HEIGHT))
    return sheet
