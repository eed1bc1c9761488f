"""Differences between systems, as a forest plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from examples.rfmid.reporting.figures.style import BLUE, GREY, VERMILLION, new_figure, styled


@styled
def differences_figure(systems: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw each system's macro-F1 minus its base's, with its interval and each seed's value."""
    figure = new_figure(8.0, 1.6 + 0.34 * len(systems))
    axes = figure.subplots()
    axes.axvline(0, color=GREY, linewidth=1)
    for row, one in enumerate(systems):
        found = one["against_base"]
        low, high = found["interval"]
        axes.plot([low, high], [row, row], color=BLUE, linewidth=2)
        axes.plot(found["difference"], row, "o", color=BLUE)
        seeds = list(found["by_seed"].values())
        axes.plot(seeds, [row] * len(seeds), "|", color=VERMILLION, markersize=9)
    axes.set_yticks(
        range(len(systems)), [f"{one['name']}  (minus {one['base']})" for one in systems]
    )
    axes.set_ylim(len(systems) - 0.5, -0.5)
    axes.set_xlabel("difference in test macro-F1")
    axes.set_title("Dot and line: mean of the seeds, 95 % over test patients\nTicks: single seeds")
    axes.grid(axis="x")
    return figure
