"""What classifiers answer, as one matrix of scores: a column a class, higher for positives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh.exceptions import InputError
from mlthresh.splits import Fold

__all__ = ["learned_classes", "response_matrix", "scores_of_folds"]


def response_matrix(response: Any, n_classes: int, classes: Any, positive: Any, who: str) -> Any:
    """Return a classifier's answer as an array of shape (n_samples, n_classes).

    Parameters
    ----------
    response : array or list of arrays
        Of shape (n_samples, n_classes); or for each class of shape (n_samples, 2), or
        (n_samples, 1) where the classifier was fitted on one label; or for a single class of
        shape (n_samples,), (n_samples, 1) or (n_samples, 2).
    n_classes : int
    classes : array, list of arrays, or None
        The classifier's `classes_`: which label each column of a class stands for.
    positive : label
        The one whose column counts.
    who : str
        Whose answer it is, for errors.

    Examples
    --------
    >>> both = [np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([[1.0], [1.0]])]
    >>> response_matrix(both, 2, [np.array([0, 1]), np.array([0])], 1, "forest")
    array([[0.1, 0. ],
           [0.6, 0. ]])
    """
    if isinstance(response, list | tuple):
        columns = [np.asarray(one) for one in response]
        labels = classes if _is_one_each(classes, n_classes) else [None] * n_classes
    else:
        array = np.asarray(response)
        if n_classes > 1 and array.ndim == 2 and array.shape[1] == n_classes:
            return array
        # One class alone; scikit-learn says of it what it says of binary problems.
        columns = [array]
        labels = classes if _is_one_each(classes, 1) else [classes]
    if len(columns) != n_classes:
        raise InputError(f"{who} gave {_shapes(response)}; expected {n_classes} classes")
    return np.stack(
        [_positive_column(*one, positive, who) for one in zip(columns, labels, strict=True)], axis=1
    )


def _positive_column(answer: Any, labels: Any, positive: Any, who: str) -> Any:
    if answer.ndim == 1:
        return answer
    known = None if labels is None else np.asarray(labels)
    if known is not None and known.ndim == 1 and answer.shape[1:] == known.shape:
        column = np.flatnonzero(known == positive)
        return answer[:, column[0]] if len(column) else np.zeros_like(answer[:, 0])
    if answer.ndim == 2 and answer.shape[1] in (1, 2):
        return answer[:, -1]
    raise InputError(f"{who} gave shape {answer.shape} for a class; expected two columns or one")


def _is_one_each(classes: Any, n_classes: int) -> bool:
    """Tell whether `classes` lists the labels of each class, as multi-output estimators do."""
    return isinstance(classes, list) and len(classes) == n_classes and np.ndim(classes[0]) == 1


def _shapes(response: Any) -> str:
    if isinstance(response, list | tuple):
        return f"{len(response)} arrays"
    return f"shape {np.shape(response)}"


def learned_classes(
    labels: npt.NDArray[Any], weight: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.bool_]:
    """Tell for each class whether these rows hold a positive and a negative that count."""
    if weight is not None:
        labels = labels[weight > 0]
    both: npt.NDArray[np.bool_] = (labels == 1).any(axis=0) & (labels == 0).any(axis=0)
    return both


def scores_of_folds(
    labels: npt.NDArray[Any],
    folds: Sequence[Fold],
    scores: Iterable[FloatArray],
    weight: npt.NDArray[np.float64] | None = None,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], FloatArray]:
    """Return the rows that were held out, their labels and their scores.

    A model that was fitted without a positive, or without a negative, of a class has not learned
    it. What it says of the class doesn't count: its rows' labels are missing (NaN) there.
    A row held out several times has the mean of its scores.
    """
    dtype: Any = None
    total, times = np.zeros(labels.shape), np.zeros(labels.shape, dtype=np.intp)
    held_out = np.zeros(len(labels), dtype=bool)
    for fold, answer in zip(folds, scores, strict=True):
        learned = learned_classes(
            labels[fold.train], None if weight is None else weight[fold.train]
        )
        columns = np.flatnonzero(learned)
        at = np.ix_(fold.test, columns)
        total[at] += answer[:, columns]
        times[at] += 1
        held_out[fold.test] = True
        dtype = answer.dtype if dtype is None else np.result_type(dtype, answer.dtype)
    rows = np.flatnonzero(held_out)
    total, times = total[rows], times[rows]
    kept = np.where(times > 0, labels[rows].astype(np.float64), np.nan)
    dtype = dtype if dtype.kind == "f" and dtype.itemsize >= 4 else np.dtype(np.float64)
    mean: FloatArray = (total / np.maximum(times, 1)).astype(dtype)
    return rows, kept, mean
