"""The scikit-learn face: a classifier that decides by thresholds tuned on out-of-fold scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from mlthresh._arrays import FloatArray, as_sample_weight, to_numpy
from mlthresh._fold_models import (
    answer,
    as_target,
    fit_and_score,
    fit_fold,
    folds_of,
    score_matrix,
)
from mlthresh._metadata import routed, router
from mlthresh._responses import scores_of_folds
from mlthresh.exceptions import InputError
from mlthresh.options import SearchOptions
from mlthresh.splits import Fold
from mlthresh.thresholds import ThresholdSearch

__all__ = ["MultilabelThresholdClassifier"]

_RESPONSES = ("predict_proba", "decision_function")


def _has(method: str) -> Any:
    def check(self: Any) -> bool:
        return hasattr(getattr(self, "estimator_", self.estimator), method)

    return available_if(check)


class MultilabelThresholdClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier with one tuned threshold a class, chosen on out-of-fold scores.

    `fit` scores each row by a copy of `estimator` that was fitted on other rows, searches the
    thresholds on those scores as `ThresholdSearch` does, and fits `estimator` on all rows.
    `predict` is positive where the score reaches its class's threshold.

    Parameters
    ----------
    estimator : classifier
        With `predict_proba` or `decision_function`, and able to fit what `fit` is given:
        `OneVsRestClassifier`, `RandomForestClassifier`, `MLPClassifier`, a pipeline, ...
    cv : int, float, splitter, iterable of (train, test) or "prefit", default 5
        A whole number: that many folds by `multilabel_stratified_kfold`. A number in (0, 1):
        the part held out by one `multilabel_train_test_split`. A row that several splits hold
        out counts once, by its mean score; a row that none does is not used for thresholds.
        "prefit": `estimator` is fitted already, on other data, and `fit` gets rows for the
        thresholds alone.
    response_method : {"auto", "predict_proba", "decision_function"}, default "auto"
        Where scores come from; "auto" takes the first that the estimator has. It also says
        what the scores are: probabilities or "real" numbers (`score_scale`).
    refit : bool, default True
        Fit on all rows in the end. With False and a single split the model of that split is
        kept; "prefit" takes False only.
    n_jobs : int, optional
        Splits fitted at a time, as in scikit-learn.
    random_state : int, RandomState or Generator, optional
        For `cv` as a number; by default the seed 0, so that a fit can be repeated.
    objective, min_recall, min_precision, min_specificity, max_alarm_rate, min_threshold
        As in `ThresholdSearch`.
    max_threshold, confidence, joint, strategy, grid, average, on_infeasible
        As in `ThresholdSearch`. A promise by `confidence` is for a model that is fixed, so it
        takes ``cv="prefit"``, or one split and ``refit=False``.

    Attributes
    ----------
    estimator_ : classifier
        What scores in `predict`.
    thresholds_ : ThresholdSet
        With the class names of a data frame `y`.
    response_method_ : str
        Where scores come from.
    classes_ : list of n_classes arrays, or array of shape (2,)
        The labels, 0 and 1, of each class; of a `y` of one dimension its own two labels.
    n_features_in_, feature_names_in_
        Those of `estimator_`, if it has them.

    Raises
    ------
    InputError
        By `fit`, if `y`, a split or an option is not as described.

    Notes
    -----
    `y` holds 0 and 1 in shape (n_samples, n_classes), as an array, sparse matrix or data frame,
    or has one dimension and two labels of any kind, of which the larger is positive. NaN (not
    recorded) is passed on, for estimators that can be fitted with it. In a split whose training
    rows lack one of a class's labels, no model can learn the class, and the rows held out don't
    count for its threshold.

    `sample_weight` weighs rows both in `estimator` and in the search; `groups` (patients) stay
    together in the folds. With scikit-learn's metadata routing both are routed on request.

    In a grid search say what is to be scored, for example ``scoring="f1_macro"``: `score` is
    scikit-learn's, the share of rows with every label right.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.multiclass import OneVsRestClassifier
    >>> X, y = make_multilabel_classification(n_samples=300, n_classes=4, random_state=0)
    >>> base = OneVsRestClassifier(LogisticRegression())
    >>> tuned = MultilabelThresholdClassifier(base, strategy="pooled").fit(X[:200], y[:200])
    >>> tuned.thresholds_.thresholds.round(2)
    array([0.32, 0.34, 0.36, 0.4 ])
    >>> tuned.predict(X[200:]).shape
    (100, 4)
    """

    def __init__(
        self,
        estimator: Any,
        *,
        cv: Any = 5,
        response_method: str = "auto",
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: Any = None,
        objective: Any = "f1",
        min_recall: Any = None,
        min_precision: Any = None,
        min_specificity: Any = None,
        max_alarm_rate: Any = None,
        min_threshold: Any = None,
        max_threshold: Any = None,
        confidence: float | None = None,
        joint: bool = False,
        strategy: str = "exact",
        grid: Any = None,
        average: str = "macro",
        on_infeasible: str = "closest",
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.response_method = response_method
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.objective = objective
        self.min_recall = min_recall
        self.min_precision = min_precision
        self.min_specificity = min_specificity
        self.max_alarm_rate = max_alarm_rate
        self.min_threshold = min_threshold
        self.max_threshold = max_threshold
        self.confidence = confidence
        self.joint = joint
        self.strategy = strategy
        self.grid = grid
        self.average = average
        self.on_infeasible = on_infeasible

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, **fit_params: Any
    ) -> MultilabelThresholdClassifier:
        """Tune the thresholds on scores of held-out rows, and fit the estimator.

        Parameters
        ----------
        X : what `estimator` takes, n_samples long
        y : array, sparse matrix or frame of shape (n_samples, n_classes), or (n_samples,)
        sample_weight : array of shape (n_samples,), optional
        groups : array of shape (n_samples,), optional
            Patients.
        **fit_params
            For the estimator's `fit`; what has n_samples entries is split with the rows.

        Returns
        -------
        MultilabelThresholdClassifier
            Itself.
        """
        target = as_target(y, as_column=not get_tags(self.estimator).target_tags.single_output)
        X, _ = indexable(X, target.labels)
        weight = as_sample_weight(sample_weight, len(target.labels))
        method = self._response_method()
        search = self._search(method)
        for_fit, for_split = routed(self, weight, groups, fit_params)

        prefit = isinstance(self.cv, str) and self.cv == "prefit"
        if prefit:
            if self.refit:
                raise InputError("cv='prefit' has nothing to refit: pass refit=False")
            check_is_fitted(self.estimator)
            fitted = self.estimator
            rows, labels = np.arange(len(target.labels)), target.labels
            scores = answer(fitted, X, target, method)
        else:
            folds = folds_of(self.cv, X, target, groups, for_split, self.random_state)
            if len(folds) > 1 and not self.refit:
                raise InputError(f"refit=False needs a single split, but cv makes {len(folds)}")
            jobs = (
                delayed(fit_and_score)(
                    self.estimator, X, target, fold, for_fit, method, keep=not self.refit
                )
                for fold in folds
            )
            models, answers = zip(*Parallel(n_jobs=self.n_jobs)(jobs), strict=True)
            rows, labels, scores = scores_of_folds(target.labels, folds, answers, weight)
            [fitted] = models if not self.refit else (None,)
        self.thresholds_ = search.run(
            labels,
            scores,
            sample_weight=None if weight is None else weight[rows],
            groups=_promised(groups, rows) if self.confidence is not None or prefit else None,
            class_names=target.class_names,
        )
        if fitted is None:
            everything = Fold(np.arange(len(target.labels)), rows)
            fitted = fit_fold(self.estimator, X, target, everything, for_fit)
        self.estimator_ = fitted
        self.response_method_ = method
        n_classes = target.labels.shape[1]
        self._binary = target.classes is not None
        self.classes_: Any = target.classes if self._binary else [np.array([0, 1])] * n_classes
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))
            elif hasattr(self, name):  # of an earlier fit
                delattr(self, name)
        return self

    def predict(self, X: Any) -> Any:
        """Decide by the tuned thresholds.

        Returns
        -------
        int array of shape (n_samples, n_classes), or array of labels of shape (n_samples,)
            The latter where `y` had one dimension.
        """
        check_is_fitted(self, "thresholds_")
        decided = self.thresholds_.predict(self._scores(X, self.response_method_)).astype(np.intp)
        return self.classes_[decided[:, 0]] if self._binary else decided

    @_has("predict_proba")
    def predict_proba(self, X: Any) -> Any:
        """Return the estimator's probabilities.

        Returns
        -------
        array of shape (n_samples, n_classes), or (n_samples, 2)
            Of being positive, in one matrix whatever form the estimator gives them in; or of
            either label where `y` had one dimension.
        """
        check_is_fitted(self, "thresholds_")
        scores = self._scores(X, "predict_proba")
        return np.column_stack([1 - scores, scores]) if self._binary else scores

    @_has("decision_function")
    def decision_function(self, X: Any) -> Any:
        """Return the estimator's decision function, as it is: not relative to the thresholds.

        Returns
        -------
        array of shape (n_samples, n_classes), or (n_samples,)
            The latter where `y` had one dimension.
        """
        check_is_fitted(self, "thresholds_")
        scores = self._scores(X, "decision_function")
        return scores[:, 0] if self._binary else scores

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return scikit-learn's accuracy: the share of rows with every label right."""
        return float(super().score(X, y, sample_weight=sample_weight))

    def get_metadata_routing(self) -> MetadataRouter:
        """Return who gets `sample_weight`, `groups` and other metadata of `fit`."""
        return router(self, self.cv)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        base = get_tags(self.estimator)
        tags.input_tags = base.input_tags
        tags.target_tags = replace(base.target_tags, single_output=True)
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.multi_label = (
            base.classifier_tags is None or base.classifier_tags.multi_label
        )
        return tags

    def _scores(self, X: Any, method: str) -> FloatArray:
        target = self.classes_ if self._binary else None
        n_classes = self.thresholds_.n_classes
        return score_matrix(self.estimator_, X, n_classes, target, method)

    def _response_method(self) -> str:
        allowed = _RESPONSES if self.response_method == "auto" else (self.response_method,)
        if not set(allowed) <= set(_RESPONSES):
            raise InputError(
                f"response_method must be one of ('auto', *{_RESPONSES}), "
                f"got {self.response_method!r}"
            )
        for method in allowed:
            if hasattr(self.estimator, method):
                return method
        raise InputError(f"{self.estimator!r} has no {' or '.join(allowed)}")

    def _search(self, method: str) -> ThresholdSearch:
        options = {
            name: getattr(self, name)
            for name in SearchOptions.__annotations__
            if name != "score_scale"
        }
        scale: Any = "probability" if method == "predict_proba" else "real"
        if self.confidence is not None and self.refit:
            raise InputError(
                "confidence promises something of a fixed model, but the thresholds of refit=True "
                "come from other models than the one that is kept; pass refit=False with "
                "cv='prefit' or a single split"
            )
        return ThresholdSearch(score_scale=scale, **options)


def _promised(groups: Any, rows: npt.NDArray[np.intp]) -> Any:
    return None if groups is None else to_numpy(groups, "groups")[0][rows]
