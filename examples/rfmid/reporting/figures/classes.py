"""Each class by itself: its images, its F1, its decisions, and whether its scores mean a chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from examples.rfmid.reporting.figures import NothingToShow
from examples.rfmid.reporting.figures.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    grid_of_axes,
    new_figure,
    shortened,
    styled,
)
from examples.rfmid.reporting.record import RunRecord
from mlthresh import ClassCounts, ForestDisplay, ImbalanceDisplay

_MOST_CLASSES = 10  # in a sheet of confusion matrices


@styled
def class_distribution(record: RunRecord) -> Figure:
    """Draw the positives of each class in each split."""
    counts = {}
    for split, title in (("train", "training"), ("val", "validation"), ("test", "test")):
        positives = np.array(record.counts(split))
        n_images = np.full_like(positives, record.data["splits"][split]["images"])
        counts[title] = ClassCounts(n_images, positives)
    labels = tuple(map(record.label, record.codes))
    return ImbalanceDisplay(counts=counts, class_names=labels).plot(annotate=False).figure_


@styled
def f1_by_class(record: RunRecord) -> Figure:
    """Draw F1 on the test images with its interval, the best class on top."""
    test, average = record.evaluation["test"], record.evaluation["rules"][-1]["test"]
    display = ForestDisplay(
        values=np.array([one["f1"] for one in test["classes"]], dtype=float),
        intervals=np.array([one["f1_interval"] for one in test["classes"]], dtype=float),
        support=np.array([one["support"] for one in test["classes"]]),
        class_names=tuple(map(record.label, record.codes)),
        average=average["macro_f1"],
        average_interval=average["macro_f1_interval"],
        confidence=test["confidence"],
    )
    return display.plot(sort_by="value").figure_


def confusion_frequent(record: RunRecord) -> Figure:
    """Draw the confusion matrices of the most frequent classes."""
    return _confusion(record, record.by_frequency[:_MOST_CLASSES], "the most frequent classes")


def confusion_rare(record: RunRecord) -> Figure:
    """Draw the confusion matrices of the rarest classes."""
    if len(record.codes) <= _MOST_CLASSES:
        raise NothingToShow("the sheet of the most frequent classes shows every class")
    return _confusion(record, record.by_frequency[-_MOST_CLASSES:], "the rarest classes")


@styled
def _confusion(record: RunRecord, columns: Sequence[int], which: str) -> Figure:
    """Draw counts in a 2 x 2 table a class, coloured by their part of the row."""
    n_columns = min(5, len(columns))
    figure = new_figure(
        1.95 * max(3, n_columns),
        1.0 + 2.15 * -(-len(columns) // n_columns),
        f"Decisions on test images, {which}",
    )
    for panel, c in zip(grid_of_axes(figure, len(columns), n_columns), columns, strict=True):
        counts = record.evaluation["test"]["classes"][c]
        table = np.array([[counts["tp"], counts["fn"]], [counts["fp"], counts["tn"]]])
        part = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        panel.imshow(part, cmap="Blues", vmin=0, vmax=1)
        for (i, j), count in np.ndenumerate(table):
            colour = "white" if part[i, j] > 0.55 else BLACK
            panel.text(j, i, f"{count:,}", ha="center", va="center", fontsize=12, color=colour)
        panel.set_title(shortened(record.codes[c], 16), loc="center", fontsize=10)
        panel.set_xticks([0, 1], ["yes", "no"])
        panel.set_yticks([0, 1], ["yes", "no"], rotation=90, va="center")
        panel.tick_params(length=0)
        for spine in panel.spines.values():
            spine.set_visible(False)
    figure.supxlabel("decision", fontsize=10)
    figure.supylabel("label", fontsize=10)
    return figure


@styled
def mean_scores(record: RunRecord) -> Figure:
    """Draw mean score against observed frequency, a point for each class that has a positive.

    The horizontal bars are 95 % intervals of the observed frequency.
    """
    kinds = {"raw": "raw scores"}
    if record.config.loss.link and not record.members:
        kinds["probability"] = "probabilities, through the loss's link"
    classes = record.evaluation["test"]["classes"]
    shown = np.array([one["support"] > 0 for one in classes])
    observed = np.array([one["prevalence"] for one in classes], dtype=float)[shown]
    intervals = np.array([one["prevalence_interval"] for one in classes], dtype=float)[shown]
    low, high = intervals.T
    found = record.evaluation["calibration"]
    means = {kind: np.array(found[kind]["mean_score"], dtype=float)[shown] for kind in kinds}
    figure = new_figure(4.7 * len(means), 4.6, "Do scores mean what they say?")
    axes = grid_of_axes(figure, len(means), len(means), sharex=True, sharey=True)
    everything = np.concatenate([low, high, *means.values()])
    ends = [everything.min() / 1.5, min(1.0, everything.max() * 1.5)]
    for panel, (kind, mean), colour in zip(axes, means.items(), (VERMILLION, BLUE), strict=False):
        panel.plot(ends, ends, color=GREY, linewidth=1)
        panel.errorbar(
            observed,
            mean,
            xerr=np.stack([observed - low, high - observed]),
            fmt="o",
            color=colour,
            markersize=5,
            elinewidth=0.8,
        )
        for x, y, code in zip(observed, mean, np.array(record.codes)[shown], strict=True):
            panel.annotate(
                code, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7, color=GREY
            )
        panel.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
        panel.set_title(kinds[kind])
        panel.set_xlabel("part of the test images that show it")
        panel.grid()
    axes[0].set_ylabel("mean score")
    return figure
