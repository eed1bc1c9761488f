"""Read a label CSV: one row an image, one 0/1 column a class."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from examples.rfmid.data.grades import grade_columns, read_grades
from examples.rfmid.data.layout import IMAGE_SUFFIXES
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import DataConfig

Rows = list[tuple[int, list[str]]]  # line number, cells

_VALUES = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
_MISSING = {"", "nan", "na"}


@dataclass(frozen=True)
class LabelTable:
    """The content of one label file.

    Attributes
    ----------
    path : Path
        The file.
    ids : tuple of str
        Image names without extension, in the file's order.
    labels : ndarray of shape (n_images, n_classes)
        float32: 0, 1, or NaN where the cell is empty.
    class_names : tuple of str
    patients : tuple of str or None
        Patient of each image, where the file names it.
    left_out : tuple of str
        Columns that hold something other than a class.
    subgroups : dict of str to tuple of str
        The cells of each column in ``config.subgroup_columns``.
    grades : dict of str to ndarray of shape (n_images,)
        By class, with ``config.grades``: 0, 1, 2, ..., or NaN where the cell is empty.
    """

    path: Path
    ids: tuple[str, ...]
    labels: npt.NDArray[np.float32]
    class_names: tuple[str, ...]
    patients: tuple[str, ...] | None
    left_out: tuple[str, ...]
    subgroups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    grades: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)


def read_labels(
    path: Path,
    config: DataConfig,
    *,
    like: LabelTable | None = None,
    beside: Path | None = None,
) -> LabelTable:
    """Read a label file, and check each cell.

    A column is left out if its name is empty or in ``config.ignore_columns`` or
    ``config.subgroup_columns``, or if fewer than half of its filled cells are 0 or 1 (an age, a
    comment). Otherwise another value is an error. A column without a filled cell is a class if the
    label file `beside` holds labels in it. With `like`, the columns of that table decide, and the
    classes come in its order.

    Raises
    ------
    RecipeError
        If the file isn't a table, lacks a class, repeats a column or an image, or holds a label
        other than 0 or 1. The message names file, row and class.
    """
    header, rows = read_rows(path)
    recorded = [] if beside is None else _label_columns(*read_rows(beside))
    return table_of(path, header, rows, config, like=like, recorded=recorded)


def table_of(
    path: Path,
    header: list[str],
    rows: Rows,
    config: DataConfig,
    *,
    like: LabelTable | None = None,
    recorded: Collection[str] = (),
) -> LabelTable:
    """Return the content of a label file that has been read; see `read_labels`."""
    id_at = _id_position(header, config, path)
    patient_at = column_position(header, config.patient_column)
    ignored = {name.lower() for name in (*config.ignore_columns, *config.subgroup_columns)}
    columns = {
        name: at
        for at, name in enumerate(header)
        if name and at not in (id_at, patient_at) and name.lower() not in ignored
    }
    for name in grade_columns(columns, header):
        del columns[name]
    if like is None:
        here = _label_columns(header, rows)
        class_names = [
            name
            for name, at in columns.items()
            if name in here
            or (name in recorded and all(row[at].lower() in _MISSING for _, row in rows))
        ]
        if not class_names:
            raise RecipeError(f"{path} has no class column; its columns are {', '.join(header)}")
    else:
        class_names = list(like.class_names)
        _check_same_classes(set(columns) - set(like.left_out), like, path)

    ids = [_image_name(row[id_at]) for _, row in rows]
    _check_ids(ids, rows, path)
    labels = np.empty((len(rows), len(class_names)), dtype=np.float32)
    for i, (line, row) in enumerate(rows):
        for j, name in enumerate(class_names):
            labels[i, j] = _label(row[columns[name]], f"{path}, line {line} ({ids[i]}), {name}")
    return LabelTable(
        path=path,
        ids=tuple(ids),
        labels=labels,
        class_names=tuple(class_names),
        patients=None if patient_at is None else _patients(path, rows, patient_at),
        left_out=tuple(
            name for at, name in enumerate(header) if at != id_at and name not in class_names
        ),
        subgroups={
            header[at]: tuple(row[at] for _, row in rows)
            for name in config.subgroup_columns
            if (at := column_position(header, name)) is not None
        },
        grades=_grades(path, header, rows, labels, class_names) if config.grades else {},
    )


def read_rows(path: Path) -> tuple[list[str], Rows]:
    """Return the header and (line number, cells) of each row that isn't empty."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [
                (reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)
            ]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise RecipeError(f"cannot read the label file {path}: {error}") from error
    if len(lines) < 2:
        raise RecipeError(f"the label file {path} has no rows")
    (_, header), rows = lines[0], lines[1:]
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise RecipeError(f"{path} has more than one column {', '.join(repeated)}")
    for line, row in rows:
        if len(row) != len(header):
            raise RecipeError(
                f"{path}, line {line} has {len(row)} cells, the header {len(header)}: "
                "is the file cut off, or not separated by commas?"
            )
    return header, rows


def _grades(
    path: Path,
    header: list[str],
    rows: Rows,
    labels: npt.NDArray[np.float32],
    class_names: list[str],
) -> dict[str, npt.NDArray[np.float32]]:
    grades = {}
    for column, name in grade_columns(header, class_names).items():
        at, places = header.index(column), [f"{path}, line {line}, {column}" for line, _ in rows]
        of_class = labels[:, class_names.index(name)]
        grades[name] = read_grades([row[at] for _, row in rows], of_class, places, _MISSING)
    return grades


def _check_same_classes(columns: set[str], like: LabelTable, path: Path) -> None:
    missing = [name for name in like.class_names if name not in columns]
    extra = sorted(columns - set(like.class_names))
    if missing or extra:
        raise RecipeError(
            f"{path} and {like.path} differ in their classes: "
            f"{', '.join(missing) or 'none'} missing, {', '.join(extra) or 'none'} additional"
        )


def column_position(header: list[str], name: str) -> int | None:
    """Return where the column of this name is, in any case; a column without a name is none."""
    if not name:
        return None
    lowered = [column.lower() for column in header]
    return lowered.index(name.lower()) if name.lower() in lowered else None


def _id_position(header: list[str], config: DataConfig, path: Path) -> int:
    if config.id_column is None:
        return column_position(header, "ID") or 0
    at = column_position(header, config.id_column)
    if at is None:
        raise RecipeError(f"{path} has no column {config.id_column!r}, only {', '.join(header)}")
    return at


def _image_name(cell: str) -> str:
    name = PurePath(cell)
    return cell[: -len(name.suffix)] if name.suffix.lower() in IMAGE_SUFFIXES else cell


def _check_ids(ids: list[str], rows: Rows, path: Path) -> None:
    first: dict[str, int] = {}
    for name, (line, _) in zip(ids, rows, strict=True):
        if not name:
            raise RecipeError(f"{path}, line {line} names no image")
        if name in first:
            raise RecipeError(f"{path} lists image {name!r} twice, in lines {first[name]}, {line}")
        first[name] = line


def _patients(path: Path, rows: Rows, at: int) -> tuple[str, ...]:
    for line, row in rows:
        if row[at].lower() in _MISSING:  # else all such images would be one patient's
            raise RecipeError(
                f"{path}, line {line} names no patient: fill the column, or pass "
                "--patient-column '' if patients are unknown"
            )
    return tuple(row[at] for _, row in rows)


def _label_columns(header: list[str], rows: Rows) -> list[str]:
    """Return the columns at least half of whose filled cells are labels."""
    found = []
    for at, name in enumerate(header):
        filled = [row[at] for _, row in rows if row[at].lower() not in _MISSING]
        if 2 * sum(cell in _VALUES for cell in filled) >= max(1, len(filled)):
            found.append(name)
    return found


def _label(cell: str, where: str) -> float:
    if cell.lower() in _MISSING:
        return np.nan
    if cell not in _VALUES:
        raise RecipeError(f"{where}: {cell!r} is neither 0 nor 1 nor empty (missing)")
    return _VALUES[cell]
