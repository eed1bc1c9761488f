"""How the classes are spread over folds, and which of them can't fill every fold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import as_groups, as_labels, matched_class_names, shown_names
from mlthresh._tables import Section, TabledReport
from mlthresh.exceptions import InputError
from mlthresh.splits import Fold

__all__ = ["FoldReport", "describe_folds"]

_Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, repr=False)
class FoldReport(TabledReport):
    """The positives of each class in each part of a split; printable. See `describe_folds`.

    Attributes
    ----------
    parts : tuple of str
        "fold 0", "fold 1", ... (the `test` rows of each), or "train" and "test" of one split.
    class_names : tuple of str
    n_rows : array of shape (n_parts,)
    n_known, n_positive : arrays of shape (n_parts, n_classes)
        Rows whose label of the class is known, and positive.
    n_groups : array of shape (n_parts,) or None
        Groups (patients) in each part.
    n_positive_groups : array of shape (n_parts, n_classes) or None
        Groups with a positive row.
    n_split_groups : int
        Groups with rows on both sides of a fold: leakage, none in this package's splits.

    Examples
    --------
    >>> labels = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 0], [0, 0]])
    >>> report = describe_folds(labels, [Fold([3, 4, 5], [0, 1, 2]), Fold([0, 1, 2], [3, 4, 5])])
    >>> report.without_positive
    {'class 0': ('fold 1',), 'class 1': ('fold 0',)}
    >>> report.unfillable
    ('class 1',)
    """

    parts: tuple[str, ...]
    class_names: tuple[str, ...]
    n_rows: _Counts
    n_known: _Counts
    n_positive: _Counts
    n_groups: _Counts | None
    n_positive_groups: _Counts | None
    n_split_groups: int

    @property
    def without_positive(self) -> dict[str, tuple[str, ...]]:
        """The parts that have no positive, for each class with such a part."""
        return {
            name: tuple(part for part, n in zip(self.parts, column, strict=True) if n == 0)
            for name, column in zip(self.class_names, self.n_positive.T, strict=True)
            if not column.all()
        }

    @property
    def unfillable(self) -> tuple[str, ...]:
        """Classes with fewer positive rows (positive groups) than parts: no split fills all."""
        n_units = self.n_positive if self.n_positive_groups is None else self.n_positive_groups
        few = n_units.sum(axis=0) < len(self.parts)
        return tuple(name for name, is_few in zip(self.class_names, few, strict=True) if is_few)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values; counts as lists, an entry a part."""
        counts = ("n_rows", "n_known", "n_positive", "n_groups", "n_positive_groups")
        return {
            "parts": list(self.parts),
            "class_names": list(self.class_names),
            **{
                name: None if getattr(self, name) is None else getattr(self, name).tolist()
                for name in counts
            },
            "n_split_groups": self.n_split_groups,
            "without_positive": {name: list(p) for name, p in self.without_positive.items()},
            "unfillable": list(self.unfillable),
        }

    def _sections(self) -> list[Section]:
        n_rows, n_classes = self.n_rows.sum(), len(self.class_names)
        title = f"{n_rows:,} rows of {n_classes} classes in {len(self.parts)} parts"
        grouped = [] if self.n_groups is None else ["groups"]
        header = ["positives", "all", *grouped, *self.parts]
        return [Section(title, header, self._rows(), self._notes())]

    def _rows(self) -> list[list[str]]:
        by_frequency = np.argsort(-self.n_positive.sum(axis=0), kind="stable")
        rows = [
            (self.class_names[c], self.n_positive[:, c], _column(self.n_positive_groups, c))
            for c in by_frequency
        ]
        rows.append(("(rows)", self.n_rows, self.n_groups))
        return [
            [name]
            + [f"{int(n.sum()):,}" for n in (positive, grouped) if n is not None]
            + [f"{n:,}" for n in positive.tolist()]
            for name, positive, grouped in rows
        ]

    def _notes(self) -> list[str]:
        kind = "positives" if self.n_groups is None else "groups with a positive"
        notes = []
        if self.unfillable:
            notes.append(f"Fewer {kind} than parts: {', '.join(self.unfillable)}.")
        others = [name for name in self.without_positive if name not in self.unfillable]
        if others:
            notes.append(f"Enough {kind}, but none in some part: {', '.join(others)}.")
        if self.n_split_groups:
            notes.append(f"Groups on both sides of a fold: {self.n_split_groups:,}.")
        return notes or ["Every class has a positive in every part."]


def describe_folds(
    labels: Any,
    folds: Fold | Iterable[Fold],
    *,
    groups: Any = None,
    class_names: Sequence[str] | None = None,
) -> FoldReport:
    """Count the positives of each class in each fold, and name the classes that can't fill all.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN. A missing label counts as neither.
    folds : iterable of Fold, or a Fold
        The folds of a cross-validation, of which the `test` rows are counted, or one split, of
        which both sides are. Pairs of index arrays, as scikit-learn's splitters yield, will do.
    groups : array of shape (n_samples,), optional
        Patients: positives are also counted by patient.
    class_names : sequence of str, optional
        By default a frame's columns, or else "class 0", "class 1", ...

    Returns
    -------
    FoldReport
        Printable.

    Raises
    ------
    InputError
        If labels, groups or folds are invalid.

    Examples
    --------
    >>> from mlthresh import multilabel_stratified_kfold
    >>> labels = np.zeros((9, 2), dtype=int)
    >>> labels[:6, 0] = labels[:2, 1] = 1
    >>> folds = multilabel_stratified_kfold(labels, n_splits=3)
    >>> print(describe_folds(labels, folds, class_names=["DR", "RPEC"]))
    9 rows of 2 classes in 3 parts
    <BLANKLINE>
    positives  all  fold 0  fold 1  fold 2
    DR           6       2       2       2
    RPEC         2       0       1       1
    (rows)       9       3       3       3
    <BLANKLINE>
    Fewer positives than parts: RPEC.
    """
    array, columns = as_labels(labels)
    n_samples, n_classes = array.shape
    names = matched_class_names(n_classes, class_names, columns)
    unit_of = as_groups(groups, n_samples)
    pairs = [
        Fold(_rows(train, n_samples), _rows(test, n_samples))
        for train, test in ([folds] if isinstance(folds, Fold) else folds)
    ]
    if not pairs:
        raise InputError("there are no folds to describe")
    rows_of = list(pairs[0]) if isinstance(folds, Fold) else [fold.test for fold in pairs]
    numbered = tuple(f"fold {k}" for k in range(len(pairs)))
    n_groups = n_positive_groups = None
    n_split_groups = 0
    if unit_of is not None:
        n_groups = np.array([len(np.unique(unit_of[rows])) for rows in rows_of])
        n_positive_groups = np.array([_positive_units(array, unit_of, rows) for rows in rows_of])
        shared = [np.intersect1d(unit_of[fold.train], unit_of[fold.test]) for fold in pairs]
        n_split_groups = len(np.unique(np.concatenate(shared)))
    return FoldReport(
        parts=("train", "test") if isinstance(folds, Fold) else numbered,
        class_names=shown_names(names, n_classes),
        n_rows=np.array([len(rows) for rows in rows_of]),
        n_known=np.array([np.count_nonzero(array[r] == array[r], axis=0) for r in rows_of]),
        n_positive=np.array([np.count_nonzero(array[r] == 1, axis=0) for r in rows_of]),
        n_groups=n_groups,
        n_positive_groups=n_positive_groups,
        n_split_groups=n_split_groups,
    )


def _rows(rows: Any, n_samples: int) -> npt.NDArray[np.intp]:
    array = np.asarray(rows)
    if array.size == 0:
        return np.empty(0, dtype=np.intp)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(
            f"a fold holds row numbers, got shape {array.shape} and dtype {array.dtype}"
        )
    if array.min() < 0 or array.max() >= n_samples:
        bad = array[(array < 0) | (array >= n_samples)][0]
        raise InputError(f"a fold has row {bad}, but there are {n_samples} rows")
    return array.astype(np.intp)


def _positive_units(
    array: npt.NDArray[Any], unit_of: npt.NDArray[np.intp], rows: npt.NDArray[np.intp]
) -> _Counts:
    """Count the units with a positive among the rows, by class."""
    row, column = np.nonzero(array[rows] == 1)
    n_classes = array.shape[1]
    pairs = np.unique(unit_of[rows[row]] * n_classes + column)
    return np.bincount(pairs % n_classes, minlength=n_classes)


def _column(counts: _Counts | None, column: int) -> _Counts | None:
    return None if counts is None else counts[:, column]
