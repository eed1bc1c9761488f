"""Threshold search: a grid loop with scikit-learn's metrics, precision-recall curves, ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.metrics import f1_score, precision_recall_curve, recall_score

from benchmarks.timing import median_cpu_seconds, table
from mlthresh import find_optimal_thresholds

OURS = "mlthresh, exact"


def simulated(n_samples: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels with prevalences from 1 % to 20 %, and scores that know something of them."""
    rng = np.random.default_rng(seed)
    prevalence = np.geomspace(0.01, 0.2, n_classes)
    y_true = (rng.random((n_samples, n_classes)) < prevalence).astype(np.int8)
    y_true[0] = 1
    noise = rng.normal(size=(n_samples, n_classes))
    return y_true, (1 / (1 + np.exp(2 - 2 * y_true - noise))).astype(np.float32)


def grid_loop(y_true: np.ndarray, y_score: np.ndarray) -> list[float]:
    """Return the best of 17 thresholds a class, one metric call after another."""
    chosen = []
    for c in range(y_true.shape[1]):
        best, best_f1 = 0.5, -1.0
        for threshold in np.arange(10, 91, 5) / 100:
            if threshold > 0.7:
                continue
            decided = y_score[:, c] >= threshold
            if recall_score(y_true[:, c], decided, zero_division=0) < 0.3:
                continue
            f1 = f1_score(y_true[:, c], decided, zero_division=0)
            if f1 > best_f1:
                best, best_f1 = float(threshold), f1
        chosen.append(best)
    return chosen


def curves(y_true: np.ndarray, y_score: np.ndarray) -> list[float]:
    """Return the F1-optimal threshold of each class's precision-recall curve."""
    chosen = []
    for c in range(y_true.shape[1]):
        precision, recall, threshold = precision_recall_curve(y_true[:, c], y_score[:, c])
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        f1[recall < 0.3] = -1
        chosen.append(float(threshold[min(np.argmax(f1), len(threshold) - 1)]))
    return chosen


def contestants(n_samples: int, n_classes: int) -> dict[str, Callable[[], Any]]:
    """Return the searches, and the floor that sorting sets."""
    y_true, y_score = simulated(n_samples, n_classes)
    searches: dict[str, Callable[[], Any]] = {
        "grid of 17 with scikit-learn's metrics": lambda: grid_loop(y_true, y_score),
        "scikit-learn's precision_recall_curve": lambda: curves(y_true, y_score),
        OURS: lambda: find_optimal_thresholds(y_true, y_score, min_recall=0.3, max_threshold=0.7),
        "mlthresh, pooled": lambda: find_optimal_thresholds(
            y_true, y_score, strategy="pooled", min_recall=0.3, max_threshold=0.7
        ),
        "floor: np.sort of each column": lambda: [np.sort(column) for column in y_score.T],
        "floor: one read of the scores": lambda: y_score.max(),
    }
    if n_samples >= 1_000_000:
        del searches["grid of 17 with scikit-learn's metrics"]  # it would take minutes
    return searches


def run() -> Iterator[str]:
    """Yield one table a size."""
    for n_samples, n_classes, rounds in ((640, 16, 9), (100_000, 16, 3), (1_000_000, 20, 3)):
        seconds = median_cpu_seconds(contestants(n_samples, n_classes), rounds=rounds)
        yield table(f"Thresholds, {n_samples:,} x {n_classes}", seconds, ours=OURS)
