"""What several networks say together: the mean of their probabilities.

Members either share their validation images, or each has its own, as the folds of a
cross-validation do. In the first case thresholds are tuned on mean scores. In the second nobody but
the member that hasn't learnt from an image may say anything of it, so they are tuned on the
members' single, out-of-fold scores, and cut means all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from examples.rfmid.errors import RecipeError
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.settings import Config
from examples.rfmid.settings.config_file import load_config


@dataclass(frozen=True)
class Members:
    """Trained runs, and what they say together.

    Attributes
    ----------
    folders, configs
    val, test, certify : Predictions
        `certify` is None unless all have set the same patients aside.
    out_of_fold
        Whether each validation image was scored by those members alone that hadn't learnt from it.
    """

    folders: tuple[RunFolder, ...]
    configs: tuple[Config, ...]
    val: Predictions
    test: Predictions
    certify: Predictions | None
    out_of_fold: bool


def read_members(runs: Sequence[Path]) -> Members:
    """Read the predictions of trained runs, and average them."""
    if len(runs) < 2:
        raise RecipeError("an ensemble needs at least two runs")
    if len({run.resolve() for run in runs}) < len(runs):
        raise RecipeError("a run is named twice")
    folders = tuple(RunFolder(run) for run in runs)
    for folder in folders:
        if not folder.manifest.is_file():
            raise RecipeError(f"{folder.path} holds no whole model: run train first")
    found = {
        split: {
            folder.path: Predictions.load(folder.predictions(split))
            for folder in folders
            if split != "certify" or folder.predictions(split).is_file()
        }
        for split in ("val", "test", "certify")
    }
    for split, by_run in found.items():
        _check_classes(split, by_run)
    configs = tuple(load_config(folder.config) for folder in folders)
    if len({config.data.folds for config in configs}) > 1:
        raise RecipeError(
            "some runs are of other folds: an image may validate one and train another"
        )
    certify = found["certify"]
    aside = {predictions.ids for predictions in certify.values()}
    return Members(
        folders=folders,
        configs=configs,
        val=_validation(found["val"], folds=configs[0].data.folds > 0),
        test=_mean(found["test"], "test"),
        certify=_mean(certify, "certify")
        if len(certify) == len(folders) and len(aside) == 1
        else None,
        out_of_fold=len({predictions.ids for predictions in found["val"].values()}) > 1,
    )


def _check_classes(split: str, by_run: Mapping[Path, Predictions]) -> None:
    items = list(by_run.items())
    for path, predictions in items[1:]:
        if predictions.class_names != items[0][1].class_names:
            raise RecipeError(
                f"{items[0][0]} and {path} have other classes ({split}): "
                f"{', '.join(items[0][1].class_names)}; {', '.join(predictions.class_names)}"
            )


def _validation(by_run: Mapping[Path, Predictions], *, folds: bool) -> Predictions:
    """Return the mean over the members that share their images, such groups one after the other."""
    groups: dict[tuple[str, ...], dict[Path, Predictions]] = {}
    for path, predictions in by_run.items():
        groups.setdefault(predictions.ids, {})[path] = predictions
    means = [_mean(group, "validation") for group in groups.values()]
    ids = tuple(name for mean in means for name in mean.ids)
    if len(means) > 1 and (not folds or len(set(ids)) < len(ids)):
        raise RecipeError(
            "the runs have other validation images: members validate on the same images, or on "
            "those of their folds of one cross-validation"
        )
    patients = [mean.patients for mean in means if mean.patients is not None]
    return Predictions(
        ids=ids,
        class_names=means[0].class_names,
        y_true=np.concatenate([mean.y_true for mean in means]),
        y_score=np.concatenate([mean.y_score for mean in means]),
        patients=tuple(p for part in patients for p in part)
        if len(patients) == len(means)
        else None,
    )


def _mean(by_run: Mapping[Path, Predictions], split: str) -> Predictions:
    """Return mean probabilities for the same images, without what a single network returned."""
    (path, first), *others = by_run.items()
    for other, predictions in others:
        same = predictions.ids == first.ids and np.array_equal(
            predictions.y_true, first.y_true, equal_nan=True
        )
        if not same:
            raise RecipeError(f"{path} and {other} have other {split} images or labels")
    scores = [predictions.y_score for predictions in by_run.values()]
    return replace(
        first, y_score=np.mean(scores, axis=0, dtype=np.float64), y_logit=None, grades=None
    )
