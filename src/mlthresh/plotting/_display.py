"""What all displays share: axes to draw on, colours, and how a notebook shows them."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mlthresh.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLACK",
    "BLUE",
    "GREEN",
    "GREY",
    "LIGHT",
    "ORANGE",
    "PALETTE",
    "VERMILLION",
    "Display",
    "beside",
    "class_labels",
    "rows_height",
    "shortened",
]

# M. Okabe and K. Ito, "Color universal design", 2008: told apart by colour-blind readers too.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PALETTE = (BLUE, VERMILLION, GREEN, ORANGE, "#CC79A7", "#56B4E9")
BLACK, GREY, LIGHT = "#222222", "#767676", "#DDDDDD"

_LONGEST = 40  # characters of a class name beside an axis


@dataclass(kw_only=True, eq=False, repr=False)
class Display:
    """A picture whose numbers are attributes; `ax_` and `figure_` exist once it is drawn."""

    ax_: Any = field(init=False)
    figure_: Figure = field(init=False)

    def _start(
        self, ax: Any, figsize: tuple[float, float], n_columns: int = 1
    ) -> tuple[list[Axes], bool]:
        """Set `ax_` and `figure_`; return the axes, and whether the figure is a new one."""
        given = ax is not None
        if not given:
            figure = _new_figure(figsize)
            axes = list(figure.subplots(1, n_columns, squeeze=False)[0])
            for new in axes:
                new.set_prop_cycle(color=PALETTE)
                new.spines[["top", "right"]].set_visible(False)
        else:
            axes = [ax] if hasattr(ax, "plot") else list(np.ravel(ax))
            if len(axes) != n_columns:
                raise InputError(f"ax must hold {n_columns} axes, got {len(axes)}")
        self.ax_ = axes[0] if n_columns == 1 else np.array(axes, dtype=object)
        self.figure_ = axes[0].get_figure(root=True)
        return axes, not given

    def _add_legend(self, ax: Axes, *, own_figure: bool, n_columns: int = 3) -> None:
        """Put the legend below a figure of our own, and inside axes that were given."""
        handles, labels = ax.get_legend_handles_labels()
        if not handles:
            return
        if own_figure:
            self.figure_.legend(
                handles, labels, loc="outside lower center", ncols=n_columns, frameon=False
            )
        else:
            ax.legend(fontsize="x-small")

    def _repr_png_(self) -> bytes | None:
        """Show the picture in a notebook, unless pyplot does."""
        figure = getattr(self, "figure_", None)
        if figure is None or getattr(figure, "number", None) is not None:
            return None
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        return picture.getvalue()


def _new_figure(figsize: tuple[float, float]) -> Figure:
    """Return a figure of pyplot's where pyplot is in use, so that ``plt.show()`` shows it.

    Else one that pyplot does not know: it is freed with the display, and drawing is safe in
    threads and on servers.
    """
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        figure: Figure = pyplot.figure(figsize=figsize, layout="constrained")
        return _padded(figure)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('displays need Matplotlib: pip install "mlthresh[plot]"') from error
    return _padded(Figure(figsize=figsize, layout="constrained"))


def _padded(figure: Figure) -> Figure:
    """Leave some white around what is drawn."""
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.1, h_pad=0.1)
    return figure


def class_labels(class_names: Sequence[str] | None, n_classes: int) -> list[str]:
    """Return the names beside an axis."""
    names = class_names or [f"class {c}" for c in range(n_classes)]
    return [shortened(name) for name in names]


def shortened(name: str) -> str:
    """Return a name that fits beside an axis."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def beside(ax: Axes, row: int, text: str, points: float, ha: str) -> None:
    """Write next to a row, so many points from the right edge of the axes."""
    ax.annotate(
        text,
        (1, row),
        (points, 0),
        xycoords=ax.get_yaxis_transform(),
        textcoords="offset points",
        ha=ha,
        va="center",
        fontsize="small",
        annotation_clip=False,
    )


def rows_height(n_rows: int) -> float:
    """Return the inches that so many lines of text take, axis and title included."""
    return 1.3 + 0.24 * max(n_rows, 3)
