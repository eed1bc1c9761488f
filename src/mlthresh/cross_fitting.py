"""Cross-fitting: what tuned thresholds reach on rows that did not tune them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from mlthresh._arrays import shown_names
from mlthresh._intervals import Float64Array
from mlthresh._scalars import as_integer
from mlthresh._tables import Section, TabledReport
from mlthresh._tuning import TuningRows
from mlthresh.objectives import ratio
from mlthresh.options import SearchOptions
from mlthresh.splits import multilabel_stratified_kfold
from mlthresh.threshold_set import ThresholdSet
from mlthresh.thresholds import ThresholdSearch

__all__ = ["CrossFitResult", "cross_fit_thresholds"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class CrossFitResult(TabledReport):
    """What tuned thresholds reach on samples that did not tune them; prints as a table.

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

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values: held-out figures beside the apparent F1 of each class."""
        found, n_repeats = self.threshold_set, len(self.tp)
        columns = {
            "threshold": found.thresholds,
            "fold_thresholds": self.fold_thresholds.T,
            "positives": found.support,
            "recall": self.recall,
            "precision": self.precision,
            "f1": self.f1,
            "apparent_f1": found.f1,
        }
        names = shown_names(found.class_names, found.n_classes)
        return {
            "n_splits": len(self.fold_thresholds) // n_repeats,
            "n_repeats": n_repeats,
            "macro_f1": self.macro_f1,
            "micro_f1": self.micro_f1,
            "classes": [
                {"name": name, **{key: values[c].tolist() for key, values in columns.items()}}
                for c, name in enumerate(names)
            ],
        }

    def _sections(self) -> list[Section]:
        content = self.to_dict()
        header = ("class", "positives", "threshold", "recall", "precision", "F1", "apparent F1")
        rows = [
            [
                *(one["name"], str(one["positives"]), f"{one['threshold']:.4g}"),
                *(f"{one[key]:.3f}" for key in ("recall", "precision", "f1", "apparent_f1")),
            ]
            for one in sorted(content["classes"], key=lambda one: -one["positives"])
        ]
        with_positives = self.threshold_set.support > 0
        held_out, apparent = "-", "-"
        if with_positives.any():
            held_out = f"{self.macro_f1:.3f}"
            apparent = f"{self.threshold_set.f1[with_positives].mean():.3f}"
        rows.append(["macro average", "", "", "", "", held_out, apparent])
        rows.append(["micro average", "", "", "", "", f"{self.micro_f1:.3f}", ""])
        notes = [
            (
                "Each row was decided by thresholds found on other rows; folds: "
                f"{content['n_splits']}, repeats: {content['n_repeats']}."
            ),
            (
                "Apparent: on the rows that chose the threshold. Neither says anything about a "
                "model that the same rows chose."
            ),
        ]
        return [Section("Held-out figures of the tuning", header, rows, notes)]


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
    data = TuningRows.checked(y_true, y_score, sample_weight, groups, class_names)
    generator = np.random.default_rng(0 if rng is None else rng)

    fold_thresholds = []
    counts = np.zeros((4, n_repeats, data.labels.shape[1]))
    for repeat in range(n_repeats):
        decided = np.empty(data.labels.shape, dtype=bool)
        folds = multilabel_stratified_kfold(
            data.labels,
            n_splits=n_splits,
            groups=data.units,
            seed=int(generator.integers(2**63)),
        )
        for fold in folds:
            units = None if data.units is None else data.units[fold.train]
            found = data.tune(search, fold.train, units)
            fold_thresholds.append(found.thresholds)
            decided[fold.test] = data.scores[fold.test] >= found.thresholds
        counts[:, repeat] = data.counts(decided)
    tp, fp, fn, tn = counts
    return CrossFitResult(
        threshold_set=data.tune(search, slice(None), data.units),
        fold_thresholds=np.array(fold_thresholds),
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
    )


def _mean(by_repeat: Float64Array) -> Float64Array:
    mean: Float64Array = by_repeat.mean(axis=0)
    return mean
