"""How many independent rows the rows behind each figure are worth, at every kept cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._clustered import PatientSums, effective_trials
from mlthresh._intervals import rate

__all__ = ["effective_rows"]

Counts: TypeAlias = npt.NDArray[np.float64]

_BLOCK = 1 << 18  # patients times cuts, within the processor's cache


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
    sums: dict[str, Counts] = {}
    for tp, positives, fp, negatives in _by_patient(score, label, units, threshold):
        called, known = tp + fp, positives + negatives
        of = {
            "recall": (tp, positives),
            "precision": (tp, called),
            "specificity": (negatives - fp, negatives),
            "f1": (tp, positives + fp),
            "alarms": (called, known),
        }
        for name, (x, n) in of.items():
            sums[name] = sums.get(name, 0.0) + _moments(x, np.broadcast_to(n, x.shape))
    return [
        {name: effective_trials(_patient_sums(total), each) for name, total in sums.items()}
        for each in confidences
    ]


def _by_patient(
    score: FloatArray,
    label: npt.NDArray[Any],
    units: npt.NDArray[np.intp],
    threshold: FloatArray,
) -> Iterator[tuple[Counts, Counts, Counts, Counts]]:
    """Yield alarms (n_units, n_cuts) and rows (n_units, 1) of both labels, for some patients."""
    order = np.argsort(units, kind="stable")
    # A row alarms at as many of the thresholds, from the lowest.
    alarms = threshold.searchsorted(score[order], side="right")
    unit, label = units[order], label[order]
    width = len(threshold) + 1
    step = max(1, _BLOCK // width)
    for first in range(0, int(unit[-1]) + 1, step):
        rows = slice(*unit.searchsorted([first, first + step]))
        height = int(unit[rows][-1]) + 1 - first
        found = []
        for kind in (1, 0):
            chosen = label[rows] == kind
            place = (unit[rows][chosen] - first) * width + alarms[rows][chosen]
            by_alarms = np.bincount(place, minlength=height * width).reshape(height, width)
            at_least = by_alarms[:, ::-1].cumsum(axis=1)[:, ::-1].astype(np.float64)
            found += [at_least[:, 1:], at_least[:, :1]]
        yield found[0], found[1], found[2], found[3]


def _moments(x: Counts, n: Counts) -> Counts:
    patients = [np.count_nonzero(some, axis=0) for some in (n, x, n - x)]
    products = [np.einsum("ij,ij->j", *pair) for pair in ((n, n), (x, x), (x, n))]
    return np.array([n.sum(axis=0), x.sum(axis=0), *patients, *products])


def _patient_sums(total: Counts) -> PatientSums:
    n, x, *patients, nn, xx, xn = total
    p = rate(x, n)
    m, with_success, with_failure = (count.astype(np.intp) for count in patients)
    return PatientSums(n, x, m, with_success, with_failure, nn, xx - 2 * p * xn + p * p * nn)
