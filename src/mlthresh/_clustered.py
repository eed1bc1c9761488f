"""Intervals of rates and of the AUROC where several rows come from one patient.

Rows of a patient resemble each other, so they say less than as many rows of different patients.
With a single row a patient, both intervals are those of independent rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlthresh._intervals import (
    Float64Array,
    clopper_pearson,
    hoeffding_interval,
    logit_interval,
    rate,
)

__all__ = [
    "PatientSums",
    "clustered_auroc_interval",
    "clustered_interval",
    "effective_trials",
    "sum_by_unit",
]

_PRIOR_PATIENTS = 2.0


def sum_by_unit(rows: npt.NDArray[Any], units: npt.NDArray[np.intp]) -> Float64Array:
    """Return the sums over the rows of each unit 0, 1, ..., none without rows.

    Examples
    --------
    >>> sum_by_unit(np.array([[True, True], [True, False], [True, True]]), np.array([1, 0, 1]))
    array([[1., 0.],
           [2., 2.]])
    """
    by_unit = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[by_unit], prepend=-1))
    return np.add.reduceat(rows[by_unit], starts, axis=0, dtype=np.float64)


def clustered_interval(
    successes: Float64Array, trials: Float64Array, confidence: float
) -> Float64Array:
    r"""Return intervals of proportions whose trials come from patients, of several each.

    It is Clopper and Pearson's interval of n* trials in place of n, with the same share p of
    successes: Korn and Graubard's interval,

    .. math:: n^* = \frac{n}{D} \left( \frac{t_{n-1}}{t_{m-1}} \right)^2,

    for m patients with trials. The second factor (Student's quantiles) pays for the uncertainty
    of D. The design effect D is how many times larger the variance is than that of independent
    trials. With x_i of n_i trials of patient i,

    .. math::
        d = \frac{m}{m - 1} \sum_i (x_i - p n_i)^2 \Big/ \frac{n}{n - 1} n p (1 - p)

    estimates it, badly where only k patients have a success, or only k a failure. So it is drawn
    toward its value for trials that agree within each patient, d_1 = sum n_i^2 / n, with the
    weight of two patients: D = max(1, (k d + 2 d_1) / (k + 2)), and D = d_1 where p is 0 or 1.

    Parameters
    ----------
    successes, trials : arrays of shape (n_units, n)
        Counts of each patient; a patient without trials doesn't count.
    confidence : float
        In (0, 1).

    Returns
    -------
    array of shape (n, 2)
        NaN where there is no trial; [0, 1] where one patient has them all.

    References
    ----------
    E. L. Korn and B. I. Graubard, "Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data", Survey Methodology 24(2), 1998. It
    has neither the prior nor d_1: without them 95 % intervals covered 90 % where patients have
    one to ten rows and p is 0.95.

    Examples
    --------
    >>> pairs = np.array([[2.0], [2.0], [0.0], [2.0], [2.0]])
    >>> clustered_interval(pairs, np.full((5, 1), 2.0), confidence=0.95).round(3)
    array([[0.172, 0.999]])
    >>> clopper_pearson([8], [10], confidence=0.95).round(3)
    array([[0.444, 0.975]])
    """
    sums = PatientSums.of_counts(successes, trials)
    effective = effective_trials(sums, confidence)
    share = rate(sums.successes, sums.trials)
    interval = clopper_pearson(share * effective, effective, confidence)
    interval[(effective == 0) & (sums.trials > 0)] = 0.0, 1.0
    return interval


class PatientSums(NamedTuple):
    """What the effective number of trials follows from; arrays of shape (n,).

    Totals of trials and successes; how many patients have trials, successes and failures; and
    the sums over patients of n_i^2 and of (x_i - p n_i)^2.
    """

    trials: Float64Array
    successes: Float64Array
    patients: npt.NDArray[np.intp]
    with_success: npt.NDArray[np.intp]
    with_failure: npt.NDArray[np.intp]
    squared_trials: Float64Array
    squared_deviations: Float64Array

    @classmethod
    def of_counts(cls, successes: Float64Array, trials: Float64Array) -> PatientSums:
        """Sum the patients' counts, of shape (n_units, n)."""
        n, x = trials.sum(axis=0), successes.sum(axis=0)
        return cls(
            n,
            x,
            np.count_nonzero(trials, axis=0),
            np.count_nonzero(successes, axis=0),
            np.count_nonzero(trials - successes, axis=0),
            (trials**2).sum(axis=0),
            ((successes - rate(x, n) * trials) ** 2).sum(axis=0),
        )


def effective_trials(sums: PatientSums, confidence: float) -> Float64Array:
    """Return n* of `clustered_interval`; 0 where one patient has all of several trials."""
    from scipy.special import stdtrit

    n, x, m = sums.trials, sums.successes, sums.patients
    p = rate(x, n)
    agreeing = rate(sums.squared_trials, n)
    with np.errstate(divide="ignore", invalid="ignore"):  # where p is 0 or 1, or m is 1
        between = m / (m - 1) * sums.squared_deviations
        observed = between / (n / (n - 1) * n * p * (1 - p))
    telling = np.minimum(sums.with_success, sums.with_failure)
    drawn = (telling * np.where(telling > 0, observed, 0.0) + _PRIOR_PATIENTS * agreeing) / (
        telling + _PRIOR_PATIENTS
    )
    effect = np.where((x > 0) & (x < n), np.maximum(drawn, 1.0), agreeing)
    tail = (1.0 + confidence) / 2.0
    several = (m > 1) & (m < n)
    quantiles = [stdtrit(np.where(several, count, 2) - 1, tail) for count in (n, m)]
    effective = np.where(several, n / effect * (quantiles[0] / quantiles[1]) ** 2, n)
    effective[(m == 1) & (n > 1)] = 0.0
    return effective


def clustered_auroc_interval(
    positive_placement: Float64Array,
    negative_placement: Float64Array,
    positive_units: npt.NDArray[np.intp],
    negative_units: npt.NDArray[np.intp],
    confidence: float,
) -> tuple[float, float]:
    """Return an interval of the area under the ROC curve where patients have several rows.

    As `auroc_interval`, with Obuchowski's variance in place of DeLong's: placements are summed
    over the rows of each patient, and positives and negatives of one patient may vary together.
    The number of patients, (sum n_i)^2 / sum n_i^2 where they have unequal numbers n_i of rows,
    takes the place of the number of rows in its corrections and in the degrees of freedom.

    Parameters
    ----------
    positive_placement, negative_placement : arrays
        As for `auroc_interval`.
    positive_units, negative_units : int arrays
        The patient of each.
    confidence : float
        In (0, 1).

    References
    ----------
    N. A. Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53(2),
    1997.
    """
    sides = [(positive_placement, positive_units), (negative_placement, negative_units)]
    if min(len(placement) for placement, _ in sides) == 0:
        return np.nan, np.nan
    area = float(positive_placement.mean())
    n_units = 1 + max(int(units.max()) for _, units in sides)
    rows = [np.bincount(units, minlength=n_units) for _, units in sides]
    excess = [
        np.bincount(units, weights=placement - area, minlength=n_units) / len(placement)
        for placement, units in sides
    ]
    patients = [_effective_units(count) for count in rows]
    variance = 0.0
    if min(patients) > 1.0 and all(np.ptp(placement) > 0 for placement, _ in sides):
        both = _effective_units(rows[0] + rows[1])
        variance = (
            patients[0] / (patients[0] - 1.0) * float(excess[0] @ excess[0])
            + patients[1] / (patients[1] - 1.0) * float(excess[1] @ excess[1])
            + 2.0 * both / (both - 1.0) * float(excess[0] @ excess[1])
        )
    if variance <= 0.0:
        return hoeffding_interval(area, min(patients), confidence)
    return logit_interval(area, variance, min(patients) - 1.0, confidence)


def _effective_units(rows: npt.NDArray[np.intp]) -> float:
    """Return (sum n)^2 / sum n^2: of how many units with equally many rows these are worth."""
    n = rows.astype(np.float64)
    return float(n.sum() ** 2 / (n @ n))
