"""How a multi-label classifier does at fixed thresholds, with an interval beside every rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import (
    FloatArray,
    as_groups,
    as_labels,
    as_scores,
    matched_class_names,
    per_class,
)
from mlthresh._averages import Undefined, average_intervals, averages, mean_over_classes
from mlthresh._clustered import clustered_auroc_interval, clustered_interval, sum_by_unit
from mlthresh._intervals import (
    Float64Array,
    auroc_interval,
    clopper_pearson,
    f1_of_jaccard,
    rate,
)
from mlthresh._ranking import average_precision, placements
from mlthresh._subgroups import subgroup_rows
from mlthresh.exceptions import InputError
from mlthresh.report import MultilabelReport
from mlthresh.threshold_set import ThresholdSet

__all__ = ["MultilabelReport", "multilabel_report"]


def multilabel_report(
    y_true: Any,
    y_score: Any,
    thresholds: Any,
    *,
    class_names: Sequence[str] | None = None,
    groups: Any = None,
    subgroups: Any = None,
    undefined: Undefined = "omit",
    confidence: float = 0.95,
    n_resamples: int = 1000,
    rng: int | np.random.Generator | None = None,
) -> MultilabelReport:
    """Measure a classifier per class and on average, with an interval beside every rate.

    A class is called positive (an *alarm*) where ``score >= threshold``, compared in the data
    type of the scores, or of the `ThresholdSet` if one is given.

    Parameters
    ----------
    y_true : array, tensor or frame of shape (n_samples, n_classes)
        Labels 0, 1 or NaN (missing: the row does not count for that class).
    y_score : array, tensor or frame of shape (n_samples, n_classes)
        Finite scores, higher for positives, on any scale.
    thresholds : ThresholdSet, float or array of shape (n_classes,)
        `inf` never calls a class positive.
    class_names : sequence of str, optional
        By default those of the frames or of the `ThresholdSet`. All that are given must agree.
    groups : array of shape (n_samples,), optional
        Which patient each row comes from. Intervals then take patients for the units.
    subgroups : mapping of str to array of shape (n_samples,), or frame, optional
        Variables such as site or sex, by whose values every figure is given too. A missing
        value (None, NaN, an empty text) is the value "unknown".
    undefined : {"omit", "zero"}, default "omit"
        How macro averages treat a class whose figure is 0/0: leave it out, or count it as 0, as
        scikit-learn does with ``zero_division=0``. An undefined AUROC is left out either way:
        0 would claim a perfectly reversed ranking.
    confidence : float, default 0.95
        Of every interval, in (0, 1).
    n_resamples : int, default 1000
        Bootstrap resamples for the intervals of the averages; with 0 those are NaN. Time grows
        as n_resamples * n_samples * n_classes.
    rng : int or numpy.random.Generator, optional
        For the resamples. By default the seed 0, so that a report can be reproduced.

    Returns
    -------
    MultilabelReport

    Raises
    ------
    InputError
        If an array, a name or an option is not as described, there is no row, or every label
        is missing.

    Notes
    -----
    Figures and intervals speak of new data only if this data chose neither the thresholds nor
    the model. Rows are taken to be independent, or with `groups` patients: without it several
    images of a patient make intervals too narrow. Each interval holds by itself, not all of them
    together; of many subgroups some differ by chance alone.

    - Recall (sensitivity), precision, specificity, alarm rate and prevalence have Clopper and
      Pearson's exact interval. Recall is undefined without positives, precision without alarms.
    - F1 = 2 TP / (2 TP + FP + FN) has the exact interval of the Jaccard index J, mapped by
      F1 = 2 J / (1 + J); it is conditional on the number of rows that are positive or called so.
      F1 is undefined only without positives *and* without alarms: a class with positives that
      is never called, or with alarms and no positive, has F1 = 0.
    - AUROC has DeLong's interval on the logit scale with Student's quantile, approximate with
      few positives. Where there is no variance to estimate (a single positive, a perfect
      ranking) a distribution-free interval takes its place. AUROC is undefined where only one
      label occurs.
    - Average precision has no interval: with few positives none is reliable.
    - With `groups`, a rate stays the share of rows, and its interval is Clopper and Pearson's for
      fewer, effective rows, as many as the agreement of rows within patients leaves (after Korn
      and Graubard, see ``mlthresh._clustered``). It is no longer exact. In simulations with 8 to 60
      patients of two or of one to ten rows each, rates of 0.5, 0.8 and 0.95, and rows from
      independent to identical, 95 % intervals covered the rate in 95 to 100 % of samples, where
      those for independent rows went down to 58 %. AUROC has Obuchowski's variance: it covered
      in 92 to 99 %. The bootstrap draws patients.
    - Averages have bias-corrected bootstrap intervals from resampling whole rows, because classes
      share rows; thresholds stay fixed. They are approximate, since a sample says little of its
      rarest classes and a resample can lose them: with 16 classes of 7 to 125 positives, 95 %
      intervals of macro-F1 covered the truth in 92 to 95 % of simulated samples, with a third of
      those positives in 85 %. An average that is perfect gets an interval without width.

    Examples
    --------
    >>> import numpy as np
    >>> y_true = np.array([[1, 0], [1, 0], [1, 1], [0, 0], [0, 0]])
    >>> y_score = np.array([[0.9, 0.1], [0.8, 0.6], [0.3, 0.7], [0.6, 0.2], [0.2, 0.3]])
    >>> report = multilabel_report(y_true, y_score, 0.5, class_names=["DR", "MH"])
    >>> report.recall.round(3), report.precision.round(3)
    (array([0.667, 1.   ]), array([0.667, 0.5  ]))
    >>> report.recall_interval.round(3)
    array([[0.094, 0.992],
           [0.025, 1.   ]])
    >>> round(report.macro_f1, 3)
    0.667
    >>> sex = ["f", "f", "m", "m", ""]
    >>> report = multilabel_report(
    ...     y_true, y_score, 0.5, groups=[1, 1, 2, 3, 4], subgroups={"sex": sex}
    ... )
    >>> report.recall_interval[0].round(3)  # three positives of two patients
    array([0., 1.])
    >>> {value: part.recall for value, part in report.subgroups["sex"].items()}
    {'f': array([ 1., nan]), 'm': array([0., 1.]), 'unknown': array([nan, nan])}
    """
    labels, label_columns = as_labels(y_true, "y_true")
    scores, score_columns = as_scores(y_score, labels.shape)
    n_samples, n_classes = labels.shape
    if n_samples == 0:
        raise InputError("y_true has no rows; there is nothing to report on")
    _check_options(undefined, confidence, n_resamples)
    tuned = thresholds.class_names if isinstance(thresholds, ThresholdSet) else None
    names = matched_class_names(n_classes, class_names, label_columns, score_columns, tuned)
    alarm, threshold = _decide(scores, thresholds)
    if not ((labels == 0) | (labels == 1)).any():
        raise InputError("every label in y_true is missing (NaN)")
    data = _Data(labels, scores, alarm, as_groups(groups, n_samples))
    parts = subgroup_rows(subgroups, n_samples)
    fixed = {
        "class_names": names,
        "confidence": float(confidence),
        "undefined": undefined,
        "n_resamples": int(n_resamples),
        "threshold": threshold,
    }
    generator = np.random.default_rng(0 if rng is None else rng)
    report = _measure(data, fixed, generator)
    return replace(
        report,
        subgroups={
            name: {
                value: _measure(data.rows(members), fixed, generator)
                for value, members in by_value.items()
            }
            for name, by_value in parts.items()
        },
    )


class _Data(NamedTuple):
    """Labels, scores and decisions of shape (n_samples, n_classes), and each row's patient."""

    labels: npt.NDArray[Any]
    scores: FloatArray
    alarm: npt.NDArray[np.bool_]
    units: npt.NDArray[np.intp] | None

    def rows(self, rows: npt.NDArray[np.intp]) -> _Data:
        units = None if self.units is None else as_groups(self.units[rows], len(rows))
        return _Data(self.labels[rows], self.scores[rows], self.alarm[rows], units)


def _measure(data: _Data, fixed: dict[str, Any], rng: np.random.Generator) -> MultilabelReport:
    labels, scores, alarm, units = data
    confidence, undefined = fixed["confidence"], fixed["undefined"]
    positive, negative = labels == 1, labels == 0
    true_alarm, false_alarm, missed = alarm & positive, alarm & negative, ~alarm & positive
    interval = _interval_of(units, confidence)
    tp, fp, fn = (np.count_nonzero(rows, axis=0) for rows in (true_alarm, false_alarm, missed))
    support, n_negative = tp + fn, np.count_nonzero(negative, axis=0)
    n_known, alarms, tn = support + n_negative, tp + fp, n_negative - fp

    ranking = _ranking_figures(data, confidence)
    means = averages(tp, fp, fn, ranking["auroc"], undefined)
    estimates = {name: float(value) for name, value in means.items()}
    intervals: dict[str, Any] = average_intervals(
        estimates,
        (true_alarm, false_alarm, missed),
        scores,
        labels,
        units=units,
        undefined=undefined,
        confidence=confidence,
        n_resamples=fixed["n_resamples"],
        rng=rng,
    )
    prevalence = rate(support, n_known)
    averaged = np.ones(len(tp), dtype=bool) if undefined == "zero" else tp + fp + fn > 0
    called = true_alarm | false_alarm
    return MultilabelReport(
        n_samples=len(labels),
        n_groups=None if units is None else int(units.max()) + 1,
        support_groups=(
            None if units is None else np.count_nonzero(sum_by_unit(positive, units), axis=0)
        ),
        n_known=n_known,
        support=support,
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
        prevalence=prevalence,
        prevalence_interval=interval(positive, positive | negative),
        alarm_rate=rate(alarms, n_known),
        alarm_rate_interval=interval(called, positive | negative),
        recall=rate(tp, support),
        recall_interval=interval(true_alarm, positive),
        specificity=rate(tn, n_negative),
        specificity_interval=interval(negative & ~alarm, negative),
        precision=rate(tp, alarms),
        precision_interval=interval(true_alarm, called),
        f1=rate(2 * tp, 2 * tp + fp + fn),
        f1_interval=f1_of_jaccard(interval(true_alarm, called | positive)),
        macro_average_precision=float(mean_over_classes(ranking["average_precision"], undefined)),
        macro_f1_all_positive=_mean(rate(2 * support, support + n_known), averaged),
        macro_f1_chance=_mean(prevalence, averaged),
        n_with_support=int(np.count_nonzero(support)),
        n_learned=int(np.count_nonzero(tp)),
        accuracy=float(rate((tp + tn).sum(), n_known.sum())),
        accuracy_predicting_nothing=float(rate(n_negative.sum(), n_known.sum())),
        subset_accuracy=_subset_accuracy(alarm, labels),
        subset_accuracy_predicting_nothing=_subset_accuracy(np.zeros_like(alarm), labels),
        **fixed,
        **ranking,
        **dict[str, Any](estimates),
        **intervals,
    )


def _interval_of(
    units: npt.NDArray[np.intp] | None, confidence: float
) -> Callable[[npt.NDArray[np.bool_], npt.NDArray[np.bool_]], Float64Array]:
    """Return the interval of a share of rows, the ones and all of shape (n_samples, n_classes)."""

    def interval(part: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> Float64Array:
        if units is None:
            counts = np.count_nonzero(part, axis=0), np.count_nonzero(whole, axis=0)
            return clopper_pearson(*counts, confidence)
        return clustered_interval(sum_by_unit(part, units), sum_by_unit(whole, units), confidence)

    return interval


def _check_options(undefined: object, confidence: float, n_resamples: object) -> None:
    if undefined not in ("omit", "zero"):
        raise InputError(f"undefined must be 'omit' or 'zero', got {undefined!r}")
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence!r}")
    if not isinstance(n_resamples, int | np.integer) or n_resamples < 0:
        raise InputError(f"n_resamples must be a whole number >= 0, got {n_resamples!r}")


def _decide(scores: FloatArray, thresholds: Any) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Return the decisions, and the thresholds in the data type that they were taken in."""
    if isinstance(thresholds, ThresholdSet):
        return thresholds.predict(scores), thresholds.thresholds
    with np.errstate(over="ignore"):  # beyond the type's range no score is reached: inf
        threshold = per_class(thresholds, scores.shape[1], "thresholds").astype(scores.dtype)
    return scores >= threshold, threshold


def _ranking_figures(data: _Data, confidence: float) -> dict[str, Any]:
    area, interval, precision = [], [], []
    for score, label in zip(data.scores.T, data.labels.T, strict=True):
        # Rows of either label, by score.
        rows = [np.flatnonzero(label == kind) for kind in (1, 0)]
        rows = [one[np.argsort(score[one], kind="stable")] for one in rows]
        positive, negative = (score[one] for one in rows)
        placed = placements(positive, negative)
        area.append(placed[0].mean() if len(positive) else np.nan)
        if data.units is None:
            interval.append(auroc_interval(*placed, confidence))
        else:
            units = [data.units[one] for one in rows]
            interval.append(clustered_auroc_interval(*placed, units[0], units[1], confidence))
        precision.append(average_precision(positive, negative))
    return {
        "auroc": np.array(area),
        "auroc_interval": np.array(interval),
        "average_precision": np.array(precision),
    }


def _mean(values: npt.NDArray[np.float64], averaged: npt.NDArray[np.bool_]) -> float:
    return float(mean_over_classes(values[averaged], "zero"))


def _subset_accuracy(decision: npt.NDArray[np.bool_], labels: npt.NDArray[Any]) -> float:
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        return float("nan")
    return float((decision == labels).all(axis=1).mean())
