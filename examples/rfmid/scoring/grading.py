"""How well predicted grades of severity agree with known ones.

The predicted grade is the median of the predicted distribution. Two figures of the agreement:

- quadratically weighted kappa (Cohen 1968), 1 - sum w O / sum w E with w = (i - j)**2, O the
  observed and E the table that chance would make of its margins: 1 is perfect, 0 is chance;
- the mean absolute error in grades.

Over all images both mostly say whether the disease is found; over those that have it (grade above
0), whether its severity is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from examples.rfmid.predictions import Predictions
from examples.rfmid.tables import number, with_interval

_CONFIDENCE = 0.95
_SEED = 0

_Floats = npt.NDArray[np.float64]


def grade_agreement(val: Predictions, test: Predictions, n_resamples: int) -> list[dict[str, Any]]:
    """Return the agreement of each graded disease on the test images.

    Intervals are percentiles over resampled patients, or images where no patients are named. For
    comparison, the error of giving every image the median grade of the validation images.
    """
    if val.grades is None or test.grades is None:
        return []
    predicted = test.grades.median
    units = test.ids if test.patients is None else test.patients
    found = []
    for g, code in enumerate(test.grades.codes):
        levels, true, of_val = test.grades.levels[g], test.grades.true[:, g], val.grades.true[:, g]
        known = ~np.isnan(true)
        seen = of_val[~np.isnan(of_val)]
        kinds = {"all": known, "diseased": known & (true > 0)}
        found.append(
            {
                "class": code,
                "levels": levels,
                "confidence": _CONFIDENCE,
                "n_of_grade": [int((true == k).sum()) for k in range(levels)],
                **{
                    name: _agreement(
                        true[rows].astype(np.intp),
                        predicted[rows, g],
                        levels,
                        np.array(units)[rows],
                        int(np.median(seen[seen > 0] if name == "diseased" else seen))
                        if (seen > 0).any()
                        else None,
                        n_resamples,
                    )
                    for name, rows in kinds.items()
                },
            }
        )
    return found


def grade_summary(found: list[dict[str, Any]]) -> list[str]:
    """Write one line for each graded disease."""
    return [
        f"grades of {one['class']}: weighted kappa "
        f"{with_interval(one['all']['kappa'], one['all']['kappa_interval'])}, mean absolute error "
        f"{with_interval(one['all']['error'], one['all']['error_interval'])} "
        f"({number(one['all']['error_of_median'])} for the same grade everywhere)"
        for one in found
    ]


def quadratic_kappa(tables: _Floats) -> _Floats:
    """Return the kappa of tables (..., levels, levels) of true and predicted grades.

    NaN where chance alone would make no error.
    """
    levels = tables.shape[-1]
    weight = np.subtract.outer(np.arange(levels), np.arange(levels)) ** 2
    margins = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :]
    by_chance = (weight * margins).sum(axis=(-2, -1))
    observed = (weight * tables).sum(axis=(-2, -1)) * tables.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa: _Floats = np.where(by_chance > 0, 1 - observed / by_chance, np.nan)
    return kappa


def mean_absolute_error(tables: _Floats) -> _Floats:
    """Return the mean distance of true and predicted grade in tables (..., levels, levels)."""
    levels = tables.shape[-1]
    distance = np.abs(np.subtract.outer(np.arange(levels), np.arange(levels)))
    with np.errstate(invalid="ignore"):
        error: _Floats = (distance * tables).sum(axis=(-2, -1)) / tables.sum(axis=(-2, -1))
    return error


def _agreement(
    true: npt.NDArray[np.intp],
    predicted: npt.NDArray[np.intp],
    levels: int,
    units: npt.NDArray[np.str_],
    constant: int | None,
    n_resamples: int,
) -> dict[str, Any]:
    names, unit_of = np.unique(units, return_inverse=True)
    tables = np.zeros((len(names), levels, levels))
    np.add.at(tables, (unit_of, true, predicted), 1)
    whole = tables.sum(axis=0)
    n = len(names)
    drawn = np.empty((0, levels, levels))
    if n and n_resamples:
        counts = np.random.default_rng(_SEED).multinomial(n, np.full(n, 1 / n), n_resamples)
        drawn = (counts @ tables.reshape(n, -1)).reshape(-1, levels, levels)
    return {
        "n": len(true),
        "kappa": _finite(quadratic_kappa(whole)),
        "kappa_interval": _interval(quadratic_kappa(drawn)),
        "error": _finite(mean_absolute_error(whole)),
        "error_interval": _interval(mean_absolute_error(drawn)),
        "error_of_median": None
        if constant is None or not len(true)
        else float(np.abs(true - constant).mean()),
    }


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _interval(values: _Floats) -> list[float | None]:
    defined = values[np.isfinite(values)]
    if not len(defined):
        return [None, None]
    tail = 50 * (1 - _CONFIDENCE)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return [float(low), float(high)]
