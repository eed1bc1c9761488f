"""Which classes occur together, as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from mlthresh._imbalance_report import ImbalanceReport
from mlthresh._intervals import Float64Array
from mlthresh.class_counts import Int64Array
from mlthresh.exceptions import InputError
from mlthresh.imbalance import imbalance_report
from mlthresh.plotting._display import LIGHT, Display, class_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

__all__ = ["CoOccurrenceDisplay"]

_READABLE = 24  # classes up to which numbers fit into the cells


@dataclass(kw_only=True, eq=False, repr=False)
class CoOccurrenceDisplay(Display):
    """How often classes occur together: a row of the map for each class given.

    Make it with `from_labels` or `from_report`. Classes are in the order of their frequency, each
    with its number of positives; the diagonal, which says nothing, is left grey, and a
    pair that never occurs white.

    Parameters
    ----------
    co_occurrence : int array of shape (n_classes, n_classes)
        Rows that show both classes; on the diagonal each class's positives.
    conditional : array of shape (n_classes, n_classes)
        Entry (i, j): of the rows that show class i, the share that shows j.
    class_names : tuple of str, or None

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from mlthresh import CoOccurrenceDisplay
    >>> labels = [[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 0]]
    >>> display = CoOccurrenceDisplay.from_labels(labels, ["DR", "LS", "MH"])
    >>> display.conditional[1]  # of the rows that show LS
    array([1., 1., 0.])
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['DR (4)', 'LS (2)', 'MH (1)']
    """

    co_occurrence: Int64Array
    conditional: Float64Array
    class_names: tuple[str, ...] | None

    @classmethod
    def from_report(cls, report: ImbalanceReport, *, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw what `imbalance_report` counted.

        Parameters
        ----------
        report : ImbalanceReport
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure, as large as the classes need.
        **kwargs
            As for `plot`.

        Returns
        -------
        CoOccurrenceDisplay
        """
        display = cls(
            co_occurrence=report.co_occurrence,
            conditional=report.conditional,
            class_names=report.class_names,
        )
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def from_labels(
        cls,
        labels: Any,
        class_names: Sequence[str] | None = None,
        *,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Count pairs of classes and draw the counts.

        Parameters
        ----------
        labels, class_names
            As for `imbalance_report`, which says what a missing label does.
        ax, **kwargs
            As for `from_report`.

        Returns
        -------
        CoOccurrenceDisplay

        Raises
        ------
        InputError
            If the labels are not a matrix of labels, or the names do not fit.
        """
        return cls.from_report(imbalance_report(labels, class_names), ax=ax, **kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        values: Literal["conditional", "counts"] = "conditional",
        annotate: bool | None = None,
    ) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure, as large as the classes need.
        values : {"conditional", "counts"}, default "conditional"
            Shares of the row's class, or numbers of rows, on a logarithmic scale of colours.
        annotate : bool, optional
            Write the numbers into the cells; by default where they fit.

        Returns
        -------
        CoOccurrenceDisplay
            Itself.
        """
        if values not in ("conditional", "counts"):
            raise InputError(f"values must be 'conditional' or 'counts', got {values!r}")
        support = np.diag(self.co_occurrence)
        order = np.argsort(-support, kind="stable")
        n_classes = len(order)
        side = 2.2 + (0.42 if n_classes <= _READABLE else 0.24) * max(n_classes, 3)
        (axes,), _ = self._start(ax, (side + 1.0, side))
        from matplotlib.colors import LogNorm, Normalize

        shares = values == "conditional"
        matrix = np.asarray(self.conditional if shares else self.co_occurrence, dtype=np.float64)
        matrix = matrix[np.ix_(order, order)]
        hidden = np.eye(n_classes, dtype=bool) | np.isnan(matrix) | (matrix == 0)
        largest = matrix[~hidden].max(initial=1.0)
        image = axes.imshow(
            np.ma.masked_array(matrix, hidden),
            cmap=_light_to_dark(),
            norm=Normalize(0, 1) if shares else LogNorm(1, max(largest, 2)),
            interpolation="nearest",
        )
        axes.set_facecolor("white")
        undefined = np.isnan(matrix) | np.eye(n_classes, dtype=bool)
        axes.imshow(
            np.ma.masked_array(np.full(matrix.shape, 0.8), ~undefined),
            cmap="gray",
            vmin=0,
            vmax=1,
            interpolation="nearest",
        )
        labels = class_labels(self.class_names, n_classes)
        axes.set_yticks(range(n_classes), [f"{labels[c]} ({support[c]:,})" for c in order])
        axes.set_xticks(range(n_classes), [labels[c] for c in order], rotation=90)
        axes.tick_params(length=0, labelsize="small")
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(LIGHT)
        axes.set_ylabel("class (positives)")
        axes.set_xlabel("also shown")
        bar = self.figure_.colorbar(image, ax=axes, shrink=0.6, format=None if shares else "%d")
        bar.set_label("share of the class's positives" if shares else "rows that show both")
        if annotate or (annotate is None and n_classes <= _READABLE):
            self._write(axes, matrix, hidden, image, shares=shares)
        return self

    def _write(
        self, axes: Axes, matrix: Float64Array, hidden: Any, image: Any, *, shares: bool
    ) -> None:
        for row, column in np.argwhere(~hidden):
            value = matrix[row, column]
            is_dark = image.norm(value) > 0.5
            axes.text(
                column,
                row,
                _percent(value) if shares else f"{value:,.0f}",
                ha="center",
                va="center",
                fontsize="x-small",
                color="white" if is_dark else "black",
            )


def _light_to_dark() -> Colormap:
    """Return colours of which even the lightest is told from white."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["Blues"](np.linspace(0.15, 1, 256)))


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.005 else "<1%"
