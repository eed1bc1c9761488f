"""Class counts, and the weights of classes and of rows that follow from them.

A missing label (NaN) is neither positive nor negative: it leaves the counts of its class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import (
    _row_blocks,
    as_labels,
    convert_like,
    is_tensor,
    matched_class_names,
    to_numpy,
)
from mlthresh._scalars import as_integer, as_number
from mlthresh.exceptions import InputError

__all__ = [
    "ClassCounts",
    "NoPositive",
    "ReducedLabels",
    "clamp_pos_weight",
    "compute_pos_weight",
    "count_classes",
    "drop_rare_classes",
    "effective_number_weights",
    "rarest_class_groups",
    "rarest_class_weights",
]

NoPositive: TypeAlias = Literal["most_common", "mean"] | float


class ClassCounts(NamedTuple):
    """Known labels and positive labels of each class, both int64 arrays of shape (n_classes,)."""

    n_samples: npt.NDArray[np.int64]
    n_positive: npt.NDArray[np.int64]


class ReducedLabels(NamedTuple):
    """What :func:`drop_rare_classes` kept, and the positives of each class that it took out."""

    labels: Any
    class_names: tuple[str, ...]
    dropped: dict[str, int]


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
    return _count(as_labels(labels)[0])


def compute_pos_weight(labels: Any, *, max_pos_weight: float | None = 10.0) -> Any:
    """Weight the positives of each class by negatives over positives, up to a cap.

    With n positives among the N known labels of a class,
    ``pos_weight = min((N - n) / n, max_pos_weight)``.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN (missing).
    max_pos_weight : float > 0 or None
        The cap. A class without positives gets the cap. None: unlimited; a class without
        positives then raises, since an infinite weight turns a loss into NaN.

    Returns
    -------
    array of shape (n_classes,)
        float64; for tensor labels a float32 tensor on their device.

    Raises
    ------
    InputError
        If a class has positives and no negative: a weight of 0 would take it out of the loss
        without a word. Drop such a class, or give its weight yourself.

    Examples
    --------
    >>> labels = np.zeros((480, 2), dtype=np.uint8)
    >>> labels[:160, 0] = 1
    >>> labels[0, 1] = 1
    >>> compute_pos_weight(labels)
    array([ 2., 10.])
    >>> compute_pos_weight(labels, max_pos_weight=None)
    array([  2., 479.])
    """
    cap = np.inf if max_pos_weight is None else as_number(max_pos_weight, "max_pos_weight", above=0)
    array, columns = _labels_with_rows(labels)
    n_samples, n_positive = _count(array)
    n_negative = n_samples - n_positive
    without_negative = (n_negative == 0) & (n_positive > 0)
    if without_negative.any():
        raise InputError(
            "these classes have positive labels only, and their pos_weight would be 0: "
            f"{_listed(without_negative, columns)}"
        )
    without_positive = n_positive == 0
    if without_positive.any() and max_pos_weight is None:
        raise InputError(
            "these classes have no positive label, and their pos_weight would be infinite: "
            f"{_listed(without_positive, columns)}; drop them or set max_pos_weight"
        )
    ratio = np.full(n_samples.shape, np.inf)
    np.divide(n_negative, n_positive, out=ratio, where=~without_positive)
    return _weights_like(np.minimum(ratio, cap), labels)


def clamp_pos_weight(pos_weight: Any, max_pos_weight: float = 10.0) -> Any:
    """Cap positive-class weights: ``min(pos_weight, max_pos_weight)``, elementwise.

    Parameters
    ----------
    pos_weight : array or tensor of any shape
        Weights >= 0; infinity (a class without positives) becomes the cap.
    max_pos_weight : float > 0
        The cap, finite.

    Returns
    -------
    array or tensor
        Like `pos_weight`: library, shape, dtype and device. Integers become floats, since the
        cap may not be one. The input is left as it was.

    Raises
    ------
    InputError
        If a weight is NaN or negative, or the cap is not a positive finite number.

    Examples
    --------
    >>> clamp_pos_weight([2.0, 479.0, float("inf")])
    array([ 2., 10., 10.])
    """
    cap = as_number(max_pos_weight, "max_pos_weight", above=0)
    array = to_numpy(pos_weight, "pos_weight")[0]
    if array.dtype.kind not in "iuf":
        raise InputError(f"pos_weight must be numeric, got dtype {array.dtype}")
    bad = ~(array >= 0)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(f"pos_weight{list(where)} is {array[where]}; a pos_weight is 0 or more")
    if is_tensor(pos_weight):
        return (pos_weight if pos_weight.is_floating_point() else pos_weight.float()).clamp(max=cap)
    return np.minimum(array if array.dtype.kind == "f" else array.astype(np.float64), cap)


def effective_number_weights(labels: Any, *, beta: float = 0.999) -> Any:
    """Weight classes by the inverse of their effective number of positives.

    A class with n positives has the effective number ``E = (1 - beta**n) / (1 - beta)``, between
    1 and n; the weights are proportional to ``1 / E`` and sum to the number of classes.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN (missing).
    beta : float in [0, 1)
        0 gives equal weights; toward 1 they tend to inverse frequencies.

    Returns
    -------
    array of shape (n_classes,)
        float64; for tensor labels a float32 tensor on their device.

    Raises
    ------
    InputError
        If a class has no positive, or `beta` is outside its domain.

    References
    ----------
    Cui, Jia, Lin, Song, Belongie (2019), "Class-balanced loss based on effective number of
    samples", CVPR.

    Examples
    --------
    >>> effective_number_weights([[1, 0], [1, 0], [1, 1]], beta=0.5).round(3)
    array([0.727, 1.273])
    """
    beta = as_number(beta, "beta", at_least=0)
    if beta >= 1:
        raise InputError(f"beta must be below 1, got {beta}")
    array, columns = _labels_with_rows(labels)
    n_positive = _count(array).n_positive
    if (n_positive == 0).any():
        raise InputError(
            "these classes have no positive label, and no effective number: "
            f"{_listed(n_positive == 0, columns)}"
        )
    # 1 - beta ** n, without the cancellation that a beta near 1 would bring
    log_beta = math.log1p(beta - 1) if beta > 0 else -np.inf
    inverse = (1 - beta) / -np.expm1(n_positive * log_beta)
    return _weights_like(inverse * (len(inverse) / inverse.sum()), labels)


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
        float64; for tensor labels a float32 tensor on their device. At most n_classes + 1
        values are distinct.

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
    return _weights_like(weight[group], labels)


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
    array, _ = _labels_with_rows(labels)
    n_positive = _count(array).n_positive

    shown = np.flatnonzero(n_positive)
    if shown.size == 0 and isinstance(no_positive, str):
        raise InputError(
            f"none of the {array.shape} labels is positive, so no_positive={no_positive!r} has "
            "no class to refer to; give a number"
        )
    rare_first = shown[np.argsort(n_positive[shown], kind="stable")]
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
    n_positive = _count(array).n_positive
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


def _labels_with_rows(labels: Any) -> tuple[npt.NDArray[Any], tuple[str, ...] | None]:
    array, columns = as_labels(labels)
    if len(array) == 0:
        raise InputError(f"labels has no rows to count: shape {array.shape}")
    return array, columns


def _count(array: npt.NDArray[Any]) -> ClassCounts:
    n_samples = np.full(array.shape[1], len(array), dtype=np.int64)
    n_positive = np.zeros(array.shape[1], dtype=np.int64)
    for rows in _row_blocks(*array.shape):
        block = array[rows]
        n_positive += np.count_nonzero(block == 1, axis=0)
        if array.dtype.kind == "f":
            n_samples -= np.count_nonzero(np.isnan(block), axis=0)
    return ClassCounts(n_samples, n_positive)


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
    for rows in _row_blocks(*array.shape):
        shown = array[rows][:, rare_first] == 1
        first = shown.argmax(axis=1)
        np.copyto(group[rows], group_of_class[first], casting="unsafe", where=shown.any(axis=1))
    return group


def _any_positive(columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return 1 where any column is 1, else NaN where any is NaN, else 0."""
    positive = (columns == 1).any(axis=1)
    return cast("npt.NDArray[Any]", np.where(positive, columns.dtype.type(1), columns.max(axis=1)))


def _listed(mask: npt.NDArray[np.bool_], names: tuple[str, ...] | None) -> str:
    classes = [int(i) for i in np.flatnonzero(mask)]
    return ", ".join(f"{i} ({names[i]!r})" if names else f"column {i}" for i in classes)


def _policy(no_positive: Any) -> NoPositive:
    if isinstance(no_positive, str) and no_positive not in ("most_common", "mean"):
        raise InputError(
            f'no_positive must be "most_common", "mean" or a number >= 0, got {no_positive!r}'
        )
    if isinstance(no_positive, str):
        return cast("NoPositive", no_positive)
    return as_number(no_positive, "no_positive", at_least=0)


def _weights_like(weights: npt.NDArray[np.float64], labels: Any) -> Any:
    # float32 suits the losses and loaders that take a tensor, and exists on every device
    return convert_like(weights.astype(np.float32), labels) if is_tensor(labels) else weights


def _labels_like(array: npt.NDArray[Any], labels: Any) -> Any:
    if is_tensor(labels):
        return convert_like(array, labels).to(labels.dtype)
    return array.astype(labels.dtype, copy=False) if isinstance(labels, np.ndarray) else array
