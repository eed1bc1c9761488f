"""Threshold search over all classes: the options, and the function that most people call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import Unpack

from mlthresh._arrays import (
    as_groups,
    as_labels,
    as_sample_weight,
    as_scores,
    matched_class_names,
)
from mlthresh.evidence import Rows
from mlthresh.exceptions import InputError
from mlthresh.options import SearchOptions, Settings
from mlthresh.settlement import settle
from mlthresh.threshold_set import ThresholdSet

__all__ = ["SearchOptions", "ThresholdSearch", "find_optimal_thresholds"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ThresholdSearch(Settings):
    r"""A threshold search with all its options, ready to run on any data.

    The search maximises the objective over the thresholds that satisfy every constraint, for each
    class alone or for all together; of equally good ones it takes the lower.

    Parameters
    ----------
    objective : str, Objective or callable, default "f1"
        "f1", "jaccard", "mcc", "balanced_accuracy", "youden", ``fbeta(beta)``,
        ``cost(miss=, false_alarm=)``, or a callable ``(tp, fp, fn, tn) -> array``.
    min_recall, min_precision, min_specificity : float or (n_classes,), optional
        Floors in [0, 1] on the observed rates; with `confidence`, 0 promises nothing.
    max_alarm_rate : float or (n_classes,), optional
        Ceiling in [0, 1] on the share of samples called positive.
    min_threshold, max_threshold : float or (n_classes,), optional
        Bounds on the threshold itself, both included, rounded to the scores' data type.
    confidence : float, optional
        In (0, 1). The floors on recall and specificity then hold on unseen data with this
        probability, for each class: P(status "ok" and true recall < floor) <= 1 - confidence,
        whatever the distribution of the scores. See Notes for what this takes.
    joint : bool, default False
        The floors of all classes hold at once with that probability: with m classes that have
        one, each holds with 1 - (1 - confidence) / m.
    strategy : {"exact", "pooled", "grid"}, default "exact"
        "exact" considers every cut that the scores allow and reports the middle of the gap
        below the chosen score. "pooled" maximises the expected objective under a model of all
        classes together, and takes the nearest threshold that satisfies the constraints: rare
        classes borrow from the others, and their thresholds hold better on new data (see
        ``mlthresh.pooling``). "grid" considers the points of `grid` alone.
    grid : array of shape (n_points,), optional
        For "grid"; by default 0.10, 0.15, ..., 0.90 (17 points).
    score_scale : {"probability", "real"}, default "probability"
        What the scores are declared to be; kept in the result. "pooled" models probabilities
        on the logit scale, and raises where one is outside [0, 1]; logits and margins are
        "real". For the other strategies, scores outside [0, 1] are recorded as "real".
    average : {"macro", "micro"}, default "macro"
        "macro" maximises the objective of each class, and so its mean over the classes. "micro"
        maximises the objective of the counts summed over all classes and rows: f1, fbeta,
        jaccard, cost, youden or balanced_accuracy; others raise. The optimum is exact over all
        combinations of cuts ("pooled": of the expected counts; "grid": over all combinations of
        points), and where several combinations reach it, each class takes its lowest threshold
        among them. Constraints, bounds and promises stay those of each class. A class's threshold
        then depends on the other columns. Classes without positives count with their true
        negatives.
    on_infeasible : {"closest", "raise", "never"}, default "closest"
        For a class that no threshold suits: the point with the smallest largest shortfall
        (of equals, recall's counts first), an `InfeasibleError`, or a threshold of infinity.

    Raises
    ------
    InputError
        If an option is unknown, out of range, contradicts another or does not apply.

    Notes
    -----
    A promise by `confidence` is for a fixed model and independent samples. Several images of a
    patient are not independent: pass `groups`, and the promise is for patients, of whom no
    positive image may fall below the threshold. Data that also chose the model (its
    checkpoint, say) cannot certify it. With constraints beside the two floors, which choose
    among draws, `certified` speaks of the floors alone.

    Examples
    --------
    >>> import numpy as np
    >>> search = ThresholdSearch(objective="youden", max_threshold=0.7)
    >>> search.run(np.array([[1], [0]]), np.array([[0.9], [0.8]])).status
    ('ok',)
    """

    def run(
        self,
        y_true: Any,
        y_score: Any,
        *,
        sample_weight: Any = None,
        groups: Any = None,
        class_names: Sequence[str] | None = None,
    ) -> ThresholdSet:
        """Search on this data; see `find_optimal_thresholds` for the parameters."""
        labels, label_columns = as_labels(y_true, "y_true")
        scores, score_columns = as_scores(y_score, labels.shape)
        n_samples, n_classes = labels.shape
        if n_samples == 0:
            raise InputError("y_true has no rows; there is nothing to choose thresholds by")
        weight = as_sample_weight(sample_weight, n_samples)
        units = as_groups(groups, n_samples)
        if self.confidence is None and units is not None:
            raise InputError("groups applies with confidence only: it makes patients the units")
        names = matched_class_names(n_classes, class_names, label_columns, score_columns)
        return settle(self, Rows(scores, labels, weight, units), names)


def find_optimal_thresholds(
    y_true: Any,
    y_score: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    class_names: Sequence[str] | None = None,
    **options: Unpack[SearchOptions],
) -> ThresholdSet:
    r"""Find for each class the threshold that is best under constraints.

    With TP(t), FP(t), FN(t), TN(t) the weighted counts of a class when scores of at least t
    are called positive, the result is

    .. math:: \arg\max_t\; O(TP, FP, FN, TN) \quad \text{subject to the constraints,}

    the lower threshold where several are best. With ``average="micro"`` it is instead one
    :math:`O` of the counts summed over the classes.

    Parameters
    ----------
    y_true : array, tensor or frame of shape (n_samples, n_classes)
        Labels 0, 1 or NaN (missing: the row does not count for that class).
    y_score : array, tensor or frame of shape (n_samples, n_classes)
        Finite scores, higher for positives.
    sample_weight : array of shape (n_samples,), optional
        Finite weights, not negative; a row of weight zero counts as absent.
    groups : array of shape (n_samples,), optional
        Which patient each row comes from, for `confidence`.
    class_names : sequence of str, optional
        By default a frame's column names, if any.
    **options
        As in `ThresholdSearch`: `objective`, `min_recall`, `min_precision`, `min_specificity`,
        `max_alarm_rate`, `min_threshold`, `max_threshold`, `confidence`, `joint`, `strategy`,
        `grid`, `score_scale`, `average`, `on_infeasible`.

    Returns
    -------
    ThresholdSet
        A class without positives gets the status "no_positives" and the threshold infinity, or
        with "pooled" one that is borrowed from the other classes, if any has a positive; a class
        that no threshold suits, "infeasible".

    Raises
    ------
    InputError
        If an array or an option is not as described.
    InfeasibleError
        If a class is infeasible and `on_infeasible` is "raise".

    Notes
    -----
    A constraint that holds on the data that chose the threshold need not hold on new data,
    unless `confidence` asks for it.

    Examples
    --------
    >>> import numpy as np
    >>> y_true = np.array([[1], [0], [1], [0], [0]])
    >>> y_score = np.array([[0.9], [0.8], [0.4], [0.2], [0.1]])
    >>> find_optimal_thresholds(y_true, y_score).thresholds.round(3)
    array([0.3])
    >>> found = find_optimal_thresholds(y_true, y_score, min_precision=0.9)
    >>> found.thresholds.round(3), found.recall
    (array([0.85]), array([0.5]))
    """
    return ThresholdSearch(**options).run(
        y_true, y_score, sample_weight=sample_weight, groups=groups, class_names=class_names
    )
