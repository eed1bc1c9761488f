"""Other data sets beside the run's own: to learn from, or to be tested on.

Image names and patients of another set get its folder's name in front: patient 7 of one clinic
isn't patient 7 of the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.data.label_map import labels_for_classes, read_label_map
from examples.rfmid.data.labels import LabelTable, read_labels
from examples.rfmid.data.layout import SplitLayout, find_parts
from examples.rfmid.data.split import Split, join_splits, match_images
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import DataConfig


@dataclass(frozen=True)
class OtherData:
    """Parts of another data set, with the labels of a run's classes.

    Attributes
    ----------
    split : Split
        All their images; NaN where a class isn't recorded.
    classes : tuple of str
        The run's classes that it records.
    unused : tuple of str
        Its columns that mean none of them.
    label_files : tuple of Path
    skipped : int
        Images without a row.
    """

    split: Split
    classes: tuple[str, ...]
    unused: tuple[str, ...]
    label_files: tuple[Path, ...]
    skipped: int


def read_other(
    parts: Mapping[str, SplitLayout],
    label_map: str | None,
    classes: Mapping[str, str],
    config: DataConfig,
) -> OtherData:
    """Read parts of one data set as a run with these classes (code -> name) sees them.

    Images without a row are skipped.

    Raises
    ------
    RecipeError
        If a file is missing or damaged, or the labels can't be brought to the run's classes.
    """
    chosen = None if label_map is None else read_label_map(label_map)
    tables: dict[str, LabelTable] = {}
    for name, part in parts.items():
        tables[name] = read_labels(part.labels, config, like=next(iter(tables.values()), None))
    converted = {
        name: labels_for_classes(table, chosen, classes, config.folder)
        for name, table in tables.items()
    }
    splits, skipped = match_images(parts, converted, allow_unlabelled=True)
    joined = join_splits(list(splits.values()))
    recorded: npt.NDArray[np.bool_] = np.any(~np.isnan(joined.labels), axis=0)
    return OtherData(
        split=joined,
        classes=tuple(code for code, known in zip(classes, recorded, strict=True) if known),
        unused=next(iter(converted.values())).left_out,
        label_files=tuple(part.labels for part in parts.values()),
        skipped=sum(skipped.values()),
    )


def add_sources(
    train: Split, classes: Mapping[str, str], config: DataConfig
) -> tuple[Split, list[dict[str, Any]]]:
    """Add the images of ``config.extra_data`` to a training split.

    Of a data set in three splits only the training split is taken, so that the others remain to be
    tested on.

    Returns
    -------
    Split, list of dict
        All images, and what was added, for ``data.json``.
    """
    splits, described = [train], []
    names: list[str] = []
    for source in config.extra_data:
        folder, label_map = config.source(source)
        name = _unused_name(folder.resolve().name, names)
        names.append(name)
        here = another_folder(config, folder)
        taken = {kind: part for kind, part in find_parts(here).items() if kind in ("train", "all")}
        other = read_other(taken, label_map, classes, here)
        _check_prefix(name, train)
        splits.append(_prefixed(other.split, name))
        described.append(
            {
                "name": name,
                "folder": str(folder),
                "label_map": label_map,
                "label_files": [str(path) for path in other.label_files],
                "images": len(other.split),
                "images_skipped": other.skipped,
                "recorded": list(other.classes),
                "not_recorded": [code for code in classes if code not in other.classes],
                "unused_columns": list(other.unused),
            }
        )
    joined = join_splits(splits)
    if len({path.resolve() for path in joined.paths}) < len(joined):
        raise RecipeError("--extra-data names images that the run learns from already")
    return joined, described


def another_folder(config: DataConfig, folder: Path) -> DataConfig:
    """Return the settings for reading another folder, without what belongs to the run's own."""
    return DataConfig(
        folder=folder,
        patient_column=config.patient_column,
        ignore_columns=config.ignore_columns,
    )


def _unused_name(name: str, taken: Collection[str]) -> str:
    number = 2
    candidate = name
    while candidate in taken:
        candidate, number = f"{name}-{number}", number + 1
    return candidate


def _prefixed(split: Split, name: str) -> Split:
    return replace(
        split,
        ids=tuple(f"{name}/{one}" for one in split.ids),
        patients=split.patients and tuple(f"{name}/{one}" for one in split.patients),
    )


def _check_prefix(name: str, train: Split) -> None:
    """Refuse patients that already look prefixed; an image's name holds no slash."""
    alike = [patient for patient in train.patients or () if patient.startswith(f"{name}/")]
    if alike:
        raise RecipeError(
            f"patient {alike[0]!r} of the run's data couldn't be told from those of {name}: rename "
            "the folder"
        )
