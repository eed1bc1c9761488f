"""What one would otherwise choose thresholds with: a grid loop, and precision-recall curves."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.metrics import f1_score, precision_recall_curve, recall_score

BINNED = "torchmetrics, 200 thresholds"
_ROWS_A_BATCH = 1024  # torchmetrics compares a whole batch with all of its 200 thresholds


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
    return [
        _best_of_curve(*precision_recall_curve(y_true[:, c], y_score[:, c]))
        for c in range(y_true.shape[1])
    ]


def torchmetrics_curves(y_true: np.ndarray, y_score: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Return the same by torchmetrics, from exact curves and from 200 bins; nothing without it."""
    if find_spec("torchmetrics") is None:
        return {}
    import torch
    from torchmetrics.classification import MultilabelPrecisionRecallCurve

    torch.set_num_threads(1)
    labels, scores = torch.from_numpy(y_true).long(), torch.from_numpy(y_score)

    def chosen(thresholds: int | None, rows: int) -> list[float]:
        metric = MultilabelPrecisionRecallCurve(y_true.shape[1], thresholds, validate_args=False)
        for batch in zip(scores.split(rows), labels.split(rows), strict=True):
            metric.update(*batch)
        precision, recall, points = metric.compute()
        each = points if thresholds is None else [points] * y_true.shape[1]
        return [
            _best_of_curve(*(one.numpy() for one in curve))
            for curve in zip(precision, recall, each, strict=True)
        ]

    return {
        "torchmetrics, exact curves": lambda: chosen(None, len(y_true)),
        BINNED: lambda: chosen(200, _ROWS_A_BATCH),
    }


def _best_of_curve(precision: np.ndarray, recall: np.ndarray, threshold: np.ndarray) -> float:
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    f1[recall < 0.3] = -1
    return float(threshold[min(np.argmax(f1), len(threshold) - 1)])
