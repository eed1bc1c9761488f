"""The learning-rate range test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from examples.rfmid.reporting.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    SKY,
    VERMILLION,
    new_figure,
    styled,
)


@styled
def learning_rate_sweep(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: Mapping[str, float | None],
    in_use: float,
) -> Figure:
    """Draw the loss over the base learning rate, with the suggested rates and the one in use."""
    figure = new_figure(7.5, 4.2)
    axes = figure.subplots()
    axes.plot(rates, losses, ".", color=SKY, markersize=4, label="loss of a batch")
    axes.plot(rates, smoothed, color=BLUE, linewidth=2, label="smoothed")
    marks = {
        "steepest": ("steepest descent", GREEN, "-"),
        "minimum_tenth": ("a tenth of the rate at the minimum", VERMILLION, "--"),
    }
    for name, (label, colour, style) in marks.items():
        rate = suggestion[name]
        if rate is not None:
            axes.axvline(rate, color=colour, linestyle=style, label=f"{label}: {rate:.2g}")
    if rates[0] <= in_use <= rates[-1]:
        axes.axvline(in_use, color=BLACK, linestyle=":", label=f"in use: {in_use:.2g}")
    axes.set_xscale("log")
    low = min(np.min(smoothed), np.percentile(losses, 2))
    high = max(np.max(smoothed[: max(2, len(smoothed) // 2)]), np.percentile(losses, 90))
    axes.set_ylim(max(0.0, low - 0.1 * (high - low)), high + 0.1 * (high - low))
    axes.set_xlabel("Base learning rate (logarithmic)")
    axes.set_ylabel("Training loss")
    axes.set_title("Learning-rate range test", fontweight="bold")
    axes.grid(axis="y")
    axes.legend(loc="best", fontsize=8, labelcolor=GREY)
    return figure
