"""Deal one folder of images with one label CSV into training, validation and test."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from examples.rfmid.data.grades import grade_columns
from examples.rfmid.data.labels import (
    LabelTable,
    Rows,
    column_position,
    read_rows,
    table_of,
)
from examples.rfmid.data.layout import SPLITS_FILE, SplitLayout
from examples.rfmid.data.split import Split, counted_names, match_images
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import replacing, write_json
from examples.rfmid.settings import DataConfig
from examples.rfmid.tables import text_table
from mlthresh import multilabel_train_test_split

_FILES = {"train": "Training", "val": "Validation", "test": "Test"}
_FEW = 5

Index = npt.NDArray[np.intp]


def split(
    labels: Path,
    images: Path,
    output: Path,
    *,
    val: float = 0.15,
    test: float = 0.15,
    id_column: str | None = None,
    patient_column: str = DataConfig.patient_column,
    ignore_columns: tuple[str, ...] = DataConfig.ignore_columns,
    subgroup_columns: tuple[str, ...] = DataConfig.subgroup_columns,
    list_column: str | None = None,
    separator: str = "|",
    nothing: str = "",
    seed: int = 0,
) -> Path:
    """Deal labelled images into training, validation and test: the data folder that train reads.

    Each class's positives are shared out in proportion, and images of one patient stay together.
    The images stay where they are: three label files and splits.json are written.

    Parameters
    ----------
    labels
        CSV with a row an image and a 0/1 column a class; or see --list-column. Columns that hold
        anything else are left out.
    images
        The folder with the images that it names.
    output
        Data folder to make.
    val, test
        Parts of the images for validation and test.
    id_column
        Column with the image names; by default the one named ID, else the first.
    patient_column
        Column that names the patient, if there is one; "" if patients are unknown.
    ignore_columns
        Columns that aren't classes though they hold 0 and 1.
    subgroup_columns
        Columns to keep, by which reports break figures down.
    list_column
        Column that lists an image's classes by name, as "Edema|Effusion"; instead of 0/1 columns.
    separator
        What stands between the names there.
    nothing
        What stands there where an image shows no class, as "No Finding"; an empty cell says so too.
    seed
        Breaks ties; the same seed deals alike.

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    RecipeError
        If a file is missing or damaged, a row has no image, or `output` isn't empty.
    """
    if min(val, test) <= 0 or val + test >= 1:
        raise RecipeError(f"val and test must be above 0 and below 1 together: {val}, {test}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise RecipeError(
            f"{output} isn't empty. Dealing anew would move images that a run has learnt from into "
            "the test split: choose another folder"
        )
    if not images.is_dir():
        raise RecipeError(f"the image folder {images} doesn't exist")
    config = DataConfig(
        id_column=id_column,
        patient_column=patient_column,
        ignore_columns=ignore_columns,
        subgroup_columns=subgroup_columns,
    )
    header, rows = read_rows(labels)
    has_patients = column_position(header, patient_column) is not None
    if not has_patients and patient_column not in ("", DataConfig.patient_column):
        raise RecipeError(f"{labels} has no column {patient_column!r}, only {', '.join(header)}")
    if list_column is not None:
        at = column_position(header, "ID") or 0
        keep = [id_column or header[at], patient_column, *config.subgroup_columns]
        header, rows = _expanded(header, rows, list_column, keep, separator, nothing, labels)
    table = table_of(labels, header, rows, config)
    layout = {"all": SplitLayout(images, labels)}
    splits, skipped = match_images(layout, {"all": table}, allow_unlabelled=True)
    dealt = _deal(splits["all"], val, test, seed)
    output.mkdir(parents=True, exist_ok=True)
    about = {
        "format": "rfmid.splits",
        "version": 1,
        "images": _path_from(output, images),
        "labels": str(labels),
        "val": val,
        "test": test,
        "seed": seed,
    }
    try:
        for name, index in dealt.items():
            _write(output / f"{_FILES[name]}_Labels.csv", table, header, rows, index)
        write_json(output / SPLITS_FILE, about)
    except BaseException:  # else the rest would be in the way of the next attempt
        for path in output.iterdir():
            path.unlink()
        raise
    print(_summary(table, dealt, skipped["all"]))
    return output


def _expanded(
    header: list[str],
    rows: Rows,
    column: str,
    keep: list[str],
    separator: str,
    nothing: str,
    path: Path,
) -> tuple[list[str], Rows]:
    """Turn a column of class names into one 0/1 column a class, the most frequent first."""
    at = column_position(header, column)
    if at is None:
        raise RecipeError(f"{path} has no column {column!r}, only {', '.join(header)}")
    kept = [i for i in (column_position(header, name) for name in keep) if i is not None]
    named = [{name.strip() for name in row[at].split(separator)} - {"", nothing} for _, row in rows]
    counts = Counter(name for names in named for name in names)
    classes = sorted(counts, key=lambda name: (-counts[name], name))
    if not classes:
        raise RecipeError(f"{path}: the column {column!r} names no class")
    return [header[i] for i in kept] + classes, [
        (line, [row[i] for i in kept] + [str(int(name in names)) for name in classes])
        for (line, row), names in zip(rows, named, strict=True)
    ]


def _deal(whole: Split, val: float, test: float, seed: int) -> dict[str, Index]:
    """Return the row numbers of each split."""
    labels = whole.labels
    groups = None if whole.patients is None else np.array(whole.patients)
    outer = multilabel_train_test_split(labels, test_size=test, groups=groups, seed=seed)
    rest = outer.train
    inner = multilabel_train_test_split(
        labels[rest],
        test_size=val / (1 - test),
        groups=None if groups is None else groups[rest],
        seed=seed,
    )
    return {"train": rest[inner.train], "val": rest[inner.test], "test": outer.test}


def _write(path: Path, table: LabelTable, header: list[str], rows: Rows, index: np.ndarray) -> None:
    """Write some rows with the column names that train expects, and the labels as they were."""
    extra = list(grade_columns(header, table.class_names))
    extra += table.subgroups
    columns = [header.index(name) for name in (*table.class_names, *extra)]
    patient = [] if table.patients is None else ["Patient"]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", *patient, *table.class_names, *extra])
        for i in index:
            named = [] if table.patients is None else [table.patients[i]]
            writer.writerow([table.ids[i], *named, *(rows[i][1][at] for at in columns)])


def _path_from(folder: Path, target: Path) -> str:
    """Return a relative path, so that both folders may be moved together."""
    try:
        return os.path.relpath(target.resolve(), folder.resolve())
    except ValueError:  # on another drive
        return str(target.resolve())


def _summary(table: LabelTable, dealt: dict[str, Index], unlabelled: int) -> str:
    counts = {name: (table.labels[index] == 1).sum(axis=0) for name, index in dealt.items()}
    rows = [["images", *(str(len(index)) for index in dealt.values())]]
    if table.patients is not None:
        patients = np.array(table.patients)
        rows.append(["patients", *(str(len(set(patients[index]))) for index in dealt.values())])
    rows += [
        [name, *(str(int(of[c])) for of in counts.values())]
        for c, name in enumerate(table.class_names)
    ]
    lines = [text_table(["", "training", "validation", "test"], rows)]
    few = [
        name
        for c, name in enumerate(table.class_names)
        if min(counts["val"][c], counts["test"][c]) < _FEW
    ]
    if few:
        lines.append(
            f"fewer than {_FEW} in validation or test, where little can be chosen or measured: "
            f"{', '.join(few)}"
        )
    if table.patients is None:
        lines.append(
            "no patients are named: if some have several images, results will promise too much "
            "(--patient-column)"
        )
    if table.left_out:
        lines.append(f"columns that are no classes: {counted_names(table.left_out, 'column')}")
    if unlabelled:
        lines.append(
            f"images without a row: {unlabelled}; train --allow-unlabelled skips such images"
        )
    return "\n".join(lines)
