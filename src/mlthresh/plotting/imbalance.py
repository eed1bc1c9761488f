"""How many positives each class has, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mlthresh._arrays import as_labels, matched_class_names
from mlthresh.class_counts import ClassCounts, count_labels
from mlthresh.exceptions import InputError
from mlthresh.plotting._display import (
    GREY,
    LIGHT,
    PALETTE,
    Display,
    beside,
    class_labels,
    rows_height,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ImbalanceDisplay"]

_NONE = 0.5  # where no positives are drawn: a logarithmic axis has no zero
_MARKERS = "osD^v*"


@dataclass(kw_only=True, eq=False, repr=False)
class ImbalanceDisplay(Display):
    """Positives of each class on a logarithmic scale, the most frequent class on top.

    Make it with `from_labels`. Dots rather than bars: on a logarithmic scale the length of a bar
    means nothing.

    Parameters
    ----------
    counts : dict of str to ClassCounts
        By the name of the data set: known and positive labels of each class.
    class_names : tuple of str, or None

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from mlthresh import ImbalanceDisplay
    >>> labels = [[1, 0], [1, 0], [1, 1], [0, 0]]
    >>> display = ImbalanceDisplay.from_labels(labels, ["DR", "RPEC"])
    >>> display.counts["labels"].n_positive
    array([3, 1])
    >>> display.ax_.get_xscale()
    'log'
    """

    counts: dict[str, ClassCounts]
    class_names: tuple[str, ...] | None

    @classmethod
    def from_labels(
        cls,
        labels: Any,
        class_names: Sequence[str] | None = None,
        *,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Count the classes and draw the counts.

        Parameters
        ----------
        labels : array, tensor or frame of shape (n_samples, n_classes), or a dict of such
            0, 1 or NaN (missing). Several sets, such as training and test, as a dict from their
            names; the first sets the order of the classes.
        class_names : sequence of str, optional
            One name for each column; frames bring their own.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure, as high as the classes need.
        **kwargs
            As for `plot`.

        Returns
        -------
        ImbalanceDisplay

        Raises
        ------
        InputError
            If the labels are not such matrices, differ in their classes, or the names do not fit.
        """
        sets = labels if isinstance(labels, Mapping) else {"labels": labels}
        if not sets:
            raise InputError("labels is an empty dict")
        checked = {str(name): as_labels(one, str(name)) for name, one in sets.items()}
        n_classes = [array.shape[1] for array, _ in checked.values()]
        if len(set(n_classes)) > 1:
            raise InputError(f"the sets of labels have {n_classes} classes; they must be the same")
        columns = [names for _, names in checked.values()]
        names = matched_class_names(n_classes[0], class_names, *columns)
        counts = {name: count_labels(array) for name, (array, _) in checked.items()}
        return cls(counts=counts, class_names=names).plot(ax=ax, **kwargs)

    def plot(
        self, ax: Axes | None = None, *, min_count: int | None = None, annotate: bool = True
    ) -> Self:
        """Draw the counts.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure, as high as the classes need.
        min_count : int, optional
            Draw a line there, as `drop_rare_classes` would part the classes.
        annotate : bool, default True
            Write the first set's counts and prevalences to the right of the axes, which takes room
            beside axes that are given.

        Returns
        -------
        ImbalanceDisplay
            Itself.
        """
        first = next(iter(self.counts.values()))
        order = np.argsort(-first.n_positive, kind="stable")
        rows = np.arange(len(order))
        (axes,), own_figure = self._start(ax, (7.2, rows_height(len(order) + len(self.counts))))
        drawn = np.array([one.n_positive[order] for one in self.counts.values()], dtype=np.float64)
        drawn[drawn == 0] = _NONE
        highest = float(drawn.max())
        axes.hlines(rows, drawn.min(axis=0), drawn.max(axis=0), color=LIGHT, linewidth=3, zorder=1)
        for i, (name, counts) in enumerate(self.counts.items()):
            axes.plot(
                drawn[i],
                rows,
                _MARKERS[i % len(_MARKERS)],
                color=PALETTE[i % len(PALETTE)],
                markeredgecolor="white",
                label=f"{name} ({counts.n_positive.sum():,} positive labels)",
                zorder=3,
            )
        self._set_scale(axes, highest, has_none=bool((drawn == _NONE).any()))
        if min_count is not None:
            axes.axvline(min_count, color=GREY, linestyle="--", label=f"min_count = {min_count}")
        if annotate:
            self._annotate(axes, first, order)
        labels = class_labels(self.class_names, len(order))
        axes.set_yticks(rows, [labels[c] for c in order])
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=LIGHT, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlabel("positives (logarithmic scale)")
        if len(self.counts) > 1 or min_count is not None:
            self._add_legend(axes, own_figure=own_figure, n_columns=2)
        return self

    def _set_scale(self, axes: Axes, highest: float, *, has_none: bool) -> None:
        """Label 1, 2, 5, 10, ... and, where a class has no positive, a zero."""
        axes.set_xscale("log")
        right = max(10.0, highest) * 1.3
        axes.set_xlim(0.8 * _NONE if has_none else 0.8, right)
        steps = (1, 2, 5) if right < 3000 else (1,)
        decades = range(int(np.log10(right)) + 1)
        ticks = [float(step * 10**k) for k in decades for step in steps if step * 10**k <= right]
        labels = [f"{tick:,.0f}" for tick in ticks]
        if has_none:
            ticks, labels = [_NONE, *ticks], ["0", *labels]
            axes.axvline(_NONE, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
        axes.set_xticks(ticks, labels)
        axes.minorticks_off()

    def _annotate(self, axes: Axes, counts: ClassCounts, order: Any) -> None:
        for row, c in enumerate(order):
            known, positive = counts.n_samples[c], counts.n_positive[c]
            beside(axes, row, f"{positive:,}", 44, "right")
            beside(axes, row, f"{100 * positive / known:.2f}%" if known else "-", 90, "right")
