"""Which figures a report shows, and what of the run goes into each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from examples.rfmid.reporting.figures import NothingToShow
from examples.rfmid.reporting.figures.calibration import mean_scores
from examples.rfmid.reporting.figures.class_scores import f1_bars, f1_over_epochs
from examples.rfmid.reporting.figures.confusion import Confusion, confusion_matrices
from examples.rfmid.reporting.figures.distribution import class_distribution
from examples.rfmid.reporting.figures.operating import (
    RocCurve,
    Sweep,
    rates_at_thresholds,
    roc_curves,
    threshold_sweep,
)
from examples.rfmid.reporting.figures.style import save_figure, shortened
from examples.rfmid.reporting.figures.training import learning_rates, training_curves
from examples.rfmid.reporting.photographs import (
    augmentation,
    examples,
    healthy_and_diseased,
    samples,
)
from examples.rfmid.reporting.record import RunRecord

__all__ = ["FIGURES", "Drawn", "draw_figures"]

_MOST_CLASSES = 10  # in a sheet of confusion matrices
_MOST_SWEPT = 6


@dataclass(frozen=True)
class Drawn:
    """A figure of the report: its file, or why there is none.

    Attributes
    ----------
    name
        File name without its suffix.
    caption
        What it shows, as a sentence.
    reason
        Why it was left out; None if it is there.
    """

    name: str
    caption: str
    reason: str | None = None

    @property
    def file(self) -> str:
        """Path of the image within the run folder."""
        return f"figures/{self.name}.png"


def draw_figures(record: RunRecord) -> dict[str, Drawn]:
    """Draw every figure that the run has the data for, into ``figures/``.

    Returns
    -------
    dict
        Figures by name, also those left out. A figure left out is deleted if it was there.
    """
    folder = record.run / "figures"
    folder.mkdir(exist_ok=True)
    drawn = {}
    for name, (draw, caption) in FIGURES.items():
        path = folder / f"{name}.png"
        try:
            save_figure(draw(record), path)
        except NothingToShow as reason:
            path.unlink(missing_ok=True)
            drawn[name] = Drawn(name, caption, str(reason))
        else:
            drawn[name] = Drawn(name, caption)
    return drawn


def _distribution(record: RunRecord) -> Figure:
    counts = {
        "training": record.counts("train"),
        "validation": record.counts("val"),
        "test": record.counts("test"),
    }
    return class_distribution([record.label(code) for code in record.codes], counts)


def _curves(record: RunRecord) -> Figure:
    _needs_a_training(record)
    series = {
        name: [_float(epoch[name]) for epoch in record.epochs]
        for name in (
            "train_loss",
            "val_loss",
            "val_macro_f1_at_half",
            "val_macro_f1_tuned",
            "val_macro_f1_cross_fitted",
            "val_macro_auroc",
        )
    }
    return training_curves(
        _epochs(record),
        {"training": series["train_loss"], "validation": series["val_loss"]},
        {
            "macro-F1 at 0.5": series["val_macro_f1_at_half"],
            "macro-F1, tuned (apparent)": series["val_macro_f1_tuned"],
            "macro-F1, tuned on other patients": series["val_macro_f1_cross_fitted"],
            "macro-AUROC": series["val_macro_auroc"],
        },
        record.selected_epoch,
    )


def _rates(record: RunRecord) -> Figure:
    _needs_a_training(record)
    groups = record.epochs[0]["lr"]
    return learning_rates(
        _epochs(record),
        {group: [epoch["lr"][group] for epoch in record.epochs] for group in groups},
        record.selected_epoch,
    )


def _f1_by_epoch(record: RunRecord) -> Figure:
    _needs_a_training(record)
    order = record.by_frequency
    f1 = np.array([[_float(v) for v in epoch["val_f1_per_class"]] for epoch in record.epochs]).T
    return f1_over_epochs(
        [record.codes[c] for c in order], _epochs(record), f1[order], record.selected_epoch
    )


def _f1_of_classes(record: RunRecord) -> Figure:
    classes = record.evaluation["test"]["classes"]
    return f1_bars(
        [record.label(code) for code in record.codes],
        np.array([_float(one["f1"]) for one in classes]),
        np.array([[_float(end) for end in one["f1_interval"]] for one in classes]),
        np.array([one["support"] for one in classes]),
        confidence=record.evaluation["test"]["confidence"],
    )


def _roc(record: RunRecord) -> Figure:
    classes = record.evaluation["test"]["classes"]
    curves = [
        RocCurve(
            record.codes[c],
            rates_at_thresholds(record.test.y_true[:, c], record.test.y_score[:, c]),
            classes[c]["auroc"],
            float(record.thresholds.thresholds[c]),
        )
        for c in record.by_frequency
        if classes[c]["auroc"] is not None
    ]
    if not curves:
        raise NothingToShow("no class has test images both with and without it")
    return roc_curves(curves)


def _confusion(record: RunRecord, columns: Sequence[int], title: str) -> Figure:
    classes = record.evaluation["test"]["classes"]
    return confusion_matrices(
        [
            Confusion(
                record.codes[c], **{kind: classes[c][kind] for kind in ("tp", "fp", "fn", "tn")}
            )
            for c in columns
        ],
        title,
    )


def _confusion_frequent(record: RunRecord) -> Figure:
    columns = record.by_frequency[:_MOST_CLASSES]
    return _confusion(record, columns, "Decisions on test images, the most frequent classes")


def _confusion_rare(record: RunRecord) -> Figure:
    if len(record.codes) <= _MOST_CLASSES:
        raise NothingToShow("the sheet of the most frequent classes shows every class")
    columns = record.by_frequency[-_MOST_CLASSES:]
    return _confusion(record, columns, "Decisions on test images, the rarest classes")


def _calibration(record: RunRecord) -> Figure:
    found, labels = record.evaluation["calibration"], record.test.y_true
    scores = {"raw scores": "raw"}
    if record.config.loss.link and not record.members:
        scores["probabilities, through the loss's link"] = "probability"
    return mean_scores(
        record.codes,
        {
            title: np.array([_float(v) for v in found[name]["mean_score"]])
            for title, name in scores.items()
        },
        (labels == 1).sum(axis=0),
        (~np.isnan(labels)).sum(axis=0),
    )


def _sweep(record: RunRecord) -> Figure:
    sweeps = []
    for c in reversed(record.by_frequency):
        on_val, on_test = (
            rates_at_thresholds(split.y_true[:, c], split.y_score[:, c])
            for split in (record.val, record.test)
        )
        if on_val.n_positive and on_test.n_positive:
            code = shortened(record.codes[c], 12)
            title = f"{code}: {on_val.n_positive} validation positives"
            sweeps.append(Sweep(title, on_val, on_test, float(record.thresholds.thresholds[c])))
    if not sweeps:
        raise NothingToShow("no class has positives in both validation and test")
    return threshold_sweep(sweeps[:_MOST_SWEPT])


# Name -> what draws it, and its caption.
FIGURES: dict[str, tuple[Callable[[RunRecord], Figure], str]] = {
    "class_distribution": (_distribution, "Images that show each disease, by split."),
    "healthy_and_diseased": (
        healthy_and_diseased,
        "A test image without any of the diseases, and images that show one; signs to look for.",
    ),
    "samples": (samples, "Test images by number of labelled diseases, drawn at random."),
    "augmentation": (
        augmentation,
        "Training images as the model sees them in evaluation, and as training may show them.",
    ),
    "training_curves": (_curves, "Loss and validation scores by epoch."),
    "learning_rates": (_rates, "Learning rate of each parameter group by epoch."),
    "f1_by_epoch": (_f1_by_epoch, "Validation F1 of each class by epoch, frequent classes first."),
    "f1_by_class": (_f1_of_classes, "F1 of each class on the test images, with its interval."),
    "roc": (_roc, "ROC on the test images, frequent classes first; dots: the thresholds in use."),
    "confusion_frequent": (
        _confusion_frequent,
        "Decisions on test images, frequent classes; the colour is the part of the row.",
    ),
    "confusion_rare": (
        _confusion_rare,
        "Decisions on test images, rare classes; the colour is the part of the row.",
    ),
    "threshold_sweep": (
        _sweep,
        (
            "Recall, precision and F1 of the rarest classes at every threshold, on the images that "
            "chose it, and F1 on the test images."
        ),
    ),
    "calibration": (
        _calibration,
        (
            "Mean score of each class over the test images beside how often it is there, with 95 % "
            "intervals; on the diagonal a score means what it says, on average."
        ),
    ),
    "examples": (examples, "Decisions on test images, drawn at random among each kind."),
}


def _needs_a_training(record: RunRecord) -> None:
    if record.members:
        raise NothingToShow("an ensemble has no training of its own; its members' reports show it")


def _epochs(record: RunRecord) -> list[int]:
    return [epoch["epoch"] for epoch in record.epochs]


def _float(value: float | None) -> float:
    return np.nan if value is None else float(value)
