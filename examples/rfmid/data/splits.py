"""The data of a run: three splits with images, labels and classes, checked before training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.data.glossary import disease_names
from examples.rfmid.data.images import repeated_images
from examples.rfmid.data.labels import LabelTable, read_labels
from examples.rfmid.data.layout import SPLITS, SplitLayout, find_layout, images_by_name
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import DataConfig
from mlthresh import Fold, drop_rare_classes, multilabel_train_test_split

__all__ = ["FundusData", "Split", "load_data"]


@dataclass(frozen=True)
class Split:
    """One split, in the order of its label file.

    Attributes
    ----------
    ids : tuple of str
        Image names without extension.
    paths : tuple of Path
    labels : ndarray of shape (n_images, n_classes)
        float32: 0, 1, or NaN (missing).
    patients : tuple of str or None
    """

    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: npt.NDArray[np.float32]
    patients: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: npt.NDArray[np.intp]) -> Split:
        """Return some of the images, in this order."""
        return Split(
            ids=tuple(self.ids[i] for i in index),
            paths=tuple(self.paths[i] for i in index),
            labels=self.labels[index],
            patients=self.patients and tuple(self.patients[i] for i in index),
        )


@dataclass(frozen=True)
class FundusData:
    """Training, validation and test split with the classes that are kept.

    Attributes
    ----------
    train, val, test : Split
    certify : Split or None
        The part of the validation split that chooses nothing, where one was asked for.
    class_names : tuple of str
        Codes, the columns of the labels.
    summary : dict
        For ``data.json``: classes with names and counts, images per split, what was left out,
        warnings, and a digest of all ids and labels.
    """

    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    summary: dict[str, Any]
    certify: Split | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name, in the order of their use."""
        splits = {"train": self.train, "val": self.val, "certify": self.certify, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}


def load_data(config: DataConfig) -> FundusData:
    """Find, read and check the data; no image is decoded.

    Classes with fewer than ``config.min_count`` training positives are dropped everywhere.

    Raises
    ------
    RecipeError
        On anything that would make a run fail or lie: a missing folder or file, a row without
        image, an image without row, a bad label, a split without images, a file or a patient in
        two splits. The message names it.
    """
    layouts = find_layout(config)
    tables: dict[str, LabelTable] = {}
    for name in SPLITS:
        tables[name] = read_labels(layouts[name].labels, config, like=tables.get("train"))
    skipped: dict[str, int] = {}
    splits: dict[str, Split] = {}
    for name in SPLITS:
        splits[name], skipped[name] = _match_images(layouts[name], tables[name], config)
    warnings = _check_separation(splits, config)

    all_classes = tables["train"].class_names
    kept = drop_rare_classes(splits["train"].labels, all_classes, min_count=config.min_count)
    columns = [all_classes.index(name) for name in kept.class_names]
    reduced = {
        name: replace(split, labels=np.ascontiguousarray(split.labels[:, columns]))
        for name, split in splits.items()
    }
    if config.certify_share:
        # The seed isn't the run's: which patients certify must not depend on what is tried.
        fold = multilabel_train_test_split(
            reduced["val"].labels,
            test_size=config.certify_share,
            groups=reduced["val"].patients,
            seed=0,
        )
        splits, reduced = _set_aside(splits, fold), _set_aside(reduced, fold)
        layouts["certify"], skipped["certify"] = layouts["val"], 0
    names = dict(
        zip(all_classes, disease_names(all_classes, config.glossary, config.folder), strict=True)
    )
    counts = {name: (split.labels == 1).sum(axis=0).astype(int) for name, split in reduced.items()}
    if not counts["val"].any():
        raise RecipeError("no validation image shows any disease: nothing could be tuned")
    for split_name in ("val", "test"):
        absent = [c for c, n in zip(kept.class_names, counts[split_name], strict=True) if n == 0]
        if absent:
            warnings.append(f"no {split_name} image shows {', '.join(absent)}")
    summary = {
        "classes": [
            {
                "code": code,
                "name": names[code],
                "counts": {name: int(counts[name][i]) for name in reduced},
            }
            for i, code in enumerate(kept.class_names)
        ],
        "min_count": config.min_count,
        "dropped_classes": [
            {"code": code, "name": names[code], "count": count}
            for code, count in kept.dropped.items()
        ],
        "left_out_columns": list(tables["train"].left_out),
        "splits": {
            name: _describe(layouts[name], splits[name], split, skipped[name])
            for name, split in reduced.items()
        },
        "warnings": warnings,
        "digest": _digest(reduced, kept.class_names),
    }
    return FundusData(**reduced, class_names=kept.class_names, summary=summary)


def _set_aside(splits: Mapping[str, Split], fold: Fold) -> dict[str, Split]:
    """Take the images out of the validation split that will choose nothing."""
    val = splits["val"]
    return {**splits, "val": val.rows(fold.train), "certify": val.rows(fold.test)}


def _match_images(layout: SplitLayout, table: LabelTable, config: DataConfig) -> tuple[Split, int]:
    """Return the split of a label table, and how many images it doesn't name."""
    images = images_by_name(layout.images)
    absent = [name for name in table.ids if name not in images]
    if absent:
        raise RecipeError(
            f"{table.path}: {_counted(absent, 'row')} without an image in {layout.images}"
        )
    unlabelled = sorted(set(images) - set(table.ids))
    if unlabelled and not config.allow_unlabelled:
        raise RecipeError(
            f"{layout.images}: {_counted(unlabelled, 'image')} without a row in {table.path}; "
            "--allow-unlabelled skips such images"
        )
    paths = tuple(images[name] for name in table.ids)
    return Split(table.ids, paths, table.labels, table.patients), len(unlabelled)


def _counted(names: list[str], what: str) -> str:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''} ({shown})"


def _check_separation(splits: Mapping[str, Split], config: DataConfig) -> list[str]:
    """Refuse files and patients that are in two splits; return warnings about equal images."""
    pairs = [("train", "val"), ("train", "test"), ("val", "test")]
    warnings = []
    for one, other in pairs:
        files = {path.resolve() for path in splits[one].paths}
        shared = sorted(path.name for path in splits[other].paths if path.resolve() in files)
        if shared:
            raise RecipeError(f"{_counted(shared, 'file')} in both {one} and {other}")
        patients = sorted(set(splits[one].patients or ()) & set(splits[other].patients or ()))
        if patients:
            message = f"{_counted(patients, 'patient')} in both {one} and {other}"
            if not config.allow_shared_patients:
                raise RecipeError(
                    f"{message}: results on {other} would promise too much. Split by patient, or "
                    "pass --allow-shared-patients"
                )
            warnings.append(f"{message}: results on {other} promise too much")
    repeated = repeated_images({name: split.paths for name, split in splits.items()})
    if repeated:
        first, again = repeated[0]
        warnings.append(
            f"{len(repeated)} image(s) are in two splits under different names ({first} = {again}"
            f"{', ...' if len(repeated) > 1 else ''}): results on them promise too much"
        )
    return warnings


def _describe(layout: SplitLayout, split: Split, reduced: Split, skipped: int) -> dict[str, Any]:
    return {
        "images": len(split),
        "image_folder": str(layout.images),
        "label_file": str(layout.labels),
        "patients": None if split.patients is None else len(set(split.patients)),
        "without_disease": int((~(reduced.labels == 1).any(axis=1)).sum()),
        "without_disease_in_all_columns": int((~(split.labels == 1).any(axis=1)).sum()),
        "missing_labels": int(np.isnan(reduced.labels).sum()),
        "unlabelled_images_skipped": skipped,
    }


def _digest(splits: Mapping[str, Split], class_names: tuple[str, ...]) -> str:
    """Return a fingerprint of ids, classes and labels: a resumed run must see the same data."""
    digest = hashlib.blake2b(repr(class_names).encode(), digest_size=16)
    for split in splits.values():
        digest.update(repr(split.ids).encode())
        digest.update(np.nan_to_num(split.labels, nan=2.0).astype(np.uint8).tobytes())
    return digest.hexdigest()
