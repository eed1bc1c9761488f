"""Weights of rows by the rarest class that each shows."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import row_blocks, weights_like
from mlthresh._scalars import as_number
from mlthresh.class_counts import count_labels, labels_with_rows
from mlthresh.exceptions import InputError

__all__ = ["NoPositive", "rarest_class_groups", "rarest_class_weights"]

NoPositive: TypeAlias = Literal["most_common", "mean"] | float


def rarest_class_weights(
    labels: Any,
    *,
    power: float = 1.0,
    max_ratio: float | None = None,
    no_positive: NoPositive = "most_common",
) -> Any:
    """Weight each row by the rarest class that it shows: ``(1 / count of that class) ** power``.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN. A missing label counts as not shown: it is in no count and makes no row
        rare, so that a row whose labels are all missing is a row without a positive.
    power : float >= 0
        1 balances fully, 0.5 by square roots, 0 gives every row that shows a class weight 1.
    max_ratio : float >= 1 or None
        Lowers the largest weights until largest / smallest (zeros aside) is at most this.
    no_positive : "most_common", "mean" or a number >= 0
        The weight of a row that shows no class: as if it showed the most frequent class alone;
        the mean weight of the rows that show one; or that number, on the scale of the weights
        after `power`, and 0 to leave such rows out. `max_ratio` applies to it as well.

    Returns
    -------
    array of shape (n_samples,)
        float64; for tensor labels a tensor on their device, float32 unless they are float64. At
        most n_classes + 1 values are distinct.

    Raises
    ------
    InputError
        If an option is outside its domain, or no label is positive while `no_positive` refers to
        the classes.

    Examples
    --------
    >>> labels = [[1, 0], [1, 1], [1, 0], [0, 0]]
    >>> rarest_class_weights(labels).round(3)
    array([0.333, 1.   , 0.333, 0.333])
    >>> rarest_class_weights(labels, max_ratio=2, no_positive=0).round(3)
    array([0.333, 0.667, 0.333, 0.   ])
    """
    group, weight = rarest_class_groups(
        labels, power=power, max_ratio=max_ratio, no_positive=no_positive
    )
    return weights_like(weight[group], labels)


def rarest_class_groups(
    labels: Any, *, power: float, max_ratio: float | None, no_positive: NoPositive
) -> tuple[npt.NDArray[np.unsignedinteger[Any]], npt.NDArray[np.float64]]:
    """Return each row's group (n_samples,) and each group's weight.

    The groups are the distinct counts of positives, from the rarest on, and last the rows
    without a positive: a row's weight as in :func:`rarest_class_weights` is ``weight[group]``.
    A group may be empty.
    """
    power = as_number(power, "power", at_least=0)
    if max_ratio is not None:
        max_ratio = as_number(max_ratio, "max_ratio", at_least=1)
    no_positive = _policy(no_positive)
    array, _ = labels_with_rows(labels)
    n_positive = count_labels(array).n_positive

    shown = np.flatnonzero(n_positive)
    if shown.size == 0 and isinstance(no_positive, str):
        raise InputError(
            f"none of the {array.shape} labels is positive, so no_positive={no_positive!r} has "
            "no class to refer to; give a number"
        )
    rare_first = shown[np.argsort(n_positive[shown])]
    count, group_of_class = np.unique(n_positive[rare_first], return_inverse=True)
    group = _rarest_group(array, rare_first, group_of_class, len(count))
    size = np.bincount(group, minlength=len(count) + 1)

    weight = np.append((1.0 / count) ** power, 0.0)
    if not weight[:-1].all():
        raise InputError(f"power={power} turns 1 / {count[-1]} into 0; choose a smaller power")
    if no_positive == "most_common":
        weight[-1] = weight[-2]
    elif no_positive != "mean":
        weight[-1] = no_positive
    if max_ratio is not None:
        smallest = weight[(size > 0) & (weight > 0)].min(initial=np.inf)
        weight = np.minimum(weight, smallest * max_ratio)
    if no_positive == "mean":  # lies between the others, so it respects max_ratio
        weight[-1] = np.average(weight[:-1], weights=size[:-1])
    return group, weight


def _rarest_group(
    array: npt.NDArray[Any],
    rare_first: npt.NDArray[np.intp],
    group_of_class: npt.NDArray[np.intp],
    no_class: int,
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Return the group of each row's first positive among the columns `rare_first`."""
    group = np.full(len(array), no_class, dtype=np.min_scalar_type(no_class))
    if rare_first.size == 0:
        return group
    for rows in row_blocks(*array.shape):
        shown = array[rows][:, rare_first] == 1
        first = shown.argmax(axis=1)
        np.copyto(group[rows], group_of_class[first], casting="unsafe", where=shown.any(axis=1))
    return group


def _policy(no_positive: Any) -> NoPositive:
    if isinstance(no_positive, str) and no_positive not in ("most_common", "mean"):
        raise InputError(
            f'no_positive must be "most_common", "mean" or a number >= 0, got {no_positive!r}'
        )
    if isinstance(no_positive, str):
        return cast("NoPositive", no_positive)
    return as_number(no_positive, "no_positive", at_least=0)
