"""ROC and precision-recall curves of a class, with the points that thresholds put it at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np

from mlthresh._intervals import Float64Array, auroc_interval, clopper_pearson
from mlthresh._ranking import average_precision, placements
from mlthresh._tables import rate_cell
from mlthresh.certify import check_confidence
from mlthresh.exceptions import InputError
from mlthresh.plotting._display import GREY, PALETTE, Display
from mlthresh.plotting._one_class import ClassCurve, OneClass, class_curve, one_class, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["OperatingPoint", "OperatingPointDisplay"]

Kind = Literal["both", "roc", "precision_recall"]

_MARKERS = "osD^v*"


class OperatingPoint(NamedTuple):
    """Where a threshold puts a class; intervals are pairs, and NaN is undefined."""

    threshold: float
    fpr: float
    recall: float
    precision: float
    fpr_interval: Float64Array
    recall_interval: Float64Array
    precision_interval: Float64Array


@dataclass(kw_only=True, eq=False, repr=False)
class OperatingPointDisplay(Display):
    """ROC and precision-recall curve of one class, with its operating points.

    Make it with `from_predictions`. Each point has its exact (Clopper-Pearson) intervals, as
    arms: a rare class's recall is uncertain however long the curve.

    Parameters
    ----------
    fpr, recall, precision : arrays of shape (n_thresholds,)
        From the highest threshold, at which nothing is called, to the lowest. NaN is undefined.
    points : dict of str to OperatingPoint
        The operating points by name, each with ``threshold``, ``fpr``, ``recall`` and
        ``precision``, and the intervals of the three rates.
    class_name : str
    n_positive, n_negative : int
        Rows behind the curves.
    auroc : float
        Area under the ROC curve; NaN where only one label occurs.
    auroc_interval : pair of float
        DeLong's, as in `multilabel_report`.
    average_precision : float
        Sum of precision times gain in recall; NaN without positives.
    confidence : float, default 0.95
        Of every interval.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes, or an array of two
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mlthresh import OperatingPointDisplay, find_optimal_thresholds
    >>> rng = np.random.default_rng(0)
    >>> y_true = rng.random((300, 1)) < 0.1
    >>> y_score = 1 / (1 + np.exp(1 - rng.normal(2.0 * y_true)))
    >>> tuned = find_optimal_thresholds(y_true, y_score)
    >>> display = OperatingPointDisplay.from_predictions(
    ...     y_true, y_score, {"tuned": tuned, "at 0.5": 0.5}
    ... )
    >>> bool(display.points["tuned"].recall == tuned.recall[0])
    True
    >>> [ax.get_ylabel() for ax in display.ax_]
    ['recall (sensitivity)', 'precision']
    """

    fpr: Float64Array
    recall: Float64Array
    precision: Float64Array
    class_name: str
    n_positive: int
    n_negative: int
    auroc: float
    auroc_interval: tuple[float, float]
    average_precision: float
    points: dict[str, OperatingPoint] = field(default_factory=dict)
    confidence: float = 0.95

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_score: Any,
        thresholds: Any = None,
        *,
        class_of_interest: str | int | None = None,
        class_names: Sequence[str] | None = None,
        confidence: float = 0.95,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the curves and operating points of a class and draw them.

        Parameters
        ----------
        y_true : array, tensor or frame of shape (n_samples, n_classes)
            Labels 0, 1 or NaN (missing: the row does not count for that class).
        y_score : array, tensor or frame of shape (n_samples, n_classes)
            Finite scores, higher for positives, on any scale.
        thresholds : ThresholdSet, float or array of shape (n_classes,), or a dict, optional
            The operating point; several as a dict from names to such.
        class_of_interest : str or int
            The class, by name or column. Needed unless there is only one.
        class_names : sequence of str, optional
            By default those of the frames or of a `ThresholdSet`. All that are given must agree.
        confidence : float, default 0.95
            Of every interval, in (0, 1).
        ax : matplotlib.axes.Axes, or two of them for both curves, optional
            Where to draw; by default a new figure.
        **kwargs
            As for `plot`.

        Returns
        -------
        OperatingPointDisplay

        Raises
        ------
        InputError
            If an argument is not as described, or no label of the class is known.

        Notes
        -----
        Intervals suppose independent rows that chose neither the thresholds nor the model, and
        hold one at a time.
        """
        check_confidence(confidence)
        if thresholds is None:
            named: Mapping[str, Any] = {}
        else:
            is_named = isinstance(thresholds, Mapping)
            named = thresholds if is_named else {"operating point": thresholds}
        one = one_class(y_true, y_score, class_of_interest, class_names, list(named.values()))
        curve = class_curve(one)
        at = {str(name): one.threshold(value) for name, value in named.items()}
        positions = [curve.with_alarms(n_alarms) for _, n_alarms in at.values()]
        points = {
            name: _point(curve, float(threshold), i, confidence)
            for (name, (threshold, _)), i in zip(at.items(), positions, strict=True)
        }
        # Both curves run through the same points, from the highest threshold on.
        shown = np.union1d(
            thinned(curve.fp, [curve.tp], positions),
            thinned(curve.tp, [curve.precision], positions),
        )
        ranking = _ranking(one, confidence)
        curve = curve.take(shown[::-1])
        display = cls(
            fpr=curve.fpr,
            recall=curve.recall,
            precision=curve.precision,
            points=points,
            class_name=one.name,
            n_positive=curve.n_positive,
            n_negative=curve.n_negative,
            confidence=confidence,
            **ranking,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, *, kind: Kind = "both", **line_kw: Any) -> Self:
        """Draw the curves and the points.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, or two of them for both curves, optional
            Where to draw; by default a new figure. Axes that show another class already can be
            given: curves take the colours of their cycle in turn.
        kind : {"both", "roc", "precision_recall"}, default "both"
            Which curves.
        **line_kw
            For the curves, as for `matplotlib.axes.Axes.plot`.

        Returns
        -------
        OperatingPointDisplay
            Itself.
        """
        if kind not in ("both", "roc", "precision_recall"):
            raise InputError(f"kind must be 'both', 'roc' or 'precision_recall', got {kind!r}")
        n_panels = 2 if kind == "both" else 1
        panels, _ = self._start(ax, (4.4 * n_panels, 4.6), n_panels)
        if kind != "precision_recall":
            self._draw_roc(panels[0], line_kw)
        if kind != "roc":
            self._draw_precision_recall(panels[-1], line_kw)
        return self

    def _draw_roc(self, axes: Axes, line_kw: dict[str, Any]) -> None:
        self._chance(axes, [0, 1], [0, 1])
        label = f"{self._title()}\nAUROC {rate_cell(self.auroc, self.auroc_interval)}"
        self._draw(axes, "fpr", "recall", {"label": label, **line_kw})
        axes.set_xlabel("1 - specificity")
        axes.set_ylabel("recall (sensitivity)")
        self._finish(axes, "only one label occurs" if np.isnan(self.auroc) else None)

    def _draw_precision_recall(self, axes: Axes, line_kw: dict[str, Any]) -> None:
        n_known = self.n_positive + self.n_negative
        self._chance(axes, [0, 1], [self.n_positive / n_known] * 2)
        label = f"{self._title()}\nAP {rate_cell(self.average_precision)}"
        step = {"drawstyle": "steps-pre", "label": label, **line_kw}
        self._draw(axes, "recall", "precision", step)
        axes.set_xlabel("recall (sensitivity)")
        axes.set_ylabel("precision")
        self._finish(axes, None if self.n_positive else "no positives")

    def _chance(self, axes: Axes, x: list[float], y: list[float]) -> None:
        axes.plot(x, y, color=GREY, linewidth=0.8, linestyle=":")

    def _draw(self, axes: Axes, x: str, y: str, line_kw: dict[str, Any]) -> None:
        abscissa, ordinate = getattr(self, x), getattr(self, y)
        if x == "recall" and len(ordinate) > 1:  # precision is undefined where nothing is called
            ordinate = np.append(ordinate[1], ordinate[1:])
        (line,) = axes.plot(abscissa, ordinate, **line_kw)
        for i, (name, point) in enumerate(self.points.items()):
            here = getattr(point, x), getattr(point, y)
            if np.isnan(here).any():
                continue
            arms = [getattr(point, f"{axis}_interval") for axis in (x, y)]
            reach = [
                np.maximum(0, [[at - ends[0]], [ends[1] - at]])
                for at, ends in zip(here, arms, strict=True)
            ]
            colour = PALETTE[(i + 1) % len(PALETTE)] if len(self.points) > 1 else line.get_color()
            axes.errorbar(
                here[0],
                here[1],
                xerr=reach[0],
                yerr=reach[1],
                fmt=_MARKERS[i % len(_MARKERS)],
                color=colour,
                markeredgecolor="white",
                markersize=8,
                elinewidth=1.2,
                capsize=2,
                zorder=5 + i,
                clip_on=False,
                label=f"{name}: {point.threshold:.3g}",
            )

    def _finish(self, axes: Axes, undefined: str | None) -> None:
        if undefined:
            axes.text(0.5, 0.5, undefined, ha="center", color=GREY, transform=axes.transAxes)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_aspect("equal")
        axes.legend(fontsize="small", loc="lower right" if axes.get_xlabel()[0] == "1" else "best")

    def _title(self) -> str:
        n_known = self.n_positive + self.n_negative
        return f"{self.class_name}: {self.n_positive:,} of {n_known:,} positive"


def _point(curve: ClassCurve, threshold: float, i: int, confidence: float) -> OperatingPoint:
    tp, fp = curve.tp[i], curve.fp[i]
    return OperatingPoint(
        threshold=threshold,
        fpr=float(curve.fpr[i]),
        recall=float(curve.recall[i]),
        precision=float(curve.precision[i]),
        fpr_interval=clopper_pearson(fp, curve.n_negative, confidence),
        recall_interval=clopper_pearson(tp, curve.n_positive, confidence),
        precision_interval=clopper_pearson(tp, tp + fp, confidence),
    )


def _ranking(one: OneClass, confidence: float) -> dict[str, Any]:
    positive, negative = (np.sort(one.score[one.label == label]) for label in (1, 0))
    placed = placements(positive, negative)
    return {
        "auroc": float(placed[0].mean()) if len(positive) else float("nan"),
        "auroc_interval": auroc_interval(*placed, confidence),
        "average_precision": average_precision(positive, negative),
    }
