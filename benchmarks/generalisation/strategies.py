"""The contestants: from a validation set to one threshold a class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.generalisation.trials import Array
from mlthresh import find_optimal_thresholds

Labels = npt.NDArray[np.integer]
Scores = npt.NDArray[np.floating]
Strategy = Callable[[Labels, Scores], Array]


def fixed(y_true: Labels, y_score: Scores) -> Array:  # noqa: ARG001
    return np.full(y_score.shape[1], 0.5)


def constrained_grid(y_true: Labels, y_score: Scores) -> Array:
    """0.10, 0.15, ..., 0.70, with a recall of at least 0.3 on the validation set; else 0.5."""
    found = find_optimal_thresholds(
        y_true, y_score, strategy="grid", min_recall=0.3, max_threshold=0.7
    )
    return np.where(np.array(found.status) == "ok", found.thresholds, 0.5)


def exact_midway(y_true: Labels, y_score: Scores) -> Array:
    return find_optimal_thresholds(y_true, y_score).thresholds.astype(np.float64)


def exact_at_score(y_true: Labels, y_score: Scores) -> Array:
    """The same cuts, put on the lowest score that is called positive."""
    midway = exact_midway(y_true, y_score)
    at_or_above = np.where(y_score >= midway.astype(y_score.dtype), y_score, np.inf)
    return at_or_above.min(axis=0).astype(np.float64)


def score_cut(y_true: Labels, y_score: Scores, *, lowest_f1: float = 0.1) -> Array:
    """SCutFBR.1 (Yang 2001): where the best F1 is below `lowest_f1`, the highest score."""
    found = find_optimal_thresholds(y_true, y_score)
    unsure = ~(found.f1 >= lowest_f1)
    return np.where(unsure, y_score.max(axis=0), found.thresholds).astype(np.float64)


def bootstrap_median(y_true: Labels, y_score: Scores, *, n_resamples: int = 25) -> Array:
    """The median over resamples of the exact optimum."""
    rng = np.random.default_rng(0)
    chosen = []
    for _ in range(n_resamples):
        rows = rng.integers(len(y_true), size=len(y_true))
        chosen.append(exact_midway(y_true[rows], y_score[rows]))
    return np.median(chosen, axis=0)


def pooled(y_true: Labels, y_score: Scores) -> Array:
    return find_optimal_thresholds(y_true, y_score, strategy="pooled").thresholds.astype(np.float64)


STRATEGIES: dict[str, Strategy] = {
    "fixed 0.5": fixed,
    "grid with constraints": constrained_grid,
    "exact, at the score": exact_at_score,
    "exact, midway": exact_midway,
    "SCutFBR": score_cut,
    "bootstrap median": bootstrap_median,
    "pooled": pooled,
}
REFERENCE = "exact, midway"
