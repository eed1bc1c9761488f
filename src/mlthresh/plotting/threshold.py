"""Precision, recall and F1 of a class against its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mlthresh._arrays import as_groups
from mlthresh._intervals import Float64Array
from mlthresh._scalars import as_integer
from mlthresh.certify import check_confidence
from mlthresh.exceptions import InputError
from mlthresh.plotting._bands import Band, Bands, bootstrap_bands, exact_bands
from mlthresh.plotting._display import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, Display
from mlthresh.plotting._one_class import class_curve, one_class, thinned
from mlthresh.plotting._ranges import Range, threshold_ranges
from mlthresh.plotting._threshold_axis import Scale, axis_ends, set_axis
from mlthresh.threshold_set import ThresholdSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ThresholdDisplay"]

_LINES = (("recall", BLUE, "--"), ("precision", ORANGE, "-."), ("f1", BLACK, "-"))
_LABELS = {"recall": "recall", "precision": "precision", "f1": "F1"}


@dataclass(kw_only=True, eq=False, repr=False)
class ThresholdDisplay(Display):
    """Precision, recall and F1 of one class against the threshold.

    Make it with `from_predictions`. The curves are exact step functions: a rate changes at the
    scores and nowhere else.

    Parameters
    ----------
    thresholds : array of shape (n_thresholds,)
        Ascending distinct scores, and infinity at the end, where nothing is called.
    precision, recall, f1 : arrays of shape (n_thresholds,)
        Each value holds from just above the threshold before up to its own; NaN is undefined.
    class_name : str
    n_positive, n_negative : int
        Rows behind the curves.
    threshold : float, optional
        The chosen one; `inf` never calls the class.
    chosen : int, optional
        Where on the curves the chosen threshold lies.
    allowed : pair of float, optional
        The lowest and the highest threshold that the search was allowed; ends may be infinite.
    certified : pair of float, optional
        The lowest and the highest threshold that the rows certify.
    promise : str, optional
        What is certified.
    precision_band, recall_band, f1_band : arrays of shape (n_thresholds, 2), optional
        Lower and upper ends of pointwise intervals.
    confidence : float, default 0.95
        Of the bands.
    band : {"exact", "bootstrap"} or None
        How the bands were made.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mlthresh import ThresholdDisplay, find_optimal_thresholds
    >>> rng = np.random.default_rng(0)
    >>> y_true = rng.random((300, 2)) < [0.3, 0.05]
    >>> y_score = 1 / (1 + np.exp(1 - rng.normal(2.0 * y_true)))
    >>> found = find_optimal_thresholds(
    ...     y_true, y_score, class_names=["DR", "RPEC"], max_threshold=0.7
    ... )
    >>> display = ThresholdDisplay.from_predictions(
    ...     y_true, y_score, found, class_of_interest="RPEC"
    ... )
    >>> display.n_positive, display.allowed
    (12, (-inf, 0.7))
    >>> bool(display.f1[display.chosen] == found.f1[1])
    True
    >>> display.ax_.get_xlabel()
    'threshold'
    """

    thresholds: Float64Array
    precision: Float64Array
    recall: Float64Array
    f1: Float64Array
    class_name: str
    n_positive: int
    n_negative: int
    threshold: float | None = None
    chosen: int | None = None
    allowed: Range | None = None
    certified: Range | None = None
    promise: str | None = None
    precision_band: Float64Array | None = None
    recall_band: Float64Array | None = None
    f1_band: Float64Array | None = None
    confidence: float = 0.95
    band: str | None = None

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_score: Any,
        thresholds: Any = None,
        *,
        class_of_interest: str | int | None = None,
        class_names: Sequence[str] | None = None,
        groups: Any = None,
        band: Band | None = "auto",
        confidence: float = 0.95,
        n_resamples: int = 500,
        rng: int | np.random.Generator | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the curves of a class and draw them.

        Parameters
        ----------
        y_true : array, tensor or frame of shape (n_samples, n_classes)
            Labels 0, 1 or NaN (missing: the row does not count for that class).
        y_score : array, tensor or frame of shape (n_samples, n_classes)
            Finite scores, higher for positives, on any scale.
        thresholds : ThresholdSet, float or array of shape (n_classes,), optional
            What is marked as chosen. A `ThresholdSet` also brings the bounds that its search
            was given, and, where it was asked for a confidence, the range of thresholds for
            which *these rows* certify the floors. That range speaks of independent rows (or
            `groups`) that did not choose the model.
        class_of_interest : str or int
            The class, by name or column. Needed unless there is only one.
        class_names : sequence of str, optional
            By default those of the frames or of the `ThresholdSet`. All that are given must
            agree.
        groups : array of shape (n_samples,), optional
            Patients: drawn whole by the bootstrap, and the units that certify.
        band : {"auto", "exact", "bootstrap"} or None
            Pointwise intervals. "exact" (Clopper-Pearson, and its image for F1) supposes
            independent rows. "bootstrap" (percentiles of resamples) supposes independent
            `groups`, but is too narrow with few positives: with 5 among 305 rows, 95 % bands
            covered the true recall in 53 % of simulated samples, exact ones in 99 %. "auto" is
            "bootstrap" with `groups` and else "exact". None: no band.
        confidence : float, default 0.95
            Of the band, in (0, 1).
        n_resamples : int, default 500
            For the bootstrap.
        rng : int or numpy.random.Generator, optional
            For the bootstrap; by default the seed 0.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        **kwargs
            As for `plot`.

        Returns
        -------
        ThresholdDisplay

        Raises
        ------
        InputError
            If an argument is not as described, or no label of the class is known.

        Notes
        -----
        Bands hold at each threshold by itself, at a threshold fixed beforehand: not for the whole
        curve at once, and not at the threshold that these rows chose, whose F1 is flattered.
        Each row counts once: the weights of a weighted search are not known here.
        """
        check_confidence(confidence)
        if band not in ("auto", "exact", "bootstrap", None):
            raise InputError(f"band must be 'auto', 'exact', 'bootstrap' or None, got {band!r}")
        if band == "exact" and groups is not None:
            raise InputError("exact bands suppose independent rows; with groups use 'bootstrap'")
        one = one_class(y_true, y_score, class_of_interest, class_names, [thresholds])
        units = as_groups(groups, len(one.is_known))
        if units is not None:
            units = np.unique(units[one.is_known], return_inverse=True)[1]
        curve = class_curve(one)
        chosen: dict[str, Any] = {}
        keep = []
        if thresholds is not None:
            threshold, n_alarms = one.threshold(thresholds)
            keep.append(curve.with_alarms(n_alarms))
            chosen = {"threshold": float(threshold)}
        if isinstance(thresholds, ThresholdSet):
            chosen |= threshold_ranges(one, units, thresholds)
        index = thinned(curve.thresholds, [curve.precision, curve.recall, curve.f1], keep)
        if keep:
            chosen["chosen"] = int(index.searchsorted(keep[0]))
        curve = curve.take(index)
        if band == "auto":
            band = "exact" if units is None else "bootstrap"
        bands: Bands | None = None
        if band == "exact":
            bands = exact_bands(curve, confidence)
        elif band == "bootstrap":
            bands = bootstrap_bands(
                one,
                curve,
                units,
                confidence=confidence,
                n_resamples=as_integer(n_resamples, "n_resamples", 1),
                rng=np.random.default_rng(0 if rng is None else rng),
            )
        display = cls(
            thresholds=curve.thresholds,
            precision=curve.precision,
            recall=curve.recall,
            f1=curve.f1,
            class_name=one.name,
            n_positive=curve.n_positive,
            n_negative=curve.n_negative,
            **chosen,
            **({f"{name}_band": ends for name, ends in bands._asdict().items()} if bands else {}),
            confidence=confidence,
            band=band,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        bands: Sequence[str] = ("f1",),
        x_scale: Scale = "linear",
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        bands : sequence of {"f1", "precision", "recall"}, default ("f1",)
            Whose band is drawn; all together are hard to read.
        x_scale : {"linear", "logit"}, default "linear"
            "logit" spreads probabilities near 0 and 1, where those of rare classes crowd.

        Returns
        -------
        ThresholdDisplay
            Itself.
        """
        unknown = [name for name in bands if name not in _LABELS]
        if unknown:
            raise InputError(f"bands may be of {list(_LABELS)}, got {unknown}")
        left, right = axis_ends(self.thresholds[:-1], self.recall, self.threshold, x_scale)
        (axes,), own_figure = self._start(ax, (6.6, 4.6))
        x = np.clip(np.concatenate([[left], self.thresholds[:-1], [right]]), left, right)
        for name, colour, style in _LINES:
            y = getattr(self, name)
            axes.step(
                x,
                np.append(y[0], y),
                where="pre",
                color=colour,
                linestyle=style,
                linewidth=2.0 if name == "f1" else 1.5,
                label=_LABELS[name],
                zorder=3,
            )
            ends = getattr(self, f"{name}_band")
            if name in bands and ends is not None:
                lower, upper = np.concatenate([ends[:1], ends]).T
                label = f"{100 * self.confidence:g}% band of {_LABELS[name]} ({self.band})"
                axes.fill_between(
                    x, lower, upper, step="pre", color=colour, alpha=0.15, linewidth=0, label=label
                )
        self._mark(axes, right)
        self._shade(axes, left, right)
        set_axis(axes, left, right, x_scale)
        axes.set_ylim(-0.02, 1.02)
        n_known = self.n_positive + self.n_negative
        axes.set_title(f"{self.class_name}: {self.n_positive:,} of {n_known:,} positive")
        self._add_legend(axes, own_figure=own_figure, n_columns=2)
        return self

    def _shade(self, axes: Axes, left: float, right: float) -> None:
        """Shade what is certified, and what the search was not allowed."""
        low, high = np.clip(self.allowed or (left, right), left, right)
        if self.certified is not None:
            start, stop = np.clip(self.certified, low, high)
            label = f"certified: {self.promise}"
            axes.axvspan(start, stop, color=GREEN, alpha=0.15, linewidth=0, label=label)
        elif self.promise is not None:
            axes.plot([], [], " ", label=f"too few to certify {self.promise}")
        outside = [ends for ends in ((left, low), (high, right)) if ends[0] < ends[1]]
        for ends, label in zip(outside, ("not allowed", "_not allowed"), strict=False):
            axes.axvspan(*ends, color=GREY, alpha=0.3, linewidth=0, label=label)

    def _mark(self, axes: Axes, right: float) -> None:
        if self.threshold is None or self.chosen is None:
            return
        if not np.isfinite(self.threshold):
            axes.text(
                right, 0.5, "never called ", color=VERMILLION, ha="right", va="center", rotation=90
            )
            return
        axes.axvline(
            self.threshold,
            color=VERMILLION,
            linewidth=1.2,
            zorder=4,
            label=f"chosen: {self.threshold:.3g}",
        )
        for name, colour, _ in _LINES:
            axes.plot(
                self.threshold,
                getattr(self, name)[self.chosen],
                "o",
                color=colour,
                markeredgecolor="white",
                zorder=5,
            )
