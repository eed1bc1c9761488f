"""Multi-label stratified splits that keep patients together and allow missing labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import as_groups, as_labels
from mlthresh._scalars import as_integer
from mlthresh._stratify import deal
from mlthresh.exceptions import InputError

__all__ = [
    "Fold",
    "MultilabelStratifiedKFold",
    "multilabel_stratified_kfold",
    "multilabel_train_test_split",
]

IndexArray = npt.NDArray[np.intp]


class Fold(NamedTuple):
    """Row numbers of one split, ascending."""

    train: IndexArray
    test: IndexArray


def multilabel_stratified_kfold(
    labels: Any, *, n_splits: int = 5, groups: Any = None, seed: int = 0
) -> Iterator[Fold]:
    """Split rows into folds that share out every class's positives as evenly as can be.

    Iterative stratification [1]_: the class with the fewest positives not yet dealt is dealt
    first, each of its rows to the fold that still lacks most of that class. Then rows move or
    trade places while that lowers the chi-squared distance, summed over folds and classes,

        sum (count - expected)**2 / expected

    of positives, of known labels and of rows, until each count is within one of its exact share
    or nothing helps. :func:`describe_folds` shows the outcome, and the classes with fewer
    positives than folds.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN. A missing label counts as neither; every fold gets its part of them.
    n_splits : int, default 5
        Number of folds, at least 2 and at most the number of rows or groups.
    groups : array of shape (n_samples,), optional
        Patients: rows of one group go to one fold.
    seed : int, default 0
        Breaks ties. The same seed gives the same folds.

    Yields
    ------
    Fold
        `train` and `test` row numbers; each row is in one `test`.

    Raises
    ------
    InputError
        If labels are invalid or there are fewer rows or groups than folds.

    References
    ----------
    .. [1] Sechidis, Tsoumakas, Vlahavas (2011), "On the stratification of multi-label data",
       ECML PKDD.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0]])
    >>> [labels[fold.test].sum(axis=0).tolist() for fold in
    ...  multilabel_stratified_kfold(labels, n_splits=2)]
    [[1, 1], [1, 1]]
    """
    n_splits = as_integer(n_splits, "n_splits", 2)
    fold_of = _deal(labels, groups, np.full(n_splits, 1 / n_splits), seed)
    for k in range(n_splits):
        yield Fold(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k))


def multilabel_train_test_split(
    labels: Any, *, test_size: float = 0.25, groups: Any = None, seed: int = 0
) -> Fold:
    """Split rows in two, each class's positives in proportion.

    As :func:`multilabel_stratified_kfold`, with two parts of different size.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN.
    test_size : float, default 0.25
        Part of the rows in `test`, in (0, 1).
    groups : array of shape (n_samples,), optional
        Patients: rows of one group stay together.
    seed : int, default 0
        Breaks ties.

    Returns
    -------
    Fold
        `train` and `test` row numbers; neither is empty.

    Raises
    ------
    InputError
        If labels are invalid, `test_size` is out of its domain, or there is but one row or group.

    Examples
    --------
    >>> import numpy as np
    >>> split = multilabel_train_test_split(np.eye(4).repeat(4, axis=0), test_size=0.25)
    >>> np.eye(4).repeat(4, axis=0)[split.test].sum(axis=0)
    array([1., 1., 1., 1.])
    """
    if not 0 < test_size < 1:
        raise InputError(f"test_size must lie between 0 and 1, got {test_size!r}")
    side = _deal(labels, groups, np.array([1 - test_size, test_size]), seed)
    return Fold(np.flatnonzero(side == 0), np.flatnonzero(side == 1))


@dataclass(frozen=True)
class MultilabelStratifiedKFold:
    """:func:`multilabel_stratified_kfold` for scikit-learn's `cv` parameters.

    Parameters
    ----------
    n_splits : int, default 5
        Number of folds, at least 2.
    random_state : int, default 0
        The seed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn.model_selection import cross_val_score
    >>> labels = np.eye(3, dtype=int).repeat(4, axis=0)
    >>> cv = MultilabelStratifiedKFold(n_splits=4)
    >>> cross_val_score(DummyClassifier(), np.zeros((12, 1)), labels, cv=cv)
    array([0., 0., 0., 0.])
    """

    n_splits: int = 5
    random_state: int = 0

    def __post_init__(self) -> None:
        as_integer(self.n_splits, "n_splits", 2)
        as_integer(self.random_state, "random_state", 0)

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[Fold]:
        """Yield the folds of labels `y`, each a pair of row numbers (train, test).

        `X` is only checked for as many rows; `groups` are kept together where given.
        """
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if n_rows != len(y):
            raise InputError(f"X has {n_rows} rows and y has {len(y)}")
        yield from multilabel_stratified_kfold(
            y, n_splits=self.n_splits, groups=groups, seed=self.random_state
        )

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of folds, whatever the data."""
        return self.n_splits


def _deal(
    labels: Any, groups: Any, share: npt.NDArray[np.float64], seed: int
) -> npt.NDArray[np.intp]:
    """Return the fold of each row, in `share`'s proportions."""
    array, _ = as_labels(labels)
    n_samples, n_classes = array.shape
    unit_of = as_groups(groups, n_samples)
    if unit_of is None:
        unit_of = np.arange(n_samples)
    n_units = int(unit_of.max(initial=-1)) + 1
    if n_units < len(share):
        kind = "rows" if groups is None else "groups"
        raise InputError(f"{n_units} {kind} can't fill {len(share)} folds")
    size = np.bincount(unit_of, minlength=n_units)
    positives = np.zeros((n_units, n_classes), dtype=np.int64)
    rows, columns = np.nonzero(array == 1)
    np.add.at(positives, (unit_of[rows], columns), 1)
    known = None
    if array.dtype.kind == "f" and np.isnan(array).any():
        known = np.zeros((n_units, n_classes), dtype=np.int64)
        np.add.at(known, unit_of, ~np.isnan(array))
    return deal(positives, size, known, share, seed)[unit_of]
