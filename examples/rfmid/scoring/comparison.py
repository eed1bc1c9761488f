"""The ways of choosing thresholds that a run is compared with, all chosen on validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.predictions import Predictions
from examples.rfmid.scoring.selection import choose_thresholds
from examples.rfmid.settings import ThresholdConfig
from mlthresh import ThresholdSet

DECK = ThresholdConfig()

_Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """A way of choosing thresholds, and what it chose.

    The deck's ways, `raw`, cut the sigmoid of the network's outputs; the others, probabilities.
    """

    key: str
    description: str
    thresholds: ThresholdSet
    raw: bool = False

    def scores(self, predictions: Predictions) -> npt.NDArray[np.floating[Any]]:
        """Return the scores that the thresholds are for."""
        return predictions.y_sigmoid if self.raw else predictions.y_score


_COMPARED = (
    ("fixed", "0.5 on raw scores", ThresholdConfig(strategy="fixed"), True),
    (
        "grid",
        (
            "grid 0.10, 0.15, ..., 0.90 on raw scores, "
            f"recall >= {DECK.min_recall:g}, threshold <= {DECK.max_threshold:g}"
        ),
        ThresholdConfig(strategy="grid"),
        True,
    ),
    ("exact", "every cut, under the same constraints", ThresholdConfig(strategy="exact"), False),
    (
        "pooled",
        "rare diseases borrow from the others, same constraints",
        ThresholdConfig(strategy="pooled"),
        False,
    ),
)


def chosen_thresholds(val: Predictions, in_use: ThresholdSet) -> list[Rule]:
    """Return the thresholds of each way of choosing, the ones in use last."""
    compared = [
        Rule(key, description, choose_thresholds(settings, val, raw=raw), raw)
        for key, description, settings, raw in _COMPARED
    ]
    return [*compared, Rule("in_use", "thresholds.json, as shipped", in_use)]


def macro_f1_difference(
    predictions: Predictions,
    one: Rule,
    other: Rule,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Return macro-F1 at `one` minus macro-F1 at `other` on the same images.

    Macro-F1 is over the classes with a positive. The interval comes from resampling patients, or
    images where they aren't known, with replacement (percentiles); both sides see the same
    resample, so what is easy or hard for both cancels out. A class that a resample leaves without
    hits counts as 0.

    Returns
    -------
    dict
        ``macro_f1_difference`` and its ``interval`` (two None without resamples).
    """
    shown = predictions.select(predictions.shown)
    outcomes = [
        decided(
            shown.y_true,
            rule.thresholds.select(shown.class_names).predict(rule.scores(shown)),
            shown.patients,
        )
        for rule in (one, other)
    ]
    n = outcomes[0][0].shape[1]
    difference = _difference(outcomes, np.ones((n, 1)))[0]
    interval: list[float | None] = [None, None]
    if n_resamples:
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples).T.astype(np.float64)
        tail = (1 - confidence) / 2
        interval = np.quantile(_difference(outcomes, drawn), [tail, 1 - tail]).tolist()
    return {"macro_f1_difference": float(difference), "interval": interval}


def decided(
    labels: npt.NDArray[np.float32],
    alarms: npt.NDArray[np.bool_],
    patients: Sequence[str] | None = None,
) -> tuple[_Float64Array, _Float64Array]:
    """Return hits and errors of decisions, both of shape (n_classes, n_units).

    The units are patients, or images where `patients` is None. A missing label is neither.
    """
    hits = (labels == 1) & alarms
    errors = ((labels == 1) & ~alarms) | ((labels == 0) & alarms)
    outcomes = hits.astype(np.float64), errors.astype(np.float64)
    if patients is not None:
        names, unit = np.unique(np.asarray(patients), return_inverse=True)
        by_patient = np.zeros((2, len(names), labels.shape[1]))
        for kind, sums in zip(outcomes, by_patient, strict=True):
            np.add.at(sums, unit, kind)
        outcomes = by_patient[0], by_patient[1]
    return outcomes[0].T, outcomes[1].T


def macro_f1_of(
    outcomes: tuple[_Float64Array, _Float64Array], multiplicity: _Float64Array
) -> _Float64Array:
    """Return macro-F1 for each column of `multiplicity`, how often each unit counts.

    `outcomes` are those of `decided`. A class without hits counts as 0.
    """
    hits, errors = (kind @ multiplicity for kind in outcomes)
    f1 = np.divide(2 * hits, 2 * hits + errors, out=np.zeros_like(hits), where=hits > 0)
    mean: _Float64Array = f1.mean(axis=0)
    return mean


def _difference(
    outcomes: list[tuple[_Float64Array, _Float64Array]], multiplicity: _Float64Array
) -> _Float64Array:
    """Return the difference for each column of `multiplicity`, how often each unit counts."""
    one, other = (macro_f1_of(kinds, multiplicity) for kinds in outcomes)
    return one - other
