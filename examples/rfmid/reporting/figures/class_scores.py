"""F1 of each class: on the test split with its intervals, and over the epochs of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from examples.rfmid.reporting.figures.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    new_figure,
    shortened,
    styled,
)

__all__ = ["f1_bars", "f1_over_epochs"]


@styled
def f1_bars(
    labels: Sequence[str],
    f1: npt.NDArray[np.float64],
    intervals: npt.NDArray[np.float64],
    support: npt.NDArray[np.int64],
    *,
    confidence: float,
) -> Figure:
    """Draw a bar with its interval for each class, the best on top.

    Parameters
    ----------
    labels
        One label a class.
    f1
        Shape (C,); NaN where F1 is undefined.
    intervals
        Shape (C, 2): the lower and the upper end.
    support
        Positives per class, shape (C,).
    confidence
        What the intervals cover, in (0, 1).
    """
    order = np.argsort(-np.nan_to_num(f1, nan=-1.0), kind="stable")
    f1, intervals, support = f1[order], intervals[order], support[order]
    figure = new_figure(9, 1.4 + 0.3 * len(labels), "F1 of each class on the test images")
    axes = figure.subplots()
    rows = np.arange(len(labels))
    known = ~np.isnan(f1)
    axes.barh(rows[known], f1[known], color=BLUE, alpha=0.75, height=0.62)
    bounded = known & ~np.isnan(intervals).any(axis=1)
    axes.errorbar(
        f1[bounded],
        rows[bounded],
        xerr=np.abs(intervals[bounded].T - f1[bounded]),
        fmt="none",
        ecolor=BLACK,
        elinewidth=1.3,
        capsize=3,
    )
    for row in np.flatnonzero(~known).tolist():
        axes.text(0.01, row, "undefined", va="center", color=GREY, fontsize=9)
    for row, n in enumerate(support):
        axes.text(1.02, row, f"n = {n}", va="center", fontsize=9, color=GREY)
    axes.set_yticks(rows, [shortened(labels[i]) for i in order])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"F1, with its {confidence:.0%} interval; n counts the test positives")
    return figure


@styled
def f1_over_epochs(
    labels: Sequence[str],
    epochs: Sequence[int],
    f1: npt.NDArray[np.float64],
    selected: int | None,
) -> Figure:
    """Draw validation F1 as a heat map: a row a class, a column an epoch.

    Parameters
    ----------
    labels
        One label a class, in the order of the rows.
    epochs
        The epochs, one a column.
    f1
        Shape (C, n_epochs); NaN, shown grey, where undefined.
    selected
        The epoch that the model was taken from.
    """
    figure = new_figure(9, 1.6 + 0.26 * len(labels), "Validation F1 of each class by epoch")
    axes = figure.subplots()
    colours = axes.pcolormesh(
        np.append(np.asarray(epochs) - 0.5, epochs[-1] + 0.5),
        np.arange(len(labels) + 1) - 0.5,
        np.ma.masked_invalid(f1),
        cmap="cividis",
        vmin=0,
        vmax=1,
    )
    axes.set_facecolor("#CCCCCC")
    axes.set_yticks(np.arange(len(labels)), [shortened(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if selected is not None:
        for edge in (selected - 0.5, selected + 0.5):
            axes.axvline(edge, color=VERMILLION, linewidth=1.6)
        axes.set_title(f"between the lines: the selected epoch, {selected}", fontsize=9, color=GREY)
    bar = figure.colorbar(colours, ax=axes, pad=0.02, fraction=0.03)
    bar.set_label("F1")
    return figure
