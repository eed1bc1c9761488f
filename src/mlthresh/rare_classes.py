"""Labels without their rarest classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import as_labels, convert_like, is_tensor, matched_class_names
from mlthresh._scalars import as_integer
from mlthresh.class_counts import count_labels
from mlthresh.exceptions import InputError

__all__ = ["ReducedLabels", "drop_rare_classes"]


class ReducedLabels(NamedTuple):
    """What :func:`drop_rare_classes` kept, and the positives of each class that it took out."""

    labels: Any
    class_names: tuple[str, ...]
    dropped: dict[str, int]


def drop_rare_classes(
    labels: Any,
    class_names: Sequence[str] | None = None,
    *,
    min_count: int = 20,
    merge_into: str | None = None,
) -> ReducedLabels:
    """Keep the classes with at least `min_count` positive labels.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN (missing), the training labels as a rule.
    class_names : sequence of str, optional
        One name for each column; a frame brings its own.
    min_count : int >= 0
        The fewest positives that a class is kept with.
    merge_into : str, optional
        Merge what is dropped into one class of this name instead: positive where any of its
        classes is, else missing where any of them is missing, else negative. It becomes the last
        class, or stays at its place where the labels already have a class of this name, and is
        kept whatever its count. Nothing to drop: nothing is added.

    Returns
    -------
    ReducedLabels
        ``labels`` (a tensor for a tensor, else an array, in the same dtype), ``class_names``,
        and ``dropped``: the count of each class that was dropped or merged away.

    Raises
    ------
    InputError
        If no class would be left, or the names do not fit the labels.

    Examples
    --------
    >>> train = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0]])
    >>> reduced = drop_rare_classes(train, ["DR", "CME", "VH"], min_count=2)
    >>> reduced.class_names, reduced.dropped
    (('DR',), {'CME': 1, 'VH': 1})
    >>> drop_rare_classes(train, ["DR", "CME", "VH"], min_count=2, merge_into="OTHER").labels
    array([[1, 0],
           [1, 1],
           [0, 1]])
    """
    min_count = as_integer(min_count, "min_count", 0)
    array, columns = as_labels(labels)
    names = matched_class_names(array.shape[1], class_names, columns)
    if names is None:
        raise InputError("class_names is needed, since the labels are not a frame with columns")
    n_positive = count_labels(array).n_positive
    dropped = {
        name: int(count)
        for name, count in zip(names, n_positive, strict=True)
        if count < min_count and name != merge_into
    }
    kept = [name for name in names if name not in dropped]
    if merge_into is None or not dropped:
        if not kept:
            raise InputError(
                f"no class has min_count={min_count} positives; the most frequent has "
                f"{n_positive.max()}"
            )
        reduced = array[:, [names.index(name) for name in kept]]
    else:
        if merge_into not in kept:
            kept.append(merge_into)
        merged = [i for i, name in enumerate(names) if name in dropped or name == merge_into]
        # the merged class's own column is written below, so any column can hold its place
        reduced = array[:, [names.index(name) if name in names else 0 for name in kept]]
        reduced[:, kept.index(merge_into)] = _any_positive(array[:, merged])
    return ReducedLabels(_labels_like(reduced, labels), tuple(kept), dropped)


def _any_positive(columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return 1 where any column is 1, else NaN where any is NaN, else 0."""
    positive = (columns == 1).any(axis=1)
    return cast("npt.NDArray[Any]", np.where(positive, columns.dtype.type(1), columns.max(axis=1)))


def _labels_like(array: npt.NDArray[Any], labels: Any) -> Any:
    if is_tensor(labels):
        return convert_like(array, labels).to(labels.dtype)
    return array.astype(labels.dtype, copy=False) if isinstance(labels, np.ndarray) else array
