"""How training went: losses, F1 and learning rates by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from examples.rfmid.reporting.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    new_figure,
    styled,
)

__all__ = ["learning_rates", "training_curves"]


@styled
def training_curves(
    epochs: Sequence[int],
    losses: Mapping[str, Sequence[float]],
    scores: Mapping[str, Sequence[float]],
    selected: int | None,
) -> Figure:
    """Draw losses on the left, validation scores on the right, the selected epoch in both."""
    figure = new_figure(10, 4.3)
    left, right = figure.subplots(1, 2)
    for axes, title, curves, colours in (
        (left, "Loss", losses, (BLUE, ORANGE)),
        (right, "Validation scores", scores, (SKY, VERMILLION, GREEN, PURPLE)),
    ):
        for (name, values), colour in zip(curves.items(), colours, strict=False):
            marker = "o" if len(epochs) < 3 else None
            axes.plot(epochs, values, color=colour, label=name, marker=marker)
        axes.set_title(title, fontweight="bold")
        _epoch_axis(axes, selected)
    right.set_ylim(0, 1)
    left.set_ylim(bottom=0)
    return figure


@styled
def learning_rates(
    epochs: Sequence[int], rates: Mapping[str, Sequence[float]], selected: int | None
) -> Figure:
    """Draw the learning rate of each parameter group, on a logarithmic scale."""
    figure = new_figure(7, 3.9)
    axes = figure.subplots()
    for (name, values), colour in zip(
        rates.items(), (VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY), strict=False
    ):
        axes.plot(epochs, values, color=colour, label=name, marker="." if len(epochs) < 40 else "")
    if all(value > 0 for values in rates.values() for value in values):
        axes.set_yscale("log")
    axes.set_title("Learning rate of each parameter group", fontweight="bold")
    _epoch_axis(axes, selected)
    return figure


def _epoch_axis(axes: Axes, selected: int | None) -> None:
    if selected is not None:
        axes.axvline(
            selected, color=GREY, linestyle="--", linewidth=1.2, label=f"selected: epoch {selected}"
        )
    axes.grid(axis="y")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
