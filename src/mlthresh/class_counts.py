"""How often each class is known and positive.

A missing label (NaN) is neither positive nor negative: it leaves the counts of its class.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import as_labels, row_blocks
from mlthresh.exceptions import InputError

__all__ = ["ClassCounts", "Int64Array", "count_classes", "count_labels", "labels_with_rows"]

Int64Array: TypeAlias = npt.NDArray[np.int64]


class ClassCounts(NamedTuple):
    """Known labels and positive labels of each class, both int64 arrays of shape (n_classes,)."""

    n_samples: Int64Array
    n_positive: Int64Array


def count_classes(labels: Any) -> ClassCounts:
    """Count the known and the positive labels of each class.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN (missing).

    Returns
    -------
    ClassCounts
        `n_samples` and `n_positive`, NumPy arrays whatever the labels are.

    Raises
    ------
    InputError
        If the labels are not such a matrix.

    Examples
    --------
    >>> counts = count_classes([[1, 0], [1, float("nan")], [0, 1]])
    >>> counts.n_samples, counts.n_positive
    (array([3, 2]), array([2, 1]))
    """
    return count_labels(as_labels(labels)[0])


def labels_with_rows(labels: Any) -> tuple[npt.NDArray[Any], tuple[str, ...] | None]:
    """Return checked labels and a frame's column names; without a row, raise."""
    array, columns = as_labels(labels)
    if len(array) == 0:
        raise InputError(f"labels has no rows to count: shape {array.shape}")
    return array, columns


def count_labels(array: npt.NDArray[Any]) -> ClassCounts:
    """Count the known and the positive labels of a checked matrix."""
    n_samples = np.full(array.shape[1], len(array), dtype=np.int64)
    n_positive = np.zeros(array.shape[1], dtype=np.int64)
    for rows in row_blocks(*array.shape):
        block = array[rows]
        n_positive += np.count_nonzero(block == 1, axis=0)
        if array.dtype.kind == "f":
            n_samples -= np.count_nonzero(np.isnan(block), axis=0)
    return ClassCounts(n_samples, n_positive)
