"""One trial: a validation set to choose thresholds by, and what they reach on held-out data."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Trial(NamedTuple):
    """Scores are probabilities. A class's held-out figures are NaN where it has no positive."""

    y_true: npt.NDArray[np.integer]
    y_score: npt.NDArray[np.floating]
    held_out_f1: Callable[[Array], Array]  # thresholds (C,) -> F1 (C,)
    oracle_f1: Array  # (C,), of the best thresholds for the held-out data itself


def split_trial(
    y_true: npt.NDArray[np.integer],
    y_score: npt.NDArray[np.floating],
    n_validation: int,
    rng: np.random.Generator,
) -> Trial:
    """Choose the validation rows at random; all the others are held out."""
    order = rng.permutation(len(y_true))
    chosen, rest = order[:n_validation], order[n_validation:]
    y_rest, score_rest = y_true[rest], y_score[rest]

    def held_out_f1(thresholds: Array) -> Array:
        called = score_rest >= thresholds.astype(score_rest.dtype)
        hits = (called & (y_rest == 1)).sum(axis=0)
        return _f1(hits, called.sum(axis=0), y_rest.sum(axis=0))

    return Trial(y_true[chosen], y_score[chosen], held_out_f1, _oracle(y_rest, score_rest))


def _f1(hits: Array, alarms: Array, positives: Array) -> Array:
    return np.where(positives > 0, 2 * hits / np.maximum(alarms + positives, 1), np.nan)


def _oracle(y_true: npt.NDArray[np.integer], y_score: npt.NDArray[np.floating]) -> Array:
    order = np.argsort(-y_score, axis=0)
    hits = np.cumsum(np.take_along_axis(y_true, order, axis=0), axis=0, dtype=np.int64)
    ordered = np.take_along_axis(y_score, order, axis=0)
    alarms = np.arange(1, len(y_true) + 1)[:, None]
    f1 = _f1(hits, alarms, y_true.sum(axis=0, dtype=np.int64))
    f1[:-1][ordered[:-1] == ordered[1:]] = -1  # a cut never parts a tie
    f1[:, y_true.sum(axis=0) == 0] = np.nan
    return f1.max(axis=0)
