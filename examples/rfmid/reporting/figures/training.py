"""How training went: losses, F1 and learning rates by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from examples.rfmid.reporting.figures import NothingToShow
from examples.rfmid.reporting.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    new_figure,
    shortened,
    styled,
)
from examples.rfmid.reporting.record import RunRecord

_SCORES = {
    "val_macro_f1_at_half": ("macro-F1 at 0.5", SKY),
    "val_macro_f1_tuned": ("macro-F1, tuned (apparent)", VERMILLION),
    "val_macro_f1_cross_fitted": ("macro-F1, tuned on other patients", GREEN),
    "val_macro_auroc": ("macro-AUROC", PURPLE),
}


@styled
def training_curves(record: RunRecord) -> Figure:
    """Draw losses on the left, validation scores on the right, the selected epoch in both."""
    epochs = _epochs(record)
    marker = "o" if len(epochs) < 3 else None
    figure = new_figure(10, 4.3)
    panels = figure.subplots(1, 2)
    losses = {"train_loss": ("training", BLUE), "val_loss": ("validation", ORANGE)}
    for axes, title, curves in zip(
        panels, ("Loss", "Validation scores"), (losses, _SCORES), strict=True
    ):
        for name, (label, colour) in curves.items():
            values = np.array([epoch[name] for epoch in record.epochs], dtype=float)
            axes.plot(epochs, values, color=colour, label=label, marker=marker)
        axes.set_title(title, fontweight="bold")
        _finish(axes, record)
    panels[0].set_ylim(bottom=0)
    panels[1].set_ylim(0, 1)
    return figure


@styled
def learning_rates(record: RunRecord) -> Figure:
    """Draw the learning rate of each parameter group, on a logarithmic scale."""
    epochs = _epochs(record)
    marker = "." if len(epochs) < 40 else ""
    figure = new_figure(7, 3.9)
    axes = figure.subplots()
    colours = (VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY)
    for group, colour in zip(record.epochs[0]["lr"], colours, strict=False):
        rates = [epoch["lr"][group] for epoch in record.epochs]
        axes.plot(epochs, rates, color=colour, label=group, marker=marker)
    if all(rate > 0 for epoch in record.epochs for rate in epoch["lr"].values()):
        axes.set_yscale("log")
    axes.set_title("Learning rate of each parameter group", fontweight="bold")
    _finish(axes, record)
    return figure


@styled
def f1_by_epoch(record: RunRecord) -> Figure:
    """Draw validation F1 as a heat map, frequent classes on top; grey where it is undefined."""
    epochs, order = np.array(_epochs(record)), record.by_frequency
    f1 = np.array([epoch["val_f1_per_class"] for epoch in record.epochs], dtype=float).T[order]
    figure = new_figure(9, 1.6 + 0.26 * len(order), "Validation F1 of each class by epoch")
    axes = figure.subplots()
    colours = axes.pcolormesh(
        np.append(epochs - 0.5, epochs[-1] + 0.5),
        np.arange(len(order) + 1) - 0.5,
        np.ma.masked_invalid(f1),
        cmap="cividis",
        vmin=0,
        vmax=1,
    )
    axes.set_facecolor("#CCCCCC")
    axes.set_yticks(np.arange(len(order)), [shortened(record.codes[c]) for c in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    selected = record.selected_epoch
    if selected is not None:
        for edge in (selected - 0.5, selected + 0.5):
            axes.axvline(edge, color=VERMILLION, linewidth=1.6)
        axes.set_title(f"between the lines: the selected epoch, {selected}", fontsize=9, color=GREY)
    figure.colorbar(colours, ax=axes, pad=0.02, fraction=0.03).set_label("F1")
    return figure


def _epochs(record: RunRecord) -> list[Any]:
    if record.members:
        raise NothingToShow("an ensemble has no training of its own; its members' reports show it")
    return [epoch["epoch"] for epoch in record.epochs]


def _finish(axes: Axes, record: RunRecord) -> None:
    if (selected := record.selected_epoch) is not None:
        label = f"selected: epoch {selected}"
        axes.axvline(selected, color=GREY, linestyle="--", linewidth=1.2, label=label)
    axes.grid(axis="y")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
