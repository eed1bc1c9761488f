"""The labels of another data set in the terms of a run's classes.

Codes are no common language: ODIR's ``RP`` is pigmentation, RFMiD's is retinitis pigmentosa. A map
says which column means which class. Several columns may mean one class; a class that no column
means isn't recorded there, so its labels are missing, not negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from examples.rfmid.data.glossary import RFMID, disease_names, read_glossary
from examples.rfmid.data.labels import LabelTable
from examples.rfmid.errors import RecipeError


@dataclass(frozen=True)
class LabelMap:
    """Which column of a data set means which class.

    Attributes
    ----------
    name : str
        How it was asked for.
    columns : mapping of str to str
        Column -> class. Columns that it doesn't name are left out.
    meanings : mapping of str to str
        What a class has to be called in the run, for classes where that is known.
    """

    name: str
    columns: Mapping[str, str]
    meanings: Mapping[str, str] = field(default_factory=dict)


_ODIR_TO_RFMID = {
    **{code: code for code in ("DR", "ERM", "ARMD", "MYA", "DN", "MNF", "LS", "BRVO", "CRVO")},
    **{code: code for code in ("TSLN", "ODE")},
    # RFMiD's media haze is any opacity of the media, cataracts among them (Pachade et al. 2021).
    "MH": "MH",
    "CAT": "MH",
    # Without a counterpart: GLA (a disease; RFMiD's ODC is one of its signs), RP (pigmentation
    # there, retinitis pigmentosa here), HTR, VD, MAC, SMC, CRA, OTHER.
}

LABEL_MAPS = MappingProxyType(
    {"odir-to-rfmid": LabelMap("odir-to-rfmid", MappingProxyType(_ODIR_TO_RFMID), RFMID)}
)


def read_label_map(name: str) -> LabelMap:
    """Return a built-in map, or read one from a file.

    Parameters
    ----------
    name : str
        One of `LABEL_MAPS`, or a file: a JSON object ``{"column": "class"}``, or a CSV with a
        header and the columns column, class.
    """
    if name in LABEL_MAPS:
        return LABEL_MAPS[name]
    path = Path(name)
    if not path.is_file():
        raise RecipeError(
            f"label map {name!r} is neither one of {', '.join(LABEL_MAPS)} nor a file"
        )
    columns = read_glossary(path)  # the same two columns
    if not columns:
        raise RecipeError(f"{path} maps no column")
    return LabelMap(name, columns)


def join_columns(table: LabelTable, label_map: LabelMap) -> LabelTable:
    """Return a table with the map's classes for columns.

    A class that several columns mean is present where one of them is 1, absent where all of them
    are 0, and else missing.
    """
    absent = [name for name in label_map.columns if name not in table.class_names]
    if absent:
        raise RecipeError(
            f"{table.path} has no label column {', '.join(absent)}, which the label map "
            f"{label_map.name} names; its label columns are {', '.join(table.class_names)}"
        )
    names = tuple(dict.fromkeys(label_map.columns.values()))
    labels = np.empty((len(table.ids), len(names)), dtype=np.float32)
    for c, name in enumerate(names):
        meant = [column for column, of in label_map.columns.items() if of == name]
        parts = table.labels[:, [table.class_names.index(column) for column in meant]]
        # The largest label, but 0 beside a missing one proves nothing.
        labels[:, c] = np.where((parts == 1).any(axis=1), 1, parts.max(axis=1))
    unused = [name for name in table.class_names if name not in label_map.columns]
    counts = Counter(label_map.columns.values())
    grades = {
        label_map.columns[column]: values
        for column, values in table.grades.items()
        if column in label_map.columns and counts[label_map.columns[column]] == 1
    }
    return replace(
        table,
        labels=labels,
        class_names=names,
        left_out=(*table.left_out, *unused),
        grades=grades,
    )


def labels_for_classes(
    table: LabelTable, label_map: LabelMap | None, classes: Mapping[str, str], folder: Path
) -> LabelTable:
    """Return a table whose columns are a run's classes, in their order.

    Parameters
    ----------
    table : LabelTable
        Of another data set.
    label_map : LabelMap, optional
        Without it, a column means the class of the same code.
    classes : mapping of str to str
        The run's classes: code -> name.
    folder : Path
        The other data set's, where its glossary may lie.
    """
    if label_map is None:
        _check_meanings(table.class_names, classes, folder)
        label_map = LabelMap("none", {code: code for code in table.class_names if code in classes})
    for code, meaning in label_map.meanings.items():
        if code in classes and classes[code] not in (code, meaning):
            raise RecipeError(
                f"the label map {label_map.name} is for classes in which {code} is {meaning}; "
                f"in this run it is {classes[code]}"
            )
    joined = join_columns(table, label_map)
    if not set(joined.class_names) & set(classes):
        raise RecipeError(
            f"{table.path} has no label for any class of the run ({', '.join(classes)}); its label "
            f"columns are {', '.join(table.class_names)}: name a label map"
        )
    labels = np.full((len(table.ids), len(classes)), np.nan, dtype=np.float32)
    for c, code in enumerate(classes):
        if code in joined.class_names:
            labels[:, c] = joined.labels[:, joined.class_names.index(code)]
    beyond = [name for name in joined.class_names if name not in classes]
    return replace(
        joined, labels=labels, class_names=tuple(classes), left_out=(*joined.left_out, *beyond)
    )


def _check_meanings(columns: Sequence[str], classes: Mapping[str, str], folder: Path) -> None:
    there = dict(zip(columns, disease_names(columns, "auto", folder), strict=True))
    for code, name in classes.items():
        if there.get(code, name) not in (code, name) and name != code:
            raise RecipeError(
                f"{code} is {there[code]} in {folder} and {name} in this run: say with a label map "
                "which columns mean which classes"
            )
