"""Threshold search: a grid loop with scikit-learn's metrics, precision-recall curves, ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.peers import BINNED, curves, grid_loop, torchmetrics_curves
from benchmarks.timing import median_cpu_seconds, peak_numpy_mib, table
from mlthresh import find_optimal_thresholds

OURS = "mlthresh, exact"
DECK = "the deck's loop: 17 points, scikit-learn"


def simulated(n_samples: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels with prevalences from 1 % to 20 %, and scores that know something of them."""
    rng = np.random.default_rng(seed)
    prevalence = np.geomspace(0.01, 0.2, n_classes)
    y_true = (rng.random((n_samples, n_classes)) < prevalence).astype(np.int8)
    y_true[0] = 1
    noise = rng.normal(size=(n_samples, n_classes))
    return y_true, (1 / (1 + np.exp(2 - 2 * y_true - noise))).astype(np.float32)


def contestants(n_samples: int, n_classes: int) -> dict[str, Callable[[], Any]]:
    """Return the searches, and the floors that sorting and reading set."""
    y_true, y_score = simulated(n_samples, n_classes)

    def ours(**options: Any) -> Callable[[], Any]:
        return lambda: find_optimal_thresholds(
            y_true, y_score, min_recall=0.3, max_threshold=0.7, **options
        )

    searches: dict[str, Callable[[], Any]] = {
        DECK: lambda: grid_loop(y_true, y_score),
        "scikit-learn's precision_recall_curve": lambda: curves(y_true, y_score),
        **torchmetrics_curves(y_true, y_score),
        OURS: ours(),
        "mlthresh, micro average": ours(average="micro"),
        "mlthresh, pooled": ours(strategy="pooled"),
        "floor: np.sort of each column": lambda: [np.sort(column) for column in y_score.T],
        "floor: one read of the scores": lambda: y_score.max(),
    }
    if n_samples >= 1_000_000:  # these would take minutes a call
        for name in (DECK, BINNED):
            searches.pop(name, None)
    return searches


def run() -> Iterator[str]:
    """Yield one table a size."""
    for n_samples, n_classes, rounds in ((640, 16, 15), (100_000, 16, 3), (1_000_000, 20, 3)):
        searches = contestants(n_samples, n_classes)
        seconds = median_cpu_seconds(searches, rounds=rounds)
        memory = {
            name: peak_numpy_mib(search)
            for name, search in searches.items()
            if "torchmetrics" not in name  # whose memory is not NumPy's
        }
        title = f"Thresholds, {n_samples:,} x {n_classes}"
        yield table(title, seconds, ours=OURS, memory=memory)
    if not any("torchmetrics" in name for name in searches):
        yield "torchmetrics is not installed; its curves are left out."
