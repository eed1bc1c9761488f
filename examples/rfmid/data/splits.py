"""The data of a run: three splits with images, labels and classes, checked before training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.data.folds import with_fold
from examples.rfmid.data.glossary import disease_names
from examples.rfmid.data.grades import grade_levels
from examples.rfmid.data.images import repeated_images
from examples.rfmid.data.label_map import join_columns, read_label_map
from examples.rfmid.data.labels import LabelTable, read_labels
from examples.rfmid.data.layout import SplitLayout, find_layout
from examples.rfmid.data.sources import add_sources
from examples.rfmid.data.split import Split, counted_names, match_images
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import DataConfig
from mlthresh import Fold, FoldReport, drop_rare_classes, multilabel_train_test_split

__all__ = ["FundusData", "Split", "load_data"]


@dataclass(frozen=True)
class FundusData:
    """Training, validation and test split with the classes that are kept.

    Attributes
    ----------
    train, val, test : Split
    certify : Split or None
        The part of the validation split that chooses nothing, where one was asked for.
    folds : FoldReport or None
        How the classes are spread over all folds, where there are any.
    class_names : tuple of str
        Codes, the columns of the labels.
    grade_levels : dict of str to int
        Graded class -> number of its grades, 0 among them; empty unless asked for.
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
    folds: FoldReport | None = None
    grade_levels: dict[str, int] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name, in the order of their use."""
        splits = {"train": self.train, "val": self.val, "certify": self.certify, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    def grades(self, split: str) -> npt.NDArray[np.float32]:
        """Return the grades of a split, (n_images, n_graded); NaN where unknown."""
        of = self.splits[split]
        unknown = np.full(len(of), np.nan, np.float32)
        columns = [of.grades.get(name, unknown) for name in self.grade_levels]
        return np.stack(columns, axis=1) if columns else np.empty((len(of), 0), np.float32)


def load_data(config: DataConfig) -> FundusData:
    """Find, read and check the data; no image is decoded.

    Classes with fewer than ``config.min_count`` training positives are dropped everywhere. With
    ``config.folds``, that is settled before training and validation images are dealt anew; patients
    set aside to certify are in no fold, and ``config.extra_data`` only trains.
    """
    layouts = find_layout(config)
    tables = _read_tables(layouts, config)
    splits, skipped = match_images(layouts, tables, allow_unlabelled=config.allow_unlabelled)
    all_classes = tables["train"].class_names
    names = dict(zip(all_classes, _names(all_classes, config), strict=True))
    n_own = len(splits["train"])
    splits["train"], extra = add_sources(splits["train"], names, config)
    warnings = _check_separation(splits, config)

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
    folds = None
    if config.folds:
        splits, reduced, folds = with_fold(
            splits, reduced, config, n_own=n_own, class_names=kept.class_names
        )
    levels = grade_levels(
        reduced["train"].grades, (split.grades for split in reduced.values()), kept.class_names
    )
    if config.grades and not levels:
        raise RecipeError(
            f"{layouts['train'].labels} grades no class that is kept: it needs a column such as "
            f"{kept.class_names[0]}_grade with at least two grades"
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
        "fold": {"fold": config.fold, "of": config.folds} if config.folds else None,
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
        "grade_levels": levels,
        "extra_data": extra,
        "warnings": warnings,
        "digest": _digest(reduced, kept.class_names),
    }
    return FundusData(
        **reduced,
        class_names=kept.class_names,
        summary=summary,
        folds=folds,
        grade_levels=levels,
    )


def _read_tables(layouts: Mapping[str, SplitLayout], config: DataConfig) -> dict[str, LabelTable]:
    """Read the three label files, which must have the same columns.

    A class that no training image of the run's own is labelled for may be in ``extra_data``.
    """
    train = read_labels(layouts["train"].labels, config, beside=layouts["val"].labels)
    tables = {"train": train}
    for name in ("val", "test"):
        tables[name] = read_labels(layouts[name].labels, config, like=train)
    if config.label_map is None:
        return tables
    label_map = read_label_map(config.label_map)
    return {name: join_columns(table, label_map) for name, table in tables.items()}


def _names(classes: tuple[str, ...], config: DataConfig) -> list[str]:
    """Return the diseases' names; a built-in map knows those of its classes."""
    if config.label_map is not None and config.glossary == "auto":
        meanings = read_label_map(config.label_map).meanings
        if meanings:
            return [meanings.get(code, code) for code in classes]
    return disease_names(classes, config.glossary, config.folder)


def _set_aside(splits: Mapping[str, Split], fold: Fold) -> dict[str, Split]:
    """Take the images out of the validation split that will choose nothing."""
    val = splits["val"]
    return {**splits, "val": val.rows(fold.train), "certify": val.rows(fold.test)}


def _check_separation(splits: Mapping[str, Split], config: DataConfig) -> list[str]:
    """Refuse files and patients that are in two splits; return warnings about equal images."""
    pairs = [("train", "val"), ("train", "test"), ("val", "test")]
    warnings = []
    for one, other in pairs:
        files = {path.resolve() for path in splits[one].paths}
        shared = sorted(path.name for path in splits[other].paths if path.resolve() in files)
        if shared:
            raise RecipeError(f"{counted_names(shared, 'file')} in both {one} and {other}")
        patients = sorted(set(splits[one].patients or ()) & set(splits[other].patients or ()))
        if patients:
            message = f"{counted_names(patients, 'patient')} in both {one} and {other}"
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
        for name, grades in split.grades.items():
            digest.update(name.encode())
            digest.update(np.nan_to_num(grades, nan=255.0).astype(np.uint8).tobytes())
    return digest.hexdigest()
