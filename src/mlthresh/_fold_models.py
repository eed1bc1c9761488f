"""Copies of a scikit-learn estimator fitted on the rows of a fold, and what they say of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.multiclass import type_of_target

from mlthresh._arrays import FloatArray, as_labels, matched_class_names, to_numpy
from mlthresh._responses import learned_classes, response_matrix
from mlthresh.exceptions import InputError
from mlthresh.splits import Fold, multilabel_stratified_kfold, multilabel_train_test_split

__all__ = ["Target", "answer", "as_target", "fit_and_score", "fit_fold", "folds_of", "score_matrix"]


class Target(NamedTuple):
    """What is to be predicted: for the base estimator, and as labels of shape (n, n_classes).

    `classes` are the two labels of a target of one dimension, ascending; None for indicators.
    """

    y: Any
    labels: npt.NDArray[Any]
    classes: npt.NDArray[Any] | None
    class_names: tuple[str, ...] | None

    def column_name(self, c: int) -> str:
        return f"class {c}" if self.class_names is None else repr(self.class_names[c])


def as_target(y: Any, *, as_column: bool) -> Target:
    """Check y; `as_column` for estimators that take no y of one dimension."""
    if y is None:
        raise InputError("requires y to be passed, but the target y is None")
    array, _ = to_numpy(y.toarray() if hasattr(y, "toarray") else y, "y")
    if array.ndim != 1:
        labels, names = as_labels(y.toarray() if hasattr(y, "toarray") else y, "y")
        if len(labels) < 2:
            raise InputError(f"y has {len(labels)} sample; thresholds take at least two")
        return Target(labels, labels, None, matched_class_names(labels.shape[1], names))
    kind = type_of_target(array, input_name="y")
    if kind != "binary":
        raise InputError(
            "Only binary classification is supported where y has one dimension. "
            f"Unknown label type: {kind}; several classes are 0 and 1 in a matrix"
        )
    classes = np.unique(array)
    if len(classes) < 2:
        raise InputError(f"y holds one class only, {classes.tolist()}; it takes both labels")
    labels = (array == classes[1])[:, None]
    return Target(array[:, None] if as_column else array, labels, classes, None)


def folds_of(
    cv: Any, X: Any, target: Target, groups: Any, for_split: Mapping[str, Any], random_state: Any
) -> list[Fold]:
    """Return the splits that `cv` stands for; `groups` are kept together where it is a number."""
    if isinstance(cv, Real) and not isinstance(cv, bool):
        seed = _seed(random_state)
        if isinstance(cv, Integral):
            by_class = {"n_splits": int(cv), "groups": groups, "seed": seed}
            return list(multilabel_stratified_kfold(target.labels, **by_class))
        share = float(cv)
        return [
            multilabel_train_test_split(target.labels, test_size=share, groups=groups, seed=seed)
        ]
    if isinstance(cv, str) or not (hasattr(cv, "split") or np.iterable(cv)):
        raise InputError(
            "cv must be a number of folds, a part in (0, 1), a splitter, an iterable of "
            f"(train, test) or 'prefit', got {cv!r}"
        )
    by_itself = hasattr(cv, "split")
    splits = cv.split(X, target.y, **for_split) if by_itself else cv
    every = np.arange(len(target.labels))  # turns masks into row numbers
    folds = [Fold(every[train], every[test]) for train, test in splits]
    if not folds:
        raise InputError(f"cv makes no split: {cv!r}")
    return folds


def _seed(random_state: Any) -> int:
    if random_state is None:
        return 0
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return int(random_state)


def fit_and_score(
    estimator: Any,
    X: Any,
    target: Target,
    fold: Fold,
    fit_params: Mapping[str, Any],
    method: str,
    *,
    keep: bool,
) -> tuple[Any, FloatArray]:
    """Return the model of a fold if it is to be kept, and its scores of the rows held out."""
    model = fit_fold(estimator, X, target, fold, fit_params)
    return (model if keep else None), answer(model, _safe_indexing(X, fold.test), target, method)


def fit_fold(
    estimator: Any, X: Any, target: Target, fold: Fold, fit_params: Mapping[str, Any]
) -> Any:
    """Return a copy of the estimator, fitted on the fold's training rows."""
    n_samples = len(target.labels)
    params = {
        name: _safe_indexing(value, fold.train) if _runs_along(value, n_samples) else value
        for name, value in fit_params.items()
    }
    try:
        return clone(estimator).fit(_safe_indexing(X, fold.train), target.y[fold.train], **params)
    except ValueError as error:
        labels = target.labels[fold.train]
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            raise InputError(
                f"y has missing labels (NaN), and {type(estimator).__name__} can't be fitted "
                f"with them: {error}"
            ) from error
        lacking = np.flatnonzero(~learned_classes(labels, None))
        if len(lacking):
            error.add_note(
                f"The {len(labels)} rows of this fit hold one label only of "
                f"{', '.join(target.column_name(int(c)) for c in lacking)}. OneVsRestClassifier "
                "and trees can be fitted so; or drop the classes with too few positives."
            )
        raise


def _runs_along(value: Any, n_samples: int) -> bool:
    """Tell whether a fit parameter has an entry for each row."""
    if isinstance(value, str | Mapping):
        return False
    shape = getattr(value, "shape", None)
    if shape is not None:
        return len(shape) > 0 and shape[0] == n_samples
    return isinstance(value, Sequence) and len(value) == n_samples


def answer(model: Any, X: Any, target: Target, method: str) -> FloatArray:
    return score_matrix(model, X, target.labels.shape[1], target.classes, method)


def score_matrix(model: Any, X: Any, n_classes: int, classes: Any, method: str) -> FloatArray:
    """Return the model's scores of shape (n_samples, n_classes)."""
    matrix: FloatArray = response_matrix(
        getattr(model, method)(X),
        n_classes,
        getattr(model, "classes_", None),
        1 if classes is None else classes[1],
        f"{type(model).__name__}.{method}",
    )
    return matrix
