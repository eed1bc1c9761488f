"""A 2 x 2 confusion matrix for each of several classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from examples.rfmid.reporting.figures.style import (
    BLACK,
    grid_of_axes,
    new_figure,
    shortened,
    styled,
)

__all__ = ["Confusion", "confusion_matrices"]


@dataclass(frozen=True)
class Confusion:
    """One class's counts."""

    title: str
    tp: int
    fp: int
    fn: int
    tn: int


@styled
def confusion_matrices(classes: Sequence[Confusion], title: str) -> Figure:
    """Draw counts in a 2 x 2 table a class, coloured by their part of the row."""
    n_columns = min(5, len(classes))
    figure = new_figure(1.95 * max(3, n_columns), 1.0 + 2.15 * -(-len(classes) // n_columns), title)
    for panel, counts in zip(grid_of_axes(figure, len(classes), n_columns), classes, strict=True):
        table = np.array([[counts.tp, counts.fn], [counts.fp, counts.tn]])
        part = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        panel.imshow(part, cmap="Blues", vmin=0, vmax=1)
        for (i, j), count in np.ndenumerate(table):
            panel.text(
                j,
                i,
                f"{count:,}",
                ha="center",
                va="center",
                fontsize=12,
                color="white" if part[i, j] > 0.55 else BLACK,
            )
        panel.set_title(shortened(counts.title, 16), loc="center", fontsize=10)
        panel.set_xticks([0, 1], ["yes", "no"])
        panel.set_yticks([0, 1], ["yes", "no"], rotation=90, va="center")
        panel.tick_params(length=0)
        for spine in panel.spines.values():
            spine.set_visible(False)
    figure.supxlabel("decision", fontsize=10)
    figure.supylabel("label", fontsize=10)
    return figure
