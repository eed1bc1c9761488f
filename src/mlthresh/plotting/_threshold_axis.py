"""The axis of thresholds: where it ends, and probabilities spread by their logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from mlthresh._intervals import Float64Array
from mlthresh.exceptions import InputError
from mlthresh.plotting._ranges import Range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Scale", "axis_ends", "set_axis"]

Scale: TypeAlias = Literal["linear", "logit"]


def axis_ends(
    scores: Float64Array, recall: Float64Array, chosen: float | None, scale: Scale
) -> Range:
    """Return ends that hold all ascending scores and the chosen threshold, with a margin.

    By logits the scores below the highest that finds every positive are left out.
    """
    shown = scores
    if chosen is not None and np.isfinite(chosen):
        shown = np.append(shown, chosen)
    if scale == "logit":
        all_found = np.flatnonzero(recall == 1)
        return _logit_ends(shown[all_found[-1] :] if len(all_found) else shown)
    low, high = float(shown.min()), float(shown.max())
    margin = 0.04 * (high - low) or 0.05 * (abs(high) or 1.0)
    return (low - margin if low < 0 or low - margin > 0 else 0.0), high + margin


def _logit_ends(shown: Float64Array) -> Range:
    inside = shown[(shown > 0) & (shown < 1)]
    if len(inside) < len(shown) and (shown.min() < 0 or shown.max() > 1 or not len(inside)):
        raise InputError(
            f"x_scale='logit' is for probabilities; thresholds range from {shown.min()} "
            f"to {shown.max()}"
        )
    logit = np.log(inside) - np.log1p(-inside)
    margin = 0.5 + 0.1 * np.ptp(logit)
    low, high = 1 / (1 + np.exp([margin - logit.min(), -margin - logit.max()]))
    return float(low), float(high)


def set_axis(axes: Axes, left: float, right: float, scale: Scale) -> None:
    """Let the horizontal axis be of thresholds between these ends."""
    axes.set_xscale(scale)
    if scale == "logit":
        from matplotlib.ticker import LogitFormatter

        axes.xaxis.set_major_formatter(LogitFormatter(one_half="0.5"))
    axes.set_xlim(left, right)
    axes.set_xlabel("threshold")
