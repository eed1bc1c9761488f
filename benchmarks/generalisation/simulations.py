"""Simulated RFMiD: its 16 class frequencies, 640 validation rows, F1 of the whole population.

A class has a latent x, normal with mean 0 without the disease and with mean d (the class's
separability) with it. Trained with plain cross-entropy, a model's logit would be

    logit p = logit prevalence - d^2 / 2 + d x.

Each score model distorts it in the way of one training recipe, and on top of that every class
by a slope and a shift of its own, since no network is equally calibrated for all classes.
The classes' separabilities and distortions are drawn anew in each repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtr

from benchmarks.generalisation.trials import Array, Trial
from mlthresh.counts import Counts

# Training images of RFMiD that show the disease (Pachade et al. 2021), of 1,920:
# DR, MH, ODC, TSLN, DN, MYA, ARMD, BRVO, ODP, ODE, LS, RS, CSR, CRS, CRVO, RPEC.
_COUNTS = np.array([376, 317, 282, 186, 138, 101, 100, 73, 65, 58, 47, 43, 37, 32, 28, 22])
PREVALENCE = _COUNTS / 1920
N_VALIDATION = 640

_GRID = np.linspace(-8, 14, 2201)[:, None]  # latent cuts that the oracle looks at


@dataclass(frozen=True)
class ScoreModel:
    """How a network's logits come about.

    Parameters
    ----------
    separability : float
        Mean over the classes of d.
    hard : float
        Share of positives that show little of the disease: d is a third of the others'.
    tail : float
        Share of all samples whose latent has three times the spread.
    reweighted : bool
        Trained with pos_weight = (1 - prevalence) / prevalence, at most 10: the logit grows by
        its logarithm.
    slope : float
        Factor on the logit; below 1 is timid, as after a focal loss.
    """

    separability: float = 1.3
    hard: float = 0.0
    tail: float = 0.0
    reweighted: bool = False
    slope: float = 1.0


SCORE_MODELS = {
    "calibrated": ScoreModel(),
    "reweighted": ScoreModel(reweighted=True),
    "timid": ScoreModel(reweighted=True, slope=0.2),
    "heavy-tailed mixture": ScoreModel(separability=2.0, hard=0.3, tail=0.1),
    "strong": ScoreModel(separability=1.9, reweighted=True),
}


class Simulated(NamedTuple):
    """A validation set, and the population that it comes from."""

    y_true: npt.NDArray[np.integer]
    y_score: Array
    population: Callable[[Array], Counts]  # thresholds (..., C) -> shares of the population
    best_thresholds: Array  # (C,), of the population's F1


def trials(model: ScoreModel, n_repetitions: int, seed: int = 0) -> Iterator[Trial]:
    """Yield independent repetitions."""
    for repetition in range(n_repetitions):
        drawn = simulate(model, np.random.default_rng([seed, repetition]))

        def held_out_f1(thresholds: Array, drawn: Simulated = drawn) -> Array:
            return f1(drawn.population(thresholds))

        yield Trial(drawn.y_true, drawn.y_score, held_out_f1, held_out_f1(drawn.best_thresholds))


def f1(counts: Counts) -> Array:
    return 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)


def simulate(model: ScoreModel, rng: np.random.Generator) -> Simulated:
    """Draw the classes of a network, and validation rows."""
    n_classes = len(PREVALENCE)
    separability = np.maximum(model.separability + 0.9 * rng.normal(size=n_classes), 0.3)
    slope = model.slope * separability * np.exp(0.15 * rng.normal(size=n_classes))
    pos_weight = np.minimum(1 / PREVALENCE - 1, 10) if model.reweighted else 1.0
    shift = model.slope * (logit(PREVALENCE) - separability**2 / 2 + np.log(pos_weight))
    shift = shift + 0.3 * model.slope * rng.normal(size=n_classes)

    size = (N_VALIDATION, n_classes)
    y_true = (rng.random(size) < PREVALENCE).astype(np.int8)
    shown = np.where(rng.random(size) < model.hard, separability / 3, separability)
    spread = np.where(rng.random(size) < model.tail, 3.0, 1.0)
    latent = y_true * shown + spread * rng.normal(size=size)

    def population(thresholds: Array) -> Counts:
        with np.errstate(divide="ignore"):
            return _population(model, separability, (logit(thresholds) - shift) / slope)

    best = f1(_population(model, separability, _GRID)).argmax(axis=0)
    best_thresholds = expit(shift + slope * _GRID[best, 0])
    return Simulated(y_true, expit(shift + slope * latent), population, best_thresholds)


def _population(model: ScoreModel, separability: Array, cut: Array) -> Counts:
    """Return the shares of the population at latent cuts."""

    def above(mean: Array | float) -> Array:
        """Return the share of the samples of that mean whose latent lies above the cut."""
        return (1 - model.tail) * ndtr(mean - cut) + model.tail * ndtr((mean - cut) / 3)

    recall = (1 - model.hard) * above(separability) + model.hard * above(separability / 3)
    tp, fp = PREVALENCE * recall, (1 - PREVALENCE) * above(0.0)
    return Counts(tp, fp, PREVALENCE - tp, 1 - PREVALENCE - fp)
