"""Folds of the training and validation images together, for cross-validation; test stays apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from examples.rfmid.data.split import Split, join_splits
from examples.rfmid.settings import DataConfig
from mlthresh import FoldReport, describe_folds, multilabel_stratified_kfold


def development(train: Split, val: Split) -> Split:
    """Return the images of both splits, whose names get the split's in front: both may have a 1."""
    return join_splits(
        [
            replace(split, ids=tuple(f"{name}/{one}" for one in split.ids))
            for name, split in (("train", train), ("val", val))
        ]
    )


def with_fold(
    splits: Mapping[str, Split],
    reduced: Mapping[str, Split],
    config: DataConfig,
    *,
    n_own: int,
    class_names: Sequence[str],
) -> tuple[dict[str, Split], dict[str, Split], FoldReport]:
    """Return the splits with one fold for validation, the others for training; and all folds.

    Patients are dealt whole, and every class's positives evenly.

    Parameters
    ----------
    splits, reduced
        With all classes and with those that are kept, which alone decide.
    config
        Of the folds.
    n_own
        The first so many training images are dealt; the others, of other data sets, only train.
    class_names
        Of those that are kept.
    """

    def parts(given: Mapping[str, Split]) -> tuple[Split, Split]:
        train = given["train"]
        own, extra = (train.rows(index) for index in np.split(np.arange(len(train)), [n_own]))
        return development(own, given["val"]), extra

    images, _ = parts(reduced)
    # The seed isn't the run's: which images validate must not depend on what is tried.
    dealt = multilabel_stratified_kfold(
        images.labels, n_splits=config.folds, groups=images.patients, seed=0
    )
    folds = list(dealt)
    report = describe_folds(images.labels, folds, groups=images.patients, class_names=class_names)
    chosen = folds[config.fold]

    def moved(given: Mapping[str, Split]) -> dict[str, Split]:
        images, extra = parts(given)
        train = images.rows(chosen.train)
        if len(extra):
            train = join_splits([train, extra])
        return {**given, "train": train, "val": images.rows(chosen.test)}

    return moved(splits), moved(reduced), report
