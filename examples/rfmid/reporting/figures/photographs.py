"""Sheets of photographs: samples by number of diseases, and before and after augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from examples.rfmid.reporting.figures.style import (
    GREY,
    grid_of_axes,
    new_figure,
    shortened,
    show_image,
    styled,
)

__all__ = [
    "Described",
    "ImageArray",
    "Sample",
    "augmentation_sheet",
    "described_sheet",
    "sample_sheet",
]

ImageArray: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Sample:
    """An image (height, width, 3) and the codes of the diseases that its label names."""

    image: ImageArray
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Described:
    """An image (height, width, 3), what it shows, and the signs of it."""

    image: ImageArray
    name: str
    signs: str


@styled
def described_sheet(shown: Sequence[Described]) -> Figure:
    """Draw images side by side, each with its disease above it and the signs below."""
    figure = new_figure(2.6 * len(shown), 3.6, "A healthy retina beside diseased ones")
    for panel, one in zip(grid_of_axes(figure, len(shown), len(shown)), shown, strict=True):
        show_image(panel, one.image)
        panel.set_title("\n".join(wrap(one.name, 26)), loc="center", fontsize=10)
        panel.set_xlabel("\n".join(wrap(one.signs, 30)), fontsize=9)
    return figure


@styled
def sample_sheet(columns: Sequence[Sequence[Sample]]) -> Figure:
    """Draw one column of samples for each number of diseases.

    Parameters
    ----------
    columns
        `columns[i]` holds the samples of one column, which show the same number of diseases;
        no column is empty.
    """
    n_rows = max(len(column) for column in columns)
    figure = new_figure(
        1.75 * max(4, len(columns)), 0.7 + 2.1 * n_rows, "Images by number of labelled diseases"
    )
    axes = grid_of_axes(figure, n_rows * len(columns), len(columns))
    for j, column in enumerate(columns):
        for i in range(n_rows):
            panel = axes[i * len(columns) + j]
            if i >= len(column):
                panel.set_visible(False)
                continue
            show_image(panel, column[i].image)
            panel.set_xlabel(_wrapped(column[i].codes), fontsize=9)
        count = len(column[0].codes)
        title = {0: "none", 1: "1 disease"}.get(count, f"{count} diseases")
        axes[j].set_title(title, loc="center", fontsize=10)
    return figure


@styled
def augmentation_sheet(
    before: Sequence[ImageArray], after: Sequence[Sequence[ImageArray]]
) -> Figure:
    """Draw each image as the model sees it in evaluation, then as training may show it.

    Parameters
    ----------
    before
        The images without augmentation.
    after
        For each image, its augmented draws, all lists of the same length.
    """
    n_draws = len(after[0])
    figure = new_figure(
        1.55 * (n_draws + 1), 0.7 + 1.6 * len(before), "Before and after augmentation"
    )
    axes = grid_of_axes(figure, len(before) * (n_draws + 1), n_draws + 1)
    for i, (original, draws) in enumerate(zip(before, after, strict=True)):
        for j, image in enumerate([original, *draws]):
            show_image(axes[i * (n_draws + 1) + j], image)
    axes[0].set_title("before", loc="center", fontsize=10)
    for j in range(1, n_draws + 1):
        axes[j].set_title(f"draw {j}", loc="center", fontsize=10, color=GREY)
    return figure


def _wrapped(codes: Sequence[str], per_line: int = 3) -> str:
    short = [shortened(code, 16) for code in codes]
    lines = [short[i : i + per_line] for i in range(0, len(short), per_line)]
    return ",\n".join(", ".join(line) for line in lines)
