"""Which figures a report shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from examples.rfmid.reporting.figures import NothingToShow
from examples.rfmid.reporting.figures.classes import (
    class_distribution,
    confusion_frequent,
    confusion_rare,
    f1_by_class,
    mean_scores,
)
from examples.rfmid.reporting.figures.operating import roc_curves, threshold_sweep
from examples.rfmid.reporting.figures.photographs import (
    augmentation,
    examples,
    healthy_and_diseased,
    samples,
)
from examples.rfmid.reporting.figures.style import save_figure
from examples.rfmid.reporting.figures.training import f1_by_epoch, learning_rates, training_curves
from examples.rfmid.reporting.record import RunRecord


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


# Name -> what draws it, and its caption.
FIGURES: dict[str, tuple[Callable[[RunRecord], Figure], str]] = {
    "class_distribution": (class_distribution, "Images that show each disease, by split."),
    "healthy_and_diseased": (
        healthy_and_diseased,
        "A test image without any of the diseases, and images that show one; signs to look for.",
    ),
    "samples": (samples, "Test images by number of labelled diseases, drawn at random."),
    "augmentation": (
        augmentation,
        "Training images as the model sees them in evaluation, and as training may show them.",
    ),
    "training_curves": (training_curves, "Loss and validation scores by epoch."),
    "learning_rates": (learning_rates, "Learning rate of each parameter group by epoch."),
    "f1_by_epoch": (f1_by_epoch, "Validation F1 of each class by epoch, frequent classes first."),
    "f1_by_class": (f1_by_class, "F1 of each class on the test images, with its interval."),
    "roc": (
        roc_curves,
        (
            "ROC on the test images, frequent classes first; dots: the thresholds in use, with "
            "exact 95 % intervals of both rates."
        ),
    ),
    "confusion_frequent": (
        confusion_frequent,
        "Decisions on test images, frequent classes; the colour is the part of the row.",
    ),
    "confusion_rare": (
        confusion_rare,
        "Decisions on test images, rare classes; the colour is the part of the row.",
    ),
    "threshold_sweep": (
        threshold_sweep,
        (
            "Recall, precision and F1 of the rarest classes at every threshold: on the validation "
            "images, which chose it, and on the test images, with a 95 % band of F1."
        ),
    ),
    "calibration": (
        mean_scores,
        (
            "Mean score of each class over the test images beside how often it is there, with 95 % "
            "intervals; on the diagonal a score means what it says, on average."
        ),
    ),
    "examples": (examples, "Decisions on test images, drawn at random among each kind."),
}
