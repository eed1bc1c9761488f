"""The images of one split with their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from examples.rfmid.data.labels import LabelTable
from examples.rfmid.data.layout import SplitLayout, images_by_name
from examples.rfmid.errors import RecipeError


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
    subgroups : mapping of str to tuple of str
        Age, sex, camera, ... of each image, as the label file has it.
    grades : mapping of str to float32 array of shape (n_images,)
        By graded class: 0 (absent), 1, 2, ..., or NaN (unknown).
    """

    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: npt.NDArray[np.float32]
    patients: tuple[str, ...] | None
    subgroups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    grades: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: npt.NDArray[np.intp]) -> Split:
        """Return some of the images, in this order."""
        return Split(
            ids=tuple(self.ids[i] for i in index),
            paths=tuple(self.paths[i] for i in index),
            labels=self.labels[index],
            patients=self.patients and tuple(self.patients[i] for i in index),
            subgroups={
                name: tuple(values[i] for i in index) for name, values in self.subgroups.items()
            },
            grades={name: values[index] for name, values in self.grades.items()},
        )


def join_splits(parts: Sequence[Split]) -> Split:
    """Return the images of all parts, one part after the other.

    Where some of them name patients, an image of the others counts as a patient of its own;
    where only some have a subgroup column, it is empty in the others.
    """
    named = any(part.patients is not None for part in parts)
    return Split(
        ids=tuple(name for part in parts for name in part.ids),
        paths=tuple(path for part in parts for path in part.paths),
        labels=np.concatenate([part.labels for part in parts]),
        patients=tuple(p for part in parts for p in part.patients or part.ids) if named else None,
        subgroups={
            name: tuple(v for part in parts for v in part.subgroups.get(name, ("",) * len(part)))
            for name in sorted({name for part in parts for name in part.subgroups})
        },
        grades={
            name: np.concatenate(
                [p.grades.get(name, np.full(len(p), np.nan, np.float32)) for p in parts]
            )
            for name in dict.fromkeys(name for part in parts for name in part.grades)
        },
    )


def match_images(
    layouts: Mapping[str, SplitLayout],
    tables: Mapping[str, LabelTable],
    *,
    allow_unlabelled: bool,
) -> tuple[dict[str, Split], dict[str, int]]:
    """Return the split of each label table, and how many images of its folder no table names."""
    named: dict[Path, set[str]] = {layout.images: set() for layout in layouts.values()}
    for name, table in tables.items():
        named[layouts[name].images].update(table.ids)
    splits, skipped = {}, {}
    for name, table in tables.items():
        folder = layouts[name].images
        images = images_by_name(folder)
        absent = [image for image in table.ids if image not in images]
        if absent:
            raise RecipeError(
                f"{table.path}: {counted_names(absent, 'row')} without an image in {folder}"
            )
        unlabelled = sorted(set(images) - named[folder])
        if unlabelled and not allow_unlabelled:
            raise RecipeError(
                f"{folder}: {counted_names(unlabelled, 'image')} without a row in {table.path}; "
                "--allow-unlabelled skips such images"
            )
        paths = tuple(images[image] for image in table.ids)
        splits[name] = Split(
            table.ids, paths, table.labels, table.patients, table.subgroups, table.grades
        )
        skipped[name] = len(unlabelled)
    return splits, skipped


def counted_names(names: Sequence[str], what: str) -> str:
    """Return how many there are, and the first five.

    Examples
    --------
    >>> counted_names(["1", "2"], "row")
    '2 rows (1, 2)'
    """
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''} ({shown})"
