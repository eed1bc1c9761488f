"""Thresholds from a stream: binned curves of torchmetrics, all rows kept, ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from benchmarks.bench_thresholds import simulated
from benchmarks.memory import extra_megabytes
from benchmarks.timing import median_cpu_seconds
from mlthresh import ThresholdAccumulator, find_optimal_thresholds

N_SAMPLES, N_CLASSES = 100_000, 16
PEER_BINS = 200
OURS = "mlthresh, 65,536 bins, one update"

Thresholds = np.ndarray


def ours(y_true: np.ndarray, y_score: np.ndarray, batch: int) -> Thresholds:
    """Return the thresholds of an accumulator."""
    accumulator = ThresholdAccumulator(y_true.shape[1])
    for start in range(0, len(y_true), batch):
        rows = slice(start, start + batch)
        accumulator.update(y_true[rows], y_score[rows])
    return accumulator.compute().thresholds


def rows_kept(y_true: np.ndarray, y_score: np.ndarray, batch: int) -> Thresholds:
    """Return the exact thresholds after batches were put together."""
    starts = range(0, len(y_true), batch)
    labels = np.concatenate([y_true[start : start + batch] for start in starts])
    scores = np.concatenate([y_score[start : start + batch] for start in starts])
    return find_optimal_thresholds(labels, scores).thresholds


def curve(
    y_true: np.ndarray, y_score: np.ndarray, batch: int, bins: int | None = PEER_BINS
) -> Thresholds:
    """Return the F1-optimal point of each class's torchmetrics curve."""
    from torchmetrics.classification import MultilabelPrecisionRecallCurve

    metric = MultilabelPrecisionRecallCurve(y_true.shape[1], thresholds=bins)
    labels, scores = torch.from_numpy(y_true), torch.from_numpy(y_score)
    for start in range(0, len(labels), batch):
        rows = slice(start, start + batch)
        metric.update(scores[rows], labels[rows])
    precisions, recalls, thresholds = metric.compute()
    chosen = []
    for c in range(y_true.shape[1]):
        precision, recall = precisions[c][:-1], recalls[c][:-1]
        f1 = (2 * precision * recall / (precision + recall)).nan_to_num()  # 0 / 0 at its upper end
        points = thresholds if bins else thresholds[c]
        chosen.append(float(points[f1.argmax()]))
    return np.array(chosen)


CONTESTANTS: dict[str, tuple[Callable[..., Thresholds], int]] = {
    OURS: (ours, N_SAMPLES),
    "mlthresh, 65,536 bins, batches of 256": (ours, 256),
    "mlthresh, rows kept, exact": (rows_kept, 256),
}
PEERS: dict[str, tuple[Callable[..., Thresholds], int]] = {
    # In one update it takes three times as long.
    f"torchmetrics, {PEER_BINS} bins, batches of 256": (curve, 256),
    "torchmetrics, rows kept, exact": (partial(curve, bins=None), 256),
}


def make(search: Callable[..., Thresholds], batch: int) -> Callable[[], Thresholds]:
    """Return the search on simulated data, after a small one that loads what it needs."""
    torch.set_num_threads(1)
    y_true, y_score = simulated(N_SAMPLES, N_CLASSES)
    search(y_true[:300], y_score[:300], batch)
    return partial(search, y_true, y_score, batch)


def macro_f1(thresholds: Thresholds) -> float:
    """Return what thresholds reach on the data that chose them."""
    y_true, y_score = simulated(N_SAMPLES, N_CLASSES)
    called = y_score >= thresholds.astype(np.float32)
    tp = (called & (y_true == 1)).sum(axis=0)
    return float(np.mean(2 * tp / (called.sum(axis=0) + y_true.sum(axis=0))))


def run() -> Iterator[str]:
    """Yield the table."""
    contestants = CONTESTANTS | (PEERS if find_spec("torchmetrics") else {})
    calls: dict[str, Callable[[], Any]] = {n: make(*c) for n, c in contestants.items()}
    f1 = {name: macro_f1(call()) for name, call in calls.items()}
    best = f1["mlthresh, rows kept, exact"]
    seconds = median_cpu_seconds(calls, rounds=3)
    lines = [
        f"**Thresholds from a stream, {N_SAMPLES:,} x {N_CLASSES}**",
        "",
        "| | CPU s | times ours | extra peak MB | macro-F1 lost |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, contestant in contestants.items():
        megabytes = extra_megabytes(partial(make, *contestant))
        lines.append(
            f"| {name} | {seconds[name]:.3g} | {seconds[name] / seconds[OURS]:.3g} "
            f"| {'-' if megabytes is None else f'{megabytes:.1f}'} "
            f"| {best - f1[name]:.1e} |"
        )
    yield "\n".join(lines)
