"""How many images show each disease: a dot a split, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from examples.rfmid.reporting.figures.style import (
    GREY,
    LIGHT,
    SPLIT_COLOURS,
    new_figure,
    shortened,
    styled,
)

__all__ = ["class_distribution"]

_ZERO = 0.5  # where a count of none is drawn: a logarithmic axis has no zero
_MARKERS = {"training": "o", "validation": "s", "test": "D"}


@styled
def class_distribution(labels: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Figure:
    """Draw the positives of each class in each split, the most frequent class on top.

    Dots, not bars: on a logarithmic scale a bar's length has no meaning.

    Parameters
    ----------
    labels
        One label a class.
    counts
        Positives per class for "training", "validation" and "test" (any of them).
    """
    order = np.argsort(-np.asarray(counts[next(iter(counts))]), kind="stable")
    figure = new_figure(9, 1.7 + 0.28 * len(labels), "Images that show each disease")
    axes = figure.subplots()
    rows = np.arange(len(labels))
    drawn = np.array([np.asarray(of_split)[order] for of_split in counts.values()], dtype=float)
    drawn[drawn == 0] = _ZERO
    axes.hlines(rows, drawn.min(axis=0), drawn.max(axis=0), color=LIGHT, linewidth=3, zorder=1)
    for split, of_split in zip(counts, drawn, strict=True):
        axes.plot(
            of_split,
            rows,
            _MARKERS[split],
            color=SPLIT_COLOURS[split],
            markersize=6,
            label=f"{split} ({sum(counts[split]):,} labels)",
        )
    axes.set_xscale("log")
    highest = max(10.0, float(drawn.max()))
    has_zero = bool((drawn == _ZERO).any())
    axes.set_xlim(0.8 * _ZERO if has_zero else 0.9, highest * 1.3)
    ticks = [10**power for power in range(int(np.log10(highest)) + 1)]
    ticks += [t * step for t in ticks for step in (2, 5) if t * step <= highest * 1.3]
    axes.set_xticks(
        [*([_ZERO] if has_zero else []), *sorted(ticks)],
        [*(["0"] if has_zero else []), *(f"{tick:,}" for tick in sorted(ticks))],
    )
    axes.minorticks_off()
    axes.set_yticks(rows, [shortened(labels[i]) for i in order])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("images (logarithmic scale)")
    if has_zero:
        axes.axvline(_ZERO, color=GREY, linewidth=0.8, linestyle=":")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
