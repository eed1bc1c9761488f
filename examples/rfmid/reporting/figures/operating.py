"""Where the thresholds put each class: ROC curves, and rates against the threshold."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from examples.rfmid.reporting.figures import NothingToShow
from examples.rfmid.reporting.figures.style import grid_of_axes, new_figure, shortened, styled
from examples.rfmid.reporting.record import RunRecord
from mlthresh import OperatingPointDisplay, ThresholdDisplay

_MOST_SWEPT = 6


@styled
def roc_curves(record: RunRecord) -> Figure:
    """Draw a ROC curve a class on the test images, with its operating point."""
    test, classes = record.test, record.evaluation["test"]["classes"]
    shown = [c for c in record.by_frequency if classes[c]["auroc"] is not None]
    if not shown:
        raise NothingToShow("no class has test images both with and without it")
    n_columns, side = (4, 2.35) if len(shown) <= 20 else (6, 1.9)
    figure = new_figure(
        side * min(n_columns, max(3, len(shown))),
        1.0 + side * -(-len(shown) // n_columns),
        "ROC on the test images, with the thresholds in use",
    )
    axes = grid_of_axes(figure, len(shown), n_columns, sharex=True, sharey=True)
    for panel, c in zip(axes, shown, strict=True):
        OperatingPointDisplay.from_predictions(
            test.y_true, test.y_score, record.thresholds, class_of_interest=c, kind="roc", ax=panel
        )
        panel.get_legend().remove()
        panel.set(xlabel="", ylabel="")
        of = f"AUROC {classes[c]['auroc']:.2f}, n = {classes[c]['support']}"
        panel.set_title(f"{shortened(record.codes[c], 16)}\n{of}", loc="center", fontsize=9)
    figure.supxlabel("1 - specificity", fontsize=10)
    figure.supylabel("recall (sensitivity)", fontsize=10)
    return figure


@styled
def threshold_sweep(record: RunRecord) -> Figure:
    """Draw recall, precision and F1 of the rarest classes at every threshold, on both splits."""
    splits = {"validation": record.val, "test": record.test}
    shown = [
        c
        for c in reversed(record.by_frequency)
        if all((split.y_true[:, c] == 1).any() for split in splits.values())
    ][:_MOST_SWEPT]
    if not shown:
        raise NothingToShow("no class has positives in both validation and test")
    figure = new_figure(8.4, 0.9 + 2.2 * len(shown), "Rates against the threshold, rare classes")
    axes = figure.subplots(len(shown), 2, squeeze=False, sharey=True)
    lines: dict[str, Any] = {}
    for c, panels in zip(shown, axes, strict=True):
        for panel, (name, split) in zip(panels, splits.items(), strict=True):
            ThresholdDisplay.from_predictions(
                split.y_true,
                split.y_score,
                record.thresholds,
                class_of_interest=c,
                groups=split.patients,
                band="auto" if name == "test" else None,  # validation chose the threshold
                ax=panel,
            )
            for line, label in zip(*panel.get_legend_handles_labels(), strict=True):
                lines.setdefault(label.partition(":")[0], line)
            panel.get_legend().remove()
            n = int((split.y_true[:, c] == 1).sum())
            title = f"{shortened(record.codes[c], 16)}, {name}: n = {n}"
            panel.set_title(title, fontsize=10)
            panel.set_xlabel("threshold" if c == shown[-1] else "")
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=3)
    return figure
