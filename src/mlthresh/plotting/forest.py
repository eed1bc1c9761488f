"""A figure of each class with its interval, as a forest plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from mlthresh._intervals import Float64Array
from mlthresh._tables import rate_cell
from mlthresh.class_counts import Int64Array
from mlthresh.exceptions import InputError
from mlthresh.metrics import multilabel_report
from mlthresh.plotting._display import (
    BLUE,
    GREY,
    LIGHT,
    VERMILLION,
    Display,
    beside,
    class_labels,
    rows_height,
)
from mlthresh.report import MultilabelReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ForestDisplay"]

Metric = Literal["f1", "recall", "precision", "specificity", "auroc"]

_TITLES = {
    "f1": "F1",
    "recall": "recall (sensitivity)",
    "precision": "precision",
    "specificity": "specificity",
    "auroc": "AUROC",
}


@dataclass(kw_only=True, eq=False, repr=False)
class ForestDisplay(Display):
    """A figure of every class with its interval and its number of positives.

    Make it with `from_report` or `from_predictions`.

    Parameters
    ----------
    values : array of shape (n_classes,)
        NaN is undefined.
    intervals : array of shape (n_classes, 2)
        Lower and upper ends; NaN where there is none.
    support : int array of shape (n_classes,)
        Positives.
    class_names : tuple of str, or None
    metric : str
        What is shown, as an attribute of `MultilabelReport`.
    average : float, optional
        Mean over the classes.
    average_interval : pair of float, optional
    confidence : float, default 0.95
        Of every interval.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mlthresh import ForestDisplay, multilabel_report
    >>> rng = np.random.default_rng(0)
    >>> y_true = rng.random((300, 2)) < [0.3, 0.05]
    >>> y_score = 1 / (1 + np.exp(1 - rng.normal(2.0 * y_true)))
    >>> report = multilabel_report(y_true, y_score, 0.5, class_names=["DR", "RPEC"])
    >>> display = ForestDisplay.from_report(report)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['DR', 'RPEC', 'macro average']
    >>> bool(display.average == report.macro_f1)
    True
    """

    values: Float64Array
    intervals: Float64Array
    support: Int64Array
    class_names: tuple[str, ...] | None
    metric: str = "f1"
    average: float | None = None
    average_interval: tuple[float, float] | None = None
    confidence: float = 0.95

    @classmethod
    def from_report(
        cls,
        report: MultilabelReport,
        metric: Metric = "f1",
        *,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a figure that a report holds.

        Parameters
        ----------
        report : MultilabelReport
        metric : {"f1", "recall", "precision", "specificity", "auroc"}
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure, as high as the classes need.
        **kwargs
            As for `plot`.

        Returns
        -------
        ForestDisplay

        Raises
        ------
        InputError
            If the metric is not one of these.
        """
        if metric not in _TITLES:
            raise InputError(f"metric must be one of {list(_TITLES)}, got {metric!r}")
        display = cls(
            values=getattr(report, metric),
            intervals=getattr(report, f"{metric}_interval"),
            support=report.support,
            class_names=report.class_names,
            metric=metric,
            average=getattr(report, f"macro_{metric}", None),
            average_interval=getattr(report, f"macro_{metric}_interval", None),
            confidence=report.confidence,
        )
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_score: Any,
        thresholds: Any,
        *,
        metric: Metric = "f1",
        class_names: Sequence[str] | None = None,
        confidence: float = 0.95,
        n_resamples: int = 1000,
        rng: int | np.random.Generator | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Measure a classifier as `multilabel_report` does, and draw one of the figures.

        Parameters
        ----------
        y_true, y_score, thresholds, class_names, confidence, n_resamples, rng
            As for `multilabel_report`.
        metric, ax, **kwargs
            As for `from_report`.

        Returns
        -------
        ForestDisplay

        Raises
        ------
        InputError
            If an argument is not as described.
        """
        report = multilabel_report(
            y_true,
            y_score,
            thresholds,
            class_names=class_names,
            confidence=confidence,
            n_resamples=n_resamples,
            rng=rng,
        )
        return cls.from_report(report, metric, ax=ax, **kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        sort_by: Literal["support", "value"] | None = "support",
        annotate: bool = True,
    ) -> Self:
        """Draw the forest plot.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure, as high as the classes need.
        sort_by : {"support", "value"} or None, default "support"
            The highest on top; None keeps the order of the columns.
        annotate : bool, default True
            Write the figures and the numbers of positives to the right of the axes, which takes
            room beside axes that are given.

        Returns
        -------
        ForestDisplay
            Itself.
        """
        if sort_by not in ("support", "value", None):
            raise InputError(f"sort_by must be 'support', 'value' or None, got {sort_by!r}")
        n_classes = len(self.values)
        key = {"support": self.support, "value": np.nan_to_num(self.values, nan=-1)}
        order = np.argsort(-key[sort_by], kind="stable") if sort_by else np.arange(n_classes)
        labels = class_labels(self.class_names, n_classes)
        has_average = n_classes > 1 and self.average is not None and not np.isnan(self.average)
        n_rows = n_classes + has_average
        (axes,), _ = self._start(ax, (7.2, rows_height(n_rows)))
        for row, c in enumerate(order):
            self._draw_row(axes, row, self.values[c], self.intervals[c], BLUE, "o")
            if annotate:
                beside(axes, row, f"n = {self.support[c]:,}", 56, "right")
                beside(axes, row, rate_cell(self.values[c], self.intervals[c]), 62, "left")
        names = [labels[c] for c in order]
        if has_average and self.average is not None:
            ends = np.array(self.average_interval or (np.nan, np.nan))
            self._draw_row(axes, n_classes, self.average, ends, VERMILLION, "D")
            axes.axvline(self.average, color=VERMILLION, linewidth=0.8, linestyle=":", zorder=1)
            axes.axhline(n_classes - 0.5, color=LIGHT, linewidth=0.8)
            names.append("macro average")
            if annotate:
                beside(axes, n_classes, rate_cell(self.average, ends), 62, "left")
        axes.set_yticks(range(n_rows), names)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(n_rows - 0.4, -0.6)
        axes.set_xlim(-0.02, 1.02)
        axes.grid(axis="x", color=LIGHT, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlabel(
            f"{_TITLES.get(self.metric, self.metric)} with {100 * self.confidence:g}% interval; "
            "n: positives"
        )
        return self

    def _draw_row(
        self, axes: Axes, row: int, value: float, ends: Float64Array, colour: str, marker: str
    ) -> None:
        if not np.isnan(ends).any():
            axes.hlines(row, *ends, color=colour, linewidth=1.6, zorder=2)
        if np.isnan(value):
            axes.text(0.0, row, "undefined", color=GREY, va="center", fontsize="small")
        else:
            axes.plot(value, row, marker, color=colour, markeredgecolor="white", zorder=3)
