"""Systems on the same test images and classes: how far apart they are, and how sure that is.

Two kinds of chance are kept apart. Intervals come from drawing the test *patients* anew, the same
for every system: what another test set might have shown of the networks that there are. The values
by *seed* show what another training might have made of the same data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from examples.rfmid.errors import RecipeError
from examples.rfmid.predictions import Predictions
from examples.rfmid.scoring.comparison import decided, macro_f1_of
from examples.rfmid.scoring.evaluate import recall_floor
from mlthresh import ThresholdSet, multilabel_report

_Float64Array = npt.NDArray[np.float64]
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Scored:
    """One trained system on the test images.

    Attributes
    ----------
    macro_f1, macro_auroc
    macro_f1_all_positive
        Of calling every class in every image.
    n_learned
        Classes with a hit.
    floors_met, floors_broken
        Classes that met the floor on recall on validation; those of them that missed it on test.
    resampled : array of shape (n_resamples,)
        Macro-F1 on test patients drawn anew.
    """

    macro_f1: float
    macro_auroc: float
    macro_f1_all_positive: float
    n_learned: int
    floors_met: int
    floors_broken: int
    resampled: _Float64Array


def drawn_patients(
    test: Predictions, *, n_resamples: int = 1000, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Return how often each test image counts, shape (n_images, n_resamples), patients drawn whole.

    Without patients, images are drawn.
    """
    units = test.ids if test.patients is None else test.patients
    _, unit_of = np.unique(np.array(units), return_inverse=True)
    n_units = int(unit_of.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_resamples)
    return drawn.T[unit_of].astype(np.float64)


def score(
    val: Predictions,
    test: Predictions,
    thresholds: ThresholdSet,
    *,
    classes: Sequence[str],
    drawn: npt.NDArray[np.float64],
) -> Scored:
    """Score a system on some of its classes, those with a positive test image."""
    absent = [name for name in classes if name not in test.class_names]
    if absent:
        raise RecipeError(f"a system to compare lacks the classes {', '.join(absent)}")
    shown = test.select(classes).shown
    if not shown:
        raise RecipeError("no test image shows a disease: nothing can be scored")
    val, test = val.select(shown), test.select(shown)
    chosen = thresholds.select(shown)
    report = multilabel_report(test.y_true, test.y_score, chosen, n_resamples=0)
    floor = recall_floor(chosen, val, test)
    outcomes = decided(test.y_true, chosen.predict(test.y_score))
    return Scored(
        macro_f1=float(macro_f1_of(outcomes, np.ones((len(test.ids), 1)))[0]),
        macro_auroc=report.macro_auroc,
        macro_f1_all_positive=report.macro_f1_all_positive,
        n_learned=report.n_learned,
        floors_met=len(floor["met_on_validation"]),
        floors_broken=len(floor["broken_on_test"]),
        resampled=macro_f1_of(outcomes, drawn),
    )


def summarised(by_seed: Mapping[int, Scored]) -> dict[str, Any]:
    """Return means over seeds, the interval over test patients, and each seed's macro-F1."""
    runs = list(by_seed.values())
    macro_f1 = float(np.mean([run.macro_f1 for run in runs]))
    resampled = np.mean([run.resampled for run in runs], axis=0)
    return {
        "macro_f1": macro_f1,
        "macro_f1_interval": _bias_corrected(macro_f1, resampled),
        "macro_f1_by_seed": {str(seed): run.macro_f1 for seed, run in by_seed.items()},
        "macro_auroc": _mean([run.macro_auroc for run in runs]),
        "n_learned": _mean([run.n_learned for run in runs]),
        "floors_met": _mean([run.floors_met for run in runs]),
        "floors_broken": _mean([run.floors_broken for run in runs]),
    }


def compared(one: Mapping[int, Scored], other: Mapping[int, Scored]) -> dict[str, Any] | None:
    """Return macro-F1 of `one` minus that of `other`, seed by seed, on the same drawn patients.

    Only seeds that both have count; None without any. ``relative`` is the difference as a part of
    the other's macro-F1.
    """
    seeds = [seed for seed in one if seed in other]
    if not seeds:
        return None
    by_seed = {str(seed): one[seed].macro_f1 - other[seed].macro_f1 for seed in seeds}
    difference = float(np.mean(list(by_seed.values())))
    resampled, level = (
        np.mean([of[seed].resampled for seed in seeds], axis=0) for of in (one, other)
    )
    resampled = resampled - level
    base = float(np.mean([other[seed].macro_f1 for seed in seeds]))
    relative = np.divide(resampled, level, out=np.full_like(level, np.nan), where=level > 0)
    return {
        "difference": difference,
        "interval": _quantiles(resampled),
        "by_seed": by_seed,
        "relative": difference / base if base > 0 else None,
        "relative_interval": _quantiles(relative),
    }


def _mean(values: Sequence[float]) -> float | None:
    mean = float(np.mean(values))
    return None if np.isnan(mean) else mean


def _quantiles(values: _Float64Array) -> list[float | None]:
    known = values[~np.isnan(values)]
    if not len(known):
        return [None, None]
    tail = (1 - CONFIDENCE) / 2
    ends: list[float | None] = np.quantile(known, [tail, 1 - tail]).tolist()
    return ends


def _bias_corrected(estimate: float, values: _Float64Array) -> list[float]:
    """Return Efron's bias-corrected percentile interval: F1 of rare classes falls in resamples."""
    below = (np.mean(values < estimate) + np.mean(values <= estimate)) / 2
    least = 0.5 / len(values)
    z0, z = ndtri(np.clip(below, least, 1 - least)), ndtri((1 + CONFIDENCE) / 2)
    ends: list[float] = np.quantile(values, ndtr([2 * z0 - z, 2 * z0 + z])).tolist()
    return ends
