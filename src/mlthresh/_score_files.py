"""Labels and scores in files: npz, csv and parquet."""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh.exceptions import FileFormatError, InputError

__all__ = ["Table", "array_names", "read_pair", "read_table"]


@dataclass(frozen=True)
class Table:
    """Numbers under class names, with the rows' ids where the file has them."""

    path: Path
    values: npt.NDArray[Any]
    class_names: tuple[str, ...] | None
    ids: tuple[str, ...] | None
    extra: dict[str, npt.NDArray[Any]]


def read_pair(
    scores: Path, labels: Path | None, *, id_column: str | None, other_columns: Sequence[str]
) -> tuple[Table, Table]:
    """Return labels and scores, row by row of the same sample and in the same columns.

    An npz file holds both, as ``y_true`` and ``y_score``. Tables are two files, matched by id
    where both have ids, else by position; the labels may have more columns than the scores, and
    what stands in those is not read.
    """
    if labels is None:
        if scores.suffix != ".npz":
            raise InputError(f"{scores}: name the file with the labels too (--labels FILE)")
        labels = scores
    score_table = read_table(scores, "y_score", id_column=id_column)
    label_table = read_table(
        labels,
        "y_true",
        id_column=id_column,
        other_columns=other_columns,
        classes=score_table.class_names,
    )
    return _aligned(label_table, score_table), score_table


def _aligned(labels: Table, scores: Table) -> Table:
    columns: Any = slice(None)
    known, wanted = labels.class_names, scores.class_names
    if known is not None and wanted is not None and known != wanted:
        absent = [name for name in wanted if name not in known]
        if absent:
            raise FileFormatError(
                f"{labels.path}: no column for {absent}, which {scores.path} scores"
            )
        columns = [known.index(name) for name in wanted]
    rows: Any = slice(None)
    if labels.ids and scores.ids and labels.ids != scores.ids:
        row_of = {name: row for row, name in enumerate(labels.ids)}
        absent = [name for name in scores.ids if name not in row_of]
        if absent:
            raise FileFormatError(
                f"{labels.path}: no row for {len(absent)} ids of {scores.path}, "
                f"such as {absent[0]!r}"
            )
        rows = [row_of[name] for name in scores.ids]
    values = labels.values[rows][:, columns]
    if len(values) != len(scores.values):
        raise FileFormatError(
            f"{labels.path} has {len(values)} rows and {scores.path} {len(scores.values)}; "
            "without an id column in both, rows are matched by position"
        )
    extra = {name: column[rows] for name, column in labels.extra.items()}
    return Table(labels.path, values, scores.class_names, scores.ids, scores.extra | extra)


def read_table(
    path: Path,
    array: str,
    *,
    id_column: str | None = None,
    other_columns: Sequence[str] = (),
    classes: Sequence[str] | None = None,
) -> Table:
    """Read one matrix; `array` is its name in an npz file.

    Of a table's columns, only those named in `classes` are read as numbers; by default, all.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".npz":
        return _read_npz(path, array, other_columns)
    if path.suffix == ".csv":
        header, rows = _read_csv(path)
    elif path.suffix == ".parquet":
        header, rows = _read_parquet(path)
    else:
        raise InputError(f"{path}: expected a file ending in .npz, .csv or .parquet")
    return _table(path, header, rows, id_column, other_columns, classes)


def array_names(path: Path) -> list[str]:
    """Return what arrays an npz file has."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with _opened(path) as arrays:
        return list(arrays.files)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            yield arrays
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"{path}: not a whole npz file of plain arrays: {error}") from error


def _read_npz(path: Path, array: str, other_columns: Sequence[str]) -> Table:
    with _opened(path) as arrays:
        loaded = {name: arrays[name] for name in arrays.files}
    if array not in loaded:
        raise FileFormatError(f"{path}: no array {array!r}; there are {sorted(loaded)}")
    absent = [name for name in other_columns if name not in loaded]
    if absent:
        raise FileFormatError(f"{path}: no array {absent[0]!r}; there are {sorted(loaded)}")
    names = next((loaded[key] for key in ("class_names", "classes") if key in loaded), None)
    return Table(
        path,
        loaded[array],
        None if names is None else tuple(map(str, names)),
        tuple(map(str, loaded["ids"])) if "ids" in loaded else None,
        {name: loaded[name] for name in other_columns},
    )


def _read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, *rows = list(csv.reader(stream, strict=True)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"{path}: not a CSV file in UTF-8: {error}") from error
    if not header:
        raise FileFormatError(f"{path}: empty; expected a header with class names")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise FileFormatError(
                f"{path}, line {number}: {len(row)} fields where the header has {len(header)}"
            )
    return header, rows


def _read_parquet(path: Path) -> tuple[list[str], list[list[Any]]]:
    if find_spec("polars"):
        import polars as pl

        frame = pl.read_parquet(path)
        return list(frame.columns), [list(row) for row in frame.iter_rows()]
    if find_spec("pandas"):
        import pandas as pd

        table = pd.read_parquet(path)
        return [str(column) for column in table.columns], table.to_numpy(dtype=object).tolist()
    raise InputError(f"{path}: reading parquet needs polars or pandas: pip install polars")


def _table(
    path: Path,
    header: list[str],
    rows: Sequence[Sequence[Any]],
    id_column: str | None,
    other_columns: Sequence[str],
    classes: Sequence[str] | None,
) -> Table:
    if id_column is None:
        id_column = next((name for name in header if name.lower() == "id"), None)
    absent = [name for name in (id_column, *other_columns) if name and name not in header]
    if absent:
        raise FileFormatError(f"{path}: no column {absent[0]!r}; there are {header}")
    taken = {id_column, *other_columns}
    wanted = set(header if classes is None else classes) - taken
    at = [i for i, name in enumerate(header) if name in wanted]
    values = np.array(
        [
            [_number(row[i], path, number, header[i]) for i in at]
            for number, row in enumerate(rows, start=2)
        ],
        dtype=np.float64,
    ).reshape(len(rows), len(at))
    ids = None
    if id_column is not None:
        column = header.index(id_column)
        ids = tuple(str(row[column]) for row in rows)
        if len(set(ids)) != len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise FileFormatError(f"{path}: id {twice!r} occurs more than once")
    extra = {
        name: np.array([_text(row[header.index(name)]) for row in rows]) for name in other_columns
    }
    return Table(path, values, tuple(header[i] for i in at), ids, extra)


def _text(value: Any) -> str:
    """Return a cell of a column that is no class; what a parquet file lacks is empty."""
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)


def _number(text: Any, path: Path, line: int, column: str) -> float:
    if text is None or (isinstance(text, str) and not text.strip()):
        return math.nan
    try:
        return float(text)
    except (TypeError, ValueError):
        raise FileFormatError(
            f"{path}, line {line}, column {column!r}: expected a number, got {text!r}"
        ) from None
