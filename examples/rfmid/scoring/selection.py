"""Thresholds by a configuration, and the validation figures that select the model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.settings import ThresholdConfig
from mlthresh import ThresholdSet, find_optimal_thresholds, multilabel_report

__all__ = ["choose_thresholds", "is_better", "validation_metrics"]

_Array = npt.NDArray[np.float32]


def choose_thresholds(
    config: ThresholdConfig, y_true: _Array, y_score: _Array, class_names: tuple[str, ...]
) -> ThresholdSet:
    """Return one threshold per class: tuned on these labels and scores, or the fixed one."""
    if config.strategy == "fixed":
        return _fixed_thresholds(config.fixed_threshold, y_true, y_score, class_names)
    grid = _grid(config) if config.strategy == "grid" else None
    return find_optimal_thresholds(
        y_true,
        y_score,
        class_names=class_names,
        strategy=config.strategy,
        grid=grid,
        min_recall=config.min_recall,
        max_threshold=config.max_threshold,
    )


def _grid(config: ThresholdConfig) -> list[float]:
    """Return the grid's points as the decimals that a reader would write, ends included."""
    n_steps = math.floor((config.grid_max - config.grid_min) / config.grid_step + 1e-9)
    return [round(config.grid_min + step * config.grid_step, 10) for step in range(n_steps + 1)]


def _fixed_thresholds(
    threshold: float, y_true: _Array, y_score: _Array, class_names: tuple[str, ...]
) -> ThresholdSet:
    # A grid of one point, but also for classes without positives, where nothing can be searched.
    found = find_optimal_thresholds(
        y_true, y_score, class_names=class_names, strategy="grid", grid=[threshold]
    )
    thresholds = np.full_like(found.thresholds, threshold)
    known = ~np.isnan(y_true)
    alarms = (y_score >= thresholds) & known
    with np.errstate(invalid="ignore"):  # a class without any known label has no alarm rate
        alarm_rate = alarms.sum(axis=0) / known.sum(axis=0)
    return replace(found, thresholds=thresholds, alarm_rate=alarm_rate)


def validation_metrics(
    config: ThresholdConfig, y_true: _Array, y_score: _Array, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Return the validation entries of ``metrics.jsonl``, but for the loss.

    Macro averages are over the classes with a positive; the F1 of another is None, and so is an
    AUROC without both kinds. ``val_macro_f1_tuned`` and ``val_f1_per_class`` are measured on the
    labels that chose the thresholds, and so flatter.
    """
    thresholds = choose_thresholds(config, y_true, y_score, class_names)
    tuned = multilabel_report(y_true, y_score, thresholds, n_resamples=0)
    at_half = multilabel_report(y_true, y_score, 0.5, n_resamples=0)
    shown = tuned.support > 0
    return {
        "val_macro_f1_at_half": float(at_half.f1[shown].mean()),
        "val_macro_f1_tuned": float(tuned.f1[shown].mean()),
        "val_macro_auroc": None if math.isnan(tuned.macro_auroc) else tuned.macro_auroc,
        "val_f1_per_class": [
            float(f1) if counts else None for f1, counts in zip(tuned.f1, shown, strict=True)
        ],
    }


def is_better(selection: str, one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether the epoch `one` is to be preferred to the epoch `other`."""
    if selection == "val_loss":
        return bool(one["val_loss"] < other["val_loss"])
    return bool(one["val_macro_f1_tuned"] > other["val_macro_f1_tuned"])
