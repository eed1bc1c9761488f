"""Whom the model serves worse: the test figures by age, sex, camera and the like."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from examples.rfmid.predictions import Predictions
from mlthresh import InputError, ThresholdSet, multilabel_report

_MOST_NUMBERS = 8  # a column with more different numbers is cut into bands
_N_BANDS = 4
_AVERAGES = ("micro_recall", "micro_precision", "macro_f1", "macro_auroc")


def by_subgroup(
    test: Predictions, thresholds: ThresholdSet, n_resamples: int = 1000
) -> dict[str, Any]:
    """Measure each value of each subgroup column by itself, at the thresholds in use.

    Returns
    -------
    dict
        ``variables``: name -> a list with a dictionary for each value: ``value``, ``n_images``,
        ``n_patients`` (None where they aren't known), ``n_positive`` (labels), the averages with
        their intervals, and ``classes`` with the counts, recall and precision of each.
        ``left_out``: name -> why there are no figures.
    """
    variables: dict[str, list[dict[str, Any]]] = {}
    left_out: dict[str, str] = {}
    for name, values in test.subgroups.items():
        banded = in_bands(values)
        if len({value.strip() for value in banded}) < 2:
            left_out[name] = "all test images have the same value"
            continue
        try:
            report = multilabel_report(
                test.y_true,
                test.y_score,
                thresholds,
                groups=test.patients,
                subgroups={name: banded},
                n_resamples=n_resamples,
            )
        except InputError as error:
            left_out[name] = str(error)
            continue
        parts = json.loads(report.to_json())["subgroups"][name]
        variables[name] = [_summary(value, part) for value, part in parts.items()]
    return {"variables": variables, "left_out": left_out}


def in_bands(values: Sequence[str]) -> list[str]:
    """Cut a column of many different numbers at its quartiles; return others as they are.

    Examples
    --------
    >>> in_bands(["f", "m", ""])
    ['f', 'm', '']
    >>> in_bands([str(age) for age in range(20, 28)] + ["", "60"])[::3]
    ['1: 20 to 21', '2: 22 to 23', '4: 26 to 60', '4: 26 to 60']
    """
    numbers = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        try:
            numbers[i] = float(value) if value.strip() else np.nan
        except ValueError:
            return list(values)
    known = np.isfinite(numbers)
    if len(np.unique(numbers[known])) <= _MOST_NUMBERS:
        return list(values)
    cuts = np.unique(np.quantile(numbers[known], np.arange(1, _N_BANDS) / _N_BANDS))
    band = np.searchsorted(cuts, numbers, side="right")
    labels = {
        int(b): f"{b + 1}: {numbers[known & (band == b)].min():g} to "
        f"{numbers[known & (band == b)].max():g}"
        for b in np.unique(band[known])
    }
    return [labels[int(b)] if is_known else "" for b, is_known in zip(band, known, strict=True)]


def _summary(value: str, part: dict[str, Any]) -> dict[str, Any]:
    names = [name for average in _AVERAGES for name in (average, f"{average}_interval")]
    figures = ("name", "support", "n_known", "recall", "recall_interval", "precision", "auroc")
    return {
        "value": value,
        "n_images": part["n_samples"],
        "n_patients": part["n_groups"],
        "n_positive": sum(one["support"] for one in part["classes"]),
        "confidence": part["confidence"],
        **{name: part[name] for name in names},
        "classes": [{name: one[name] for name in figures} for one in part["classes"]],
    }
