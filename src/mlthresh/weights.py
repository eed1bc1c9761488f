"""Weights of classes that follow from how often each is positive."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import is_tensor, to_numpy, weights_like
from mlthresh._scalars import as_number
from mlthresh.class_counts import count_labels, labels_with_rows
from mlthresh.exceptions import InputError

__all__ = ["clamp_pos_weight", "compute_pos_weight", "effective_number_weights"]


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
        float64; for tensor labels a tensor on their device, float32 unless they are float64.

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
    array, columns = labels_with_rows(labels)
    n_samples, n_positive = count_labels(array)
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
    return weights_like(np.minimum(ratio, cap), labels)


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
    return np.minimum(array, cap)


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
        float64; for tensor labels a tensor on their device, float32 unless they are float64.

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
    array, columns = labels_with_rows(labels)
    n_positive = count_labels(array).n_positive
    if (n_positive == 0).any():
        raise InputError(
            "these classes have no positive label, and no effective number: "
            f"{_listed(n_positive == 0, columns)}"
        )
    # 1 - beta ** n, without the cancellation that a beta near 1 would bring
    log_beta = math.log1p(beta - 1) if beta > 0 else -np.inf
    inverse = 1 / -np.expm1(n_positive * log_beta)  # but for a factor that the sum cancels
    return weights_like(inverse * (len(inverse) / inverse.sum()), labels)


def _listed(mask: npt.NDArray[np.bool_], names: tuple[str, ...] | None) -> str:
    classes = [int(i) for i in np.flatnonzero(mask)]
    return ", ".join(f"{i} ({names[i]!r})" if names else f"column {i}" for i in classes)
