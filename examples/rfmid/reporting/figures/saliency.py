"""A photograph as the model sees it, and over it where features raise a disease's score."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from examples.rfmid.reporting.figures.style import (
    GREY,
    grid_of_axes,
    new_figure,
    show_image,
    styled,
)

CAUTION = (
    "Bright: where the network's last features raise the score. This is no evidence of what the "
    "model used, and none of where a disease is."
)
_SIDE, _MOST_COLUMNS = 2.6, 4


@styled
def saliency_overlays(
    title: str, image: npt.NDArray[Any], maps: Sequence[tuple[str, npt.NDArray[np.float32]]]
) -> Figure:
    """Draw the model's input, then each map over it; colours are relative to that map's maximum.

    `maps` are what to write above each, and its values, 0 or more.
    """
    n = len(maps) + 1
    columns = min(n, _MOST_COLUMNS)
    rows = -(-n // columns)
    figure = new_figure(max(columns * _SIDE, 2 * _SIDE), rows * (_SIDE + 0.55) + 0.9, title)
    panels = grid_of_axes(figure, n, columns)
    show_image(panels[0], image)
    height, width = image.shape[:2]
    panels[0].set_title(f"model's input\n{width} x {height} pixels", fontsize=9)
    for panel, (words, values) in zip(panels[1:], maps, strict=True):
        show_image(panel, image)
        panel.set_title(words, fontsize=9)
        highest = float(values.max())
        if highest > 0:
            panel.imshow(
                values / highest,
                extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                cmap="inferno",
                alpha=0.45,
                interpolation="nearest",  # a smooth map would look finer than it is
                vmin=0,
                vmax=1,
            )
        else:
            panel.set_xlabel("no position raises it", fontsize=8, color=GREY)
    figure.supxlabel(fill(CAUTION, 34 * max(columns, 2)), fontsize=8, color=GREY)
    return figure
