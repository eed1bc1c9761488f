"""One look for every figure: colours that colour-blind readers can tell apart, and saving.

The palette is that of Okabe and Ito (2008). Matplotlib is used through its object-oriented
interface with the Agg canvas, so that no window, no pyplot state and no global setting is
touched.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from examples.rfmid.files import replacing

BLACK, GREY, LIGHT = "#222222", "#767676", "#E4E4E4"
BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION, PURPLE = "#E69F00", "#D55E00", "#CC79A7"

_SETTINGS: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LIGHT,
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": BLACK,
    "ytick.labelcolor": BLACK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": BLACK,
    "axes.labelcolor": BLACK,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "figure.titlesize": 12,
    "figure.facecolor": "white",
}
_DPI = 110
_FEW_COLOURS = 4096  # anti-aliased charts stay under this, photographs exceed it
_P = ParamSpec("_P")


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draw a figure with this module's settings, and restore the caller's."""

    @wraps(draw)
    def with_settings(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with rc_context(_SETTINGS):
            return draw(*args, **kwargs)

    return with_settings


def new_figure(width: float, height: float, title: str | None = None) -> Figure:
    """Return an empty figure of `width` x `height` inches that lays itself out."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    if title is not None:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def grid_of_axes(
    figure: Figure, n_panels: int, n_columns: int, **options: Any
) -> npt.NDArray[np.object_]:
    """Return `n_panels` axes in reading order; the rest of the last row stays empty."""
    n_columns = max(1, min(n_columns, n_panels))
    n_rows = -(-n_panels // n_columns)
    axes: npt.NDArray[np.object_] = figure.subplots(
        n_rows, n_columns, squeeze=False, **options
    ).ravel()
    for empty in axes[n_panels:]:
        empty.set_visible(False)
    return axes[:n_panels]


def shortened(label: str, most: int = 50) -> str:
    """Return a label that fits beside an axis; panels over each other take 16 characters."""
    return label if len(label) <= most else f"{label[: most - 1]}…"


def show_image(axes: Axes, image: npt.NDArray[Any]) -> None:
    """Show an (H, W, 3) image without ticks or frame."""
    axes.imshow(image, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as a PNG, whole or not at all; a chart without photographs gets a palette."""
    drawn = io.BytesIO()
    with rc_context(_SETTINGS):
        figure.savefig(drawn, format="png", dpi=_DPI)
    drawn.seek(0)
    with Image.open(drawn) as opened:
        image = opened.convert("RGB")
    if image.getcolors(_FEW_COLOURS) is not None:
        image = image.quantize(256)
    with replacing(path) as temporary:
        image.save(temporary, format="png")
    return path
