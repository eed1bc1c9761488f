"""Multi-label stratified splits that keep patients together and allow missing labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import as_groups, as_labels
from mlthresh._scalars import as_integer
from mlthresh.exceptions import InputError

__all__ = ["Fold", "multilabel_stratified_kfold", "multilabel_train_test_split"]

IndexArray = npt.NDArray[np.intp]


class Fold(NamedTuple):
    """Row numbers of one split, ascending."""

    train: IndexArray
    test: IndexArray


def multilabel_stratified_kfold(
    labels: Any, *, n_splits: int = 5, groups: Any = None, seed: int = 0
) -> Iterator[Fold]:
    """Split rows into folds that share out every class's positives as evenly as can be.

    Iterative stratification: the class with the fewest positives not yet dealt is dealt first,
    each of its rows to the fold that still lacks most of that class.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN. A missing label counts as neither.
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
    K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the stratification of multi-label data",
    ECML PKDD 2011.

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
    # A unit's positives by class, and its rows, which every fold should get its part of too.
    size = np.bincount(unit_of, minlength=n_units)
    positives = np.zeros((n_units, n_classes), dtype=np.int64)
    rows, columns = np.nonzero(array == 1)
    np.add.at(positives, (unit_of[rows], columns), 1)

    rng = np.random.default_rng(seed)
    lacking = share[:, None] * positives.sum(axis=0)
    lacking_rows = share * n_samples
    fold_of = np.full(n_units, -1, dtype=np.intp)
    order = rng.permutation(n_units)
    order = order[np.argsort(-size[order], kind="stable")]  # large patients while there is room
    left = positives.sum(axis=0)
    while left.any():
        rarest = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        for unit in order[(positives[order, rarest] > 0) & (fold_of[order] < 0)]:
            fold = _neediest(lacking[:, rarest], lacking_rows, rng)
            fold_of[unit] = fold
            lacking[fold] -= positives[unit]
            lacking_rows[fold] -= size[unit]
            left -= positives[unit]
    for unit in order[fold_of[order] < 0]:
        fold = _neediest(lacking_rows, lacking_rows, rng)
        fold_of[unit] = fold
        lacking_rows[fold] -= size[unit]
    # A few large groups can leave a fold without any; the smallest that can be spared goes there.
    for empty in np.flatnonzero(np.bincount(fold_of, minlength=len(share)) == 0):
        spare = np.bincount(fold_of, minlength=len(share))[fold_of] > 1
        fold_of[np.argmin(np.where(spare, size, n_samples + 1))] = empty
    return fold_of[unit_of]


def _neediest(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], rng: np.random.Generator
) -> int:
    """Return the fold that lacks most; of equals the one lacking most rows, then by lot."""
    best = np.flatnonzero(first >= first.max() - 1e-9)
    if len(best) > 1:
        rest = second[best]
        best = best[rest >= rest.max() - 1e-9]
    return int(best[0] if len(best) == 1 else rng.choice(best))
