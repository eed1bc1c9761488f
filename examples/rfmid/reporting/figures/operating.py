"""Where the thresholds put each class: ROC curves, and rates against the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from examples.rfmid.reporting.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    VERMILLION,
    grid_of_axes,
    new_figure,
    shortened,
    styled,
)

__all__ = ["RatesAtThresholds", "RocCurve", "rates_at_thresholds", "roc_curves", "threshold_sweep"]

FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RatesAtThresholds:
    """Counts of one class at every distinct score: positive where score >= threshold.

    Attributes
    ----------
    thresholds
        Shape (k + 1,), falling: infinity, then each distinct score.
    tp, fp
        Shape (k + 1,): hits and false alarms at each threshold.
    n_positive, n_negative
        Images with and without the disease.
    """

    thresholds: FloatVector
    tp: FloatVector
    fp: FloatVector
    n_positive: int
    n_negative: int

    @property
    def recall(self) -> FloatVector:
        """Part of the positives found; NaN without positives."""
        return self.tp / self.n_positive if self.n_positive else np.full(self.tp.shape, np.nan)

    @property
    def false_positive_rate(self) -> FloatVector:
        """Part of the negatives called positive; NaN without negatives."""
        return self.fp / self.n_negative if self.n_negative else np.full(self.fp.shape, np.nan)

    @property
    def precision(self) -> FloatVector:
        """Part of the alarms that are right; NaN where there is no alarm."""
        alarms = self.tp + self.fp
        undefined = np.full(alarms.shape, np.nan)
        precision: FloatVector = np.divide(self.tp, alarms, out=undefined, where=alarms > 0)
        return precision

    @property
    def f1(self) -> FloatVector:
        """2 TP / (TP + FP + positives), or 0 where that has no denominator."""
        total = self.tp + self.fp + self.n_positive
        f1: FloatVector = np.divide(2 * self.tp, total, out=np.zeros(total.shape), where=total > 0)
        return f1

    def at(self, threshold: float) -> int:
        """Return the index of the point whose decisions `threshold` makes."""
        return int(np.searchsorted(-self.thresholds, -threshold, side="right")) - 1


def rates_at_thresholds(y_true: npt.ArrayLike, y_score: npt.ArrayLike) -> RatesAtThresholds:
    """Count one class's hits and false alarms at every distinct score; a NaN label is left out."""
    labels = np.asarray(y_true, dtype=np.float64)
    known = ~np.isnan(labels)
    labels = labels[known]
    scores = np.asarray(y_score, dtype=np.float64)[known]
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    last_of_tie = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)[: scores.size]
    tp = np.append(0.0, np.cumsum(labels)[last_of_tie])
    return RatesAtThresholds(
        thresholds=np.append(np.inf, scores[last_of_tie]),
        tp=tp,
        fp=np.append(0.0, last_of_tie + 1.0) - tp,
        n_positive=int(labels.sum()),
        n_negative=int((1 - labels).sum()),
    )


@dataclass(frozen=True)
class RocCurve:
    """One class's panel: its rates, its area under the curve and its threshold in use."""

    title: str
    rates: RatesAtThresholds
    auroc: float
    threshold: float


@styled
def roc_curves(curves: Sequence[RocCurve]) -> Figure:
    """Draw a ROC curve a class, with its operating point."""
    n_columns = 4 if len(curves) <= 20 else 6
    n_rows = -(-len(curves) // n_columns)
    width = 2.35 if n_columns == 4 else 1.9
    figure = new_figure(
        width * min(n_columns, max(3, len(curves))),
        1.0 + width * n_rows,
        "ROC on the test images, with the thresholds in use",
    )
    axes = grid_of_axes(figure, len(curves), n_columns, sharex=True, sharey=True)
    for panel, curve in zip(axes, curves, strict=True):
        x, y = curve.rates.false_positive_rate, curve.rates.recall
        panel.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        panel.plot(x, y, color=BLUE, drawstyle="default")
        here = curve.rates.at(curve.threshold)
        panel.plot(x[here], y[here], "o", color=VERMILLION, markersize=7, clip_on=False, zorder=5)
        panel.set_title(shortened(curve.title, 16), loc="center", fontsize=10)
        panel.text(
            0.97,
            0.05,
            f"AUROC {curve.auroc:.2f}\nn = {curve.rates.n_positive}",
            ha="right",
            fontsize=9,
            transform=panel.transAxes,
        )
        panel.set_xlim(-0.02, 1.02)
        panel.set_ylim(-0.02, 1.02)
        panel.set_aspect("equal")
        panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        panel.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    figure.supxlabel("1 - specificity", fontsize=10)
    figure.supylabel("recall (sensitivity)", fontsize=10)
    return figure


@dataclass(frozen=True)
class Sweep:
    """One class's panel: its rates on both splits and the threshold chosen on the first."""

    title: str
    validation: RatesAtThresholds
    test: RatesAtThresholds
    threshold: float


@styled
def threshold_sweep(sweeps: Sequence[Sweep]) -> Figure:
    """Draw recall, precision and F1 against the threshold, on validation, and F1 on test."""
    figure = new_figure(
        3.4 * min(3, max(2, len(sweeps))),
        1.1 + 2.6 * -(-len(sweeps) // 3),
        "Rates against the threshold, rare classes",
    )
    axes = grid_of_axes(figure, len(sweeps), 3, sharey=True)
    for panel, sweep in zip(axes, sweeps, strict=True):
        finite = np.concatenate([sweep.validation.thresholds[1:], sweep.test.thresholds[1:]])
        finite = np.append(finite, sweep.threshold)[np.isfinite(np.append(finite, sweep.threshold))]
        right = min(1.0, 1.05 * float(finite.max()))
        for values, rates, colour, style, label in (
            ("recall", sweep.validation, SKY, "-", "recall, validation"),
            ("precision", sweep.validation, ORANGE, "-", "precision, validation"),
            ("f1", sweep.validation, BLACK, "-", "F1, validation (what was tuned)"),
            ("f1", sweep.test, GREEN, "--", "F1, test"),
        ):
            # Decisions change just above a score: the value holds from there down to the next.
            x = np.concatenate([[right], rates.thresholds[1:], [0.0]])
            y = getattr(rates, values)
            panel.step(
                x,
                np.append(y, y[-1]),
                where="post",
                color=colour,
                linestyle=style,
                linewidth=1.6,
                label=label,
            )
        if np.isfinite(sweep.threshold):
            panel.axvline(sweep.threshold, color=VERMILLION, linewidth=1.4, label="threshold")
        panel.set_title(shortened(sweep.title, 34), loc="center", fontsize=10)
        panel.set_xlim(0, right)
        panel.set_ylim(-0.02, 1.02)
        panel.grid(axis="y")
    handles, labels = axes[0].get_legend_handles_labels()
    for panel in axes[-3:]:
        panel.set_xlabel("threshold")
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure
