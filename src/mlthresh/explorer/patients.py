"""How many independent rows the rows behind each figure are worth, at every kept cut."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._clustered import PatientSums, effective_trials
from mlthresh._intervals import rate

__all__ = ["effective_rows"]

Counts: TypeAlias = npt.NDArray[np.float64]


class _Patients(NamedTuple):
    """Rows of some patients, by label: how many there are and how many of them alarm."""

    tp: Counts
    fp: Counts
    positives: Counts
    negatives: Counts


def effective_rows(
    score: FloatArray,
    label: npt.NDArray[Any],
    units: npt.NDArray[np.intp],
    threshold: FloatArray,
    confidences: tuple[float, ...],
) -> list[dict[str, npt.NDArray[np.float64]]]:
    """Return for each confidence the effective trials of every figure at every threshold.

    Parameters
    ----------
    score, label, units : arrays of shape (n_samples,)
        Of one class; the label is 0, 1 or NaN, the unit the row's patient.
    threshold : array of shape (n_cuts,)
        Ascending.
    confidences : tuple of float

    Returns
    -------
    list of dict
        By figure, arrays of shape (n_cuts,); see `mlthresh._clustered.effective_trials`.
    """
    empty, before, after, n_alarms = _entries(score, label, units, threshold)
    first, left, entered = _figures(empty), _figures(before), _figures(after)
    effective: list[dict[str, npt.NDArray[np.float64]]] = [{} for _ in confidences]
    for name in first:
        change = _moments(*entered[name]) - _moments(*left[name])
        none = _moments(*first[name]).sum(axis=1, keepdims=True)
        sums = _patient_sums(np.hstack([none, change]).cumsum(axis=1)[:, n_alarms])
        for found, confidence in zip(effective, confidences, strict=True):
            found[name] = effective_trials(sums, confidence)
    return effective


def _entries(
    score: FloatArray,
    label: npt.NDArray[Any],
    units: npt.NDArray[np.intp],
    threshold: FloatArray,
) -> tuple[_Patients, _Patients, _Patients, npt.NDArray[np.intp]]:
    """Let the rows alarm one after the other, from the highest score.

    Return all patients without an alarm; each row's patient before and after the row alarms; and
    how many rows alarm at each threshold.
    """
    known = np.flatnonzero((label == 0) | (label == 1))
    rows = known[np.argsort(score[known], kind="stable")[::-1]]
    unit, positive = units[rows], label[rows] == 1
    by_unit = np.argsort(unit, kind="stable")
    start = np.flatnonzero(np.diff(unit[by_unit], prepend=-1))
    size = np.diff(start, append=len(rows))
    totals, before, after = [], [], []
    for is_of_kind in (positive, ~positive):
        count = np.append(0, np.cumsum(is_of_kind[by_unit]))
        at_start = np.repeat(count[start], size)
        earlier = np.empty(len(rows))
        earlier[by_unit] = count[:-1] - at_start
        total = np.empty(len(rows))
        total[by_unit] = np.repeat(count[start + size], size) - at_start
        totals.append(total)
        before.append(earlier)
        after.append(earlier + is_of_kind)
    none = np.zeros(len(start))
    empty = _Patients(none, none, *(total[by_unit[start]] for total in totals))
    n_alarms = len(rows) - score[rows[::-1]].searchsorted(threshold)
    return empty, _Patients(*before, *totals), _Patients(*after, *totals), n_alarms


def _figures(of: _Patients) -> dict[str, tuple[Counts, Counts]]:
    """Return successes and trials of each figure."""
    called = of.tp + of.fp
    return {
        "recall": (of.tp, of.positives),
        "precision": (of.tp, called),
        "specificity": (of.negatives - of.fp, of.negatives),
        "f1": (of.tp, of.positives + of.fp),
        "alarms": (called, of.positives + of.negatives),
    }


def _moments(x: Counts, n: Counts) -> Counts:
    return np.array([n, x, n > 0, x > 0, n > x, n * n, x * x, x * n])


def _patient_sums(total: Counts) -> PatientSums:
    n, x, *patients, nn, xx, xn = total
    p = rate(x, n)
    m, with_success, with_failure = (count.astype(np.intp) for count in patients)
    return PatientSums(n, x, m, with_success, with_failure, nn, xx - 2 * p * xn + p * p * nn)
