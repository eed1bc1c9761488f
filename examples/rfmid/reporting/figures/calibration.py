"""Whether scores mean what they say: mean score against observed frequency, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.stats import beta

from examples.rfmid.reporting.figures.style import (
    BLUE,
    GREY,
    VERMILLION,
    grid_of_axes,
    new_figure,
    styled,
)

__all__ = ["mean_scores"]


@styled
def mean_scores(
    codes: Sequence[str],
    means: Mapping[str, npt.NDArray[np.float64]],
    n_positive: npt.NDArray[np.int64],
    n_known: npt.NDArray[np.int64],
) -> Figure:
    """Draw a panel for each kind of score, with a point for each class that has a positive.

    The horizontal bars are exact 95 % intervals of the observed frequency.
    """
    shown = n_positive > 0
    k, n = n_positive[shown], n_known[shown]
    low, high = beta.ppf(0.025, k, n - k + 1), np.where(k < n, beta.ppf(0.975, k + 1, n - k), 1.0)
    observed = k / n
    figure = new_figure(4.7 * len(means), 4.6, "Do scores mean what they say?")
    axes = grid_of_axes(figure, len(means), len(means), sharex=True, sharey=True)
    everything = np.concatenate([low, high, *(mean[shown] for mean in means.values())])
    ends = [everything.min() / 1.5, min(1.0, everything.max() * 1.5)]
    for panel, (title, mean), colour in zip(axes, means.items(), (VERMILLION, BLUE), strict=False):
        panel.plot(ends, ends, color=GREY, linewidth=1)
        panel.errorbar(
            observed,
            mean[shown],
            xerr=np.stack([observed - low, high - observed]),
            fmt="o",
            color=colour,
            markersize=5,
            elinewidth=0.8,
        )
        for x, y, name in zip(observed, mean[shown], np.array(codes)[shown], strict=True):
            panel.annotate(
                name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7, color=GREY
            )
        panel.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
        panel.set_title(title)
        panel.set_xlabel("part of the test images that show it")
        panel.grid()
    axes[0].set_ylabel("mean score")
    return figure
