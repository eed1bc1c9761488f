"""Honest figures for tuned thresholds: cross-fitting, and the bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from mlthresh._arrays import as_groups, as_labels, as_sample_weight, as_scores, matched_class_names
from mlthresh._scalars import as_integer
from mlthresh.certify import check_confidence
from mlthresh.counts import Counts
from mlthresh.objectives import ratio
from mlthresh.options import SearchOptions
from mlthresh.splits import multilabel_stratified_kfold
from mlthresh.threshold_set import ThresholdSet
from mlthresh.thresholds import ThresholdSearch

__all__ = ["BootstrapResult", "CrossFitResult", "bootstrap_thresholds", "cross_fit_thresholds"]

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossFitResult:
    """What tuned thresholds reach on samples that did not tune them.

    Attributes
    ----------
    threshold_set : ThresholdSet
        Found on all rows: the one to use. Its own figures are apparent.
    fold_thresholds : array of shape (n_repeats * n_splits, n_classes)
        Found on each training part.
    tp, fp, fn, tn : float arrays of shape (n_repeats, n_classes)
        Held-out counts, pooled over the folds of a repeat.
    precision, recall, f1 : float arrays of shape (n_classes,)
        Of the pooled counts, averaged over repeats; 0 where a rate is 0/0.
    macro_f1, micro_f1 : float
        Mean of `f1` over classes with a positive; F1 of the counts summed over classes.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.tile([[1], [0]], (10, 1))
    >>> result = cross_fit_thresholds(labels, labels * 0.5 + 0.2, n_splits=2)
    >>> result.f1, result.macro_f1
    (array([1.]), 1.0)
    """

    threshold_set: ThresholdSet
    fold_thresholds: npt.NDArray[np.floating[Any]]
    tp: Float64Array
    fp: Float64Array
    fn: Float64Array
    tn: Float64Array

    @property
    def precision(self) -> Float64Array:
        """Precision of each class."""
        return _mean(ratio(self.tp, self.tp + self.fp))

    @property
    def recall(self) -> Float64Array:
        """Recall of each class."""
        return _mean(ratio(self.tp, self.tp + self.fn))

    @property
    def f1(self) -> Float64Array:
        """F1 of each class."""
        return _mean(ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn))

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that have a positive; NaN without any."""
        has_positive = self.threshold_set.support > 0
        return float(self.f1[has_positive].mean()) if has_positive.any() else float("nan")

    @property
    def micro_f1(self) -> float:
        """F1 of the counts summed over classes."""
        tp, wrong = self.tp.sum(axis=1), (self.fp + self.fn).sum(axis=1)
        return float(ratio(2 * tp, 2 * tp + wrong).mean())


def cross_fit_thresholds(
    y_true: Any,
    y_score: Any,
    *,
    n_splits: int = 5,
    n_repeats: int = 1,
    sample_weight: Any = None,
    groups: Any = None,
    class_names: Sequence[str] | None = None,
    rng: int | np.random.Generator | None = None,
    **options: Unpack[SearchOptions],
) -> CrossFitResult:
    """Tune thresholds on all rows, and measure the tuning on rows held out from it.

    Rows are split into folds, stratified by label. Each fold is decided by thresholds found on
    the others, and the held-out counts of all folds are pooled before a rate is formed, since
    a fold may hold no positive of a rare class.

    Parameters
    ----------
    y_true, y_score, sample_weight, class_names
        As for `find_optimal_thresholds`.
    n_splits : int, default 5
        Folds, at least 2.
    n_repeats : int, default 1
        Times that the rows are split anew.
    groups : array of shape (n_samples,), optional
        Patients, kept together in a fold; with `confidence` they are its units too.
    rng : int or numpy.random.Generator, optional
        For the splits; by default the seed 0.
    **options
        As for `find_optimal_thresholds`.

    Returns
    -------
    CrossFitResult

    Raises
    ------
    InputError
        If an argument is not as described.

    Notes
    -----
    The figures are for thresholds found on 1 - 1 / n_splits of the rows, so they tend to be a
    little low. They say nothing about the choice of the model by the same rows.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y_true = rng.random((60, 1)) < 0.1
    >>> y_score = rng.random((60, 1)) + 0.3 * y_true
    >>> result = cross_fit_thresholds(y_true, y_score)
    >>> bool(result.macro_f1 < result.threshold_set.f1[0])  # the apparent value flatters
    True
    """
    search = ThresholdSearch(**options)
    n_repeats = as_integer(n_repeats, "n_repeats", 1)
    labels, label_columns = as_labels(y_true, "y_true")
    scores, score_columns = as_scores(y_score, labels.shape)
    n_samples, n_classes = labels.shape
    weight = as_sample_weight(sample_weight, n_samples)
    names = matched_class_names(n_classes, class_names, label_columns, score_columns)
    units = as_groups(groups, n_samples)
    promised = units if search.confidence is not None else None
    generator = np.random.default_rng(0 if rng is None else rng)

    def tune(rows: Any) -> ThresholdSet:
        return search.run(
            labels[rows],
            scores[rows],
            sample_weight=None if weight is None else weight[rows],
            groups=None if promised is None else promised[rows],
            class_names=names,
        )

    fold_thresholds = []
    counts = np.zeros((4, n_repeats, n_classes))
    for repeat in range(n_repeats):
        decided = np.empty(labels.shape, dtype=bool)
        seed = int(generator.integers(2**63))
        for fold in multilabel_stratified_kfold(labels, n_splits=n_splits, groups=units, seed=seed):
            found = tune(fold.train)
            fold_thresholds.append(found.thresholds)
            decided[fold.test] = scores[fold.test] >= found.thresholds
        counts[:, repeat] = _counts(decided, labels, weight)
    tp, fp, fn, tn = counts
    return CrossFitResult(
        threshold_set=tune(slice(None)),
        fold_thresholds=np.array(fold_thresholds),
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class BootstrapResult:
    """How far thresholds, and figures at fixed thresholds, move when the rows are drawn anew.

    Attributes
    ----------
    threshold_set : ThresholdSet
        Found on all rows.
    thresholds : array of shape (n_resamples, n_classes)
        Found anew on each resample.
    precision, recall, f1 : float arrays of shape (n_resamples, n_classes)
        On each resample, at the thresholds of `threshold_set`; NaN where a rate is 0/0.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.tile([[1], [0]], (10, 1))
    >>> result = bootstrap_thresholds(labels, labels * 0.5 + 0.2, n_resamples=20)
    >>> result.interval("recall", confidence=0.9)
    array([[1., 1.]])
    """

    threshold_set: ThresholdSet
    thresholds: npt.NDArray[np.floating[Any]]
    precision: Float64Array
    recall: Float64Array
    f1: Float64Array

    def interval(self, figure: str, confidence: float = 0.95) -> Float64Array:
        """Return percentile intervals of a figure for each class.

        Parameters
        ----------
        figure : {"thresholds", "precision", "recall", "f1"}
        confidence : float, default 0.95
            In (0, 1).

        Returns
        -------
        array of shape (n_classes, 2)
            NaN for a class whose figure no resample defines. An end may be infinite where
            resamples lost every positive.
        """
        check_confidence(confidence)
        draws = getattr(self, figure)
        tail = (1 - confidence) / 2
        interval = np.full((draws.shape[1], 2), np.nan)
        for c, column in enumerate(draws.T):
            known = column[~np.isnan(column)]
            if len(known):
                # Order statistics, since a mean with infinity says nothing.
                interval[c] = np.quantile(known, [tail, 1 - tail], method="nearest")
        return interval


def bootstrap_thresholds(
    y_true: Any,
    y_score: Any,
    *,
    n_resamples: int = 200,
    groups: Any = None,
    class_names: Sequence[str] | None = None,
    rng: int | np.random.Generator | None = None,
    **options: Unpack[SearchOptions],
) -> BootstrapResult:
    """Redraw the rows with replacement, to see how far thresholds and figures move.

    Thresholds are found anew on each resample. Precision, recall and F1 are measured on each
    resample at the thresholds found on all rows, which stay fixed.

    Parameters
    ----------
    y_true, y_score, class_names
        As for `find_optimal_thresholds`.
    n_resamples : int, default 200
        At least 1.
    groups : array of shape (n_samples,), optional
        Patients: drawn whole.
    rng : int or numpy.random.Generator, optional
        For the draws; by default the seed 0.
    **options
        As for `find_optimal_thresholds`.

    Returns
    -------
    BootstrapResult

    Raises
    ------
    InputError
        If an argument is not as described.

    Notes
    -----
    The intervals of figures are for the thresholds as they are, on data like this; tuning on
    the same rows flatters their centre, which `cross_fit_thresholds` does not.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y_true = rng.random((60, 1)) < 0.3
    >>> y_score = rng.random((60, 1)) + y_true
    >>> result = bootstrap_thresholds(y_true, y_score, n_resamples=50)
    >>> result.interval("f1").shape
    (1, 2)
    """
    search = ThresholdSearch(**options)
    n_resamples = as_integer(n_resamples, "n_resamples", 1)
    labels, label_columns = as_labels(y_true, "y_true")
    scores, score_columns = as_scores(y_score, labels.shape)
    n_samples, n_classes = labels.shape
    names = matched_class_names(n_classes, class_names, label_columns, score_columns)
    units = as_groups(groups, n_samples)
    promised = units if search.confidence is not None else None
    found = search.run(labels, scores, groups=promised, class_names=names)
    decided = scores >= found.thresholds

    generator = np.random.default_rng(0 if rng is None else rng)
    thresholds = np.empty((n_resamples, n_classes), dtype=scores.dtype)
    counts = np.empty((4, n_resamples, n_classes))
    for i in range(n_resamples):
        rows, drawn_unit = _draw(generator, n_samples, units)
        again = search.run(
            labels[rows], scores[rows], groups=None if promised is None else drawn_unit
        )
        thresholds[i] = again.thresholds
        counts[:, i] = _counts(decided[rows], labels[rows], None)
    tp, fp, fn, _ = counts
    with np.errstate(invalid="ignore"):  # 0/0 is NaN
        return BootstrapResult(
            threshold_set=found,
            thresholds=thresholds,
            precision=tp / (tp + fp),
            recall=tp / (tp + fn),
            f1=2 * tp / (2 * tp + fp + fn),
        )


def _draw(
    rng: np.random.Generator, n_samples: int, units: npt.NDArray[np.intp] | None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return rows drawn with replacement, whole units if given, and the draw each came by.

    A unit drawn twice counts as two.
    """
    if units is None:
        return rng.integers(n_samples, size=n_samples), np.arange(n_samples)
    by_unit = np.argsort(units, kind="stable")
    size = np.bincount(units)
    start = np.cumsum(size) - size
    drawn = rng.integers(len(size), size=len(size))
    draw = np.repeat(np.arange(len(drawn)), size[drawn])
    within = np.arange(len(draw)) - np.repeat(np.cumsum(size[drawn]) - size[drawn], size[drawn])
    return by_unit[start[drawn][draw] + within], draw


def _counts(
    decided: npt.NDArray[np.bool_],
    labels: npt.NDArray[Any],
    weight: npt.NDArray[np.float64] | None,
) -> Counts:
    positive, negative = labels == 1, labels == 0
    rows = np.ones(len(labels)) if weight is None else weight
    return Counts(
        rows @ (positive & decided),
        rows @ (negative & decided),
        rows @ (positive & ~decided),
        rows @ (negative & ~decided),
    )


def _mean(by_repeat: Float64Array) -> Float64Array:
    mean: Float64Array = by_repeat.mean(axis=0)
    return mean
