"""Thresholds by a configuration, and the validation figures that select the model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.predictions import Predictions
from examples.rfmid.settings import ThresholdConfig
from mlthresh import (
    ThresholdSet,
    cross_fit_thresholds,
    find_optimal_thresholds,
    multilabel_report,
)

_N_SPLITS = 5

# What selects the model -> the entry of ``metrics.jsonl``, and whether more of it is better.
_CRITERIA = {
    "macro_f1_cross_fitted": ("val_macro_f1_cross_fitted", True),
    "macro_f1_tuned": ("val_macro_f1_tuned", True),
    "val_loss": ("val_loss", False),
}


def choose_thresholds(
    config: ThresholdConfig, val: Predictions, *, raw: bool = False
) -> ThresholdSet:
    """Return one threshold per class: tuned on these images, or the fixed one.

    They are for ``val.y_score``, or with `raw` for ``val.y_sigmoid``.
    """
    y_score = val.y_sigmoid if raw else val.y_score
    if config.strategy == "fixed":
        return _fixed_thresholds(config.fixed_threshold, val, y_score)
    return find_optimal_thresholds(
        val.y_true, y_score, class_names=val.class_names, **_options(config)
    )


def _options(config: ThresholdConfig) -> Any:
    return {
        "strategy": config.strategy,
        "grid": _grid(config) if config.strategy == "grid" else None,
        "min_recall": config.min_recall,
        "max_threshold": config.max_threshold,
    }


def _grid(config: ThresholdConfig) -> list[float]:
    """Return the grid's points as the decimals that a reader would write, ends included."""
    n_steps = math.floor((config.grid_max - config.grid_min) / config.grid_step + 1e-9)
    return [round(config.grid_min + step * config.grid_step, 10) for step in range(n_steps + 1)]


def _fixed_thresholds(
    threshold: float, val: Predictions, y_score: npt.NDArray[np.floating[Any]]
) -> ThresholdSet:
    # A grid of one point, but also for classes without positives, where nothing can be searched.
    found = find_optimal_thresholds(
        val.y_true, y_score, class_names=val.class_names, strategy="grid", grid=[threshold]
    )
    thresholds = np.full_like(found.thresholds, threshold)
    known = ~np.isnan(val.y_true)
    alarms = (y_score >= thresholds) & known
    with np.errstate(invalid="ignore"):  # a class without any known label has no alarm rate
        alarm_rate = alarms.sum(axis=0) / known.sum(axis=0)
    return replace(found, thresholds=thresholds, alarm_rate=alarm_rate)


def validation_metrics(config: ThresholdConfig, val: Predictions) -> dict[str, Any]:
    """Return the validation entries of ``metrics.jsonl``, but for the loss.

    Macro averages are over the classes with a positive; the F1 of another is None, and so is an
    AUROC without both kinds. ``val_macro_f1_tuned`` and ``val_f1_per_class`` are measured on the
    labels that chose the thresholds, and so flatter; ``val_macro_f1_cross_fitted`` decides each
    image by thresholds that other patients chose.
    """
    thresholds = choose_thresholds(config, val)
    tuned = multilabel_report(val.y_true, val.y_score, thresholds, n_resamples=0)
    at_half = multilabel_report(val.y_true, val.y_sigmoid, 0.5, n_resamples=0)
    shown = tuned.support > 0
    return {
        "val_macro_f1_at_half": float(at_half.f1[shown].mean()),
        "val_macro_f1_tuned": float(tuned.f1[shown].mean()),
        "val_macro_f1_cross_fitted": _cross_fitted(config, val),
        "val_macro_auroc": None if math.isnan(tuned.macro_auroc) else tuned.macro_auroc,
        "val_f1_per_class": [
            float(f1) if counts else None for f1, counts in zip(tuned.f1, shown, strict=True)
        ],
    }


def _cross_fitted(config: ThresholdConfig, val: Predictions) -> float | None:
    """Return macro-F1 at thresholds that other patients chose; None with a single patient."""
    n_units = len(set(val.patients or val.ids))
    if n_units < 2:
        return None
    if config.strategy == "fixed":  # nothing is fitted
        fixed = multilabel_report(val.y_true, val.y_score, config.fixed_threshold, n_resamples=0)
        return float(fixed.f1[fixed.support > 0].mean())
    return cross_fit_thresholds(
        val.y_true,
        val.y_score,
        n_splits=min(_N_SPLITS, n_units),
        groups=val.patients,
        class_names=val.class_names,
        **_options(config),
    ).macro_f1


def is_better(selection: str, one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether the epoch `one` is to be preferred to the epoch `other`."""
    name, more_is_better = _CRITERIA[selection]
    new, old = one[name], other[name]
    if new is None or old is None:
        return old is None and new is not None
    return bool(new > old if more_is_better else new < old)
