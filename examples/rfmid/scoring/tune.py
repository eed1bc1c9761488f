"""Choose one threshold a class on the validation predictions, again or in another way."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from examples.rfmid.files import writing
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.selection import choose_thresholds
from examples.rfmid.settings import ThresholdConfig
from mlthresh import ThresholdSet, find_optimal_thresholds


def tune(
    run: Path,
    *,
    strategy: Literal["pooled", "exact", "grid", "fixed"] = "pooled",
    min_recall: float | None = 0.3,
    max_threshold: float | None = 0.7,
) -> ThresholdSet:
    """Choose thresholds, write ``thresholds.json``, and give the saved model the same ones.

    Parameters
    ----------
    run
        The run folder, with ``predictions_val.npz``.
    strategy
        pooled: rare diseases borrow from the others; exact: every cut; grid: 0.10, 0.15, ..., 0.90;
        fixed: 0.5, without a search.
    min_recall
        Thresholds with a lower recall on the validation images are rejected; None: no floor.
    max_threshold
        No threshold is above this; None: no bound.

    Returns
    -------
    ThresholdSet
        What was chosen. Its figures are apparent: measured on the images that chose it.

    Raises
    ------
    RecipeError
        If the predictions are missing or damaged, or of other classes than the saved model.
    InputError
        If an option is out of range.
    """
    folder, path = RunFolder(run), run / "thresholds.json"
    val = Predictions.load(folder.predictions("val"))
    if strategy == "fixed":
        thresholds = choose_thresholds(ThresholdConfig(strategy="fixed"), val)
    else:
        thresholds = find_optimal_thresholds(
            val.y_true,
            val.y_score,
            class_names=val.class_names,
            strategy=strategy,
            min_recall=min_recall,
            max_threshold=max_threshold,
        )
    if folder.manifest.is_file():
        from examples.rfmid.serving.bundle import (
            replace_thresholds,
        )  # PyTorch, which the rest can do without

        with writing(path):
            replace_thresholds(folder, thresholds)
    else:
        with writing(path):
            thresholds.save(path)
    print(
        f"{len(val.ids)} validation images, strategy {strategy}. Apparent figures:\n\n{thresholds}"
    )
    return thresholds
