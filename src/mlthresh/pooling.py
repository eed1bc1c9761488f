r"""The generalising strategy: thresholds for which rare classes borrow strength from the others.

The best cut on a handful of positives is the best by luck. Instead, the probability of the
class given its score is modelled, all classes together, and the threshold maximises the
objective of the *expected* counts

.. math:: TP(t) = \sum_{i: s_i \ge t} p_i, \qquad FP(t) = \sum_{i: s_i \ge t} (1 - p_i),

which run over all samples, labels unseen. Three hierarchical logistic models are averaged, each
class weighting them by their evidence:

- a line on the scale that all classes share, for networks whose outputs mean the same in every
  class, up to a common distortion: nothing is borrowed more cheaply;
- the same with three bends, which bimodal and heavy-tailed scores need;
- a line with one bend on a scale of the class's own, half its standardised scores and half
  their normal ranks, for scores that mean something else in every class.

Where a class has thousands of positives the observed counts take over, with a share of
n^2 / (n^2 + 2000^2), so that it ends at its exact optimum; hundreds are still better modelled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._hierarchical import fit_logistic
from mlthresh._segments import Segments
from mlthresh._support import Matrix, Support
from mlthresh.constraints import Constraints, Window
from mlthresh.counts import Counts, from_here_up
from mlthresh.joint import best_sum
from mlthresh.objectives import Objective

__all__ = ["pooled_targets"]

_MANY = 2000.0  # positives that are trusted as much as the model
_TAIL = 3.0  # spreads from the median beyond which the common scale turns logarithmic


def pooled_targets(
    support: Support,
    windows: Sequence[Window],
    objective: Objective,
    constraints: Sequence[Constraints],
    *,
    together: bool = False,
) -> list[np.floating[Any]]:
    """Return for each class the threshold with the best expected objective.

    Where some threshold of the window satisfies the constraints in expectation, the best of
    those. A class without samples gets the median of the others' thresholds.

    Parameters
    ----------
    support : Support
        Of all classes, of which one has a positive.
    windows, constraints : sequences of n_classes
    objective : Objective
        Called with expected counts, which are not whole numbers.
    together : bool, default False
        The best objective is that of the expected counts summed over the classes.
    """
    probability = class_probability(support)
    known = [c for c, cuts in enumerate(support.cuts) if len(cuts)]
    candidates = [_candidates(support, c, windows[c]) for c in known]
    each = [
        _expected_counts(support, c, probability[c])(thresholds)
        for c, thresholds in zip(known, candidates, strict=True)
    ]
    admissible = [
        _feasible_if_any(constraints[c], counts) for c, counts in zip(known, each, strict=True)
    ]
    segments = Segments([len(thresholds) for thresholds in candidates])
    counts = Counts(*(np.concatenate(count) for count in zip(*each, strict=True)))
    among = np.concatenate(admissible)
    if together:
        index, *_ = best_sum(segments, counts, among, objective)
    else:
        index = segments.first_best(objective(*counts), among)
    found = dict(zip(known, np.concatenate(candidates)[index], strict=True))
    typical = np.median(list(found.values())).astype(windows[0].lowest.dtype)
    return [
        found.get(c, np.clip(typical, window.lowest, window.highest))
        for c, window in enumerate(windows)
    ]


def class_probability(support: Support) -> Matrix:
    """Return P(positive | score) at each point, averaged over the models by their evidence."""
    weight = support.weight
    score = support.score / (np.abs(support.score).max() or 1.0)  # its square is finite
    common, own = _common_scale(score, weight), _own_scale(score, weight)
    fits = [
        fit_logistic(_bent(x, bends, sharpness), support.positive, weight)
        for x, bends, sharpness in (
            (common, (), 1.0),
            (common, (0.0, 1.0, 2.0), 3.0),
            (own, (1.0,), 2.0),
        )
    ]
    log_evidence = np.array([fit.log_evidence for fit in fits])
    share = np.exp(log_evidence - log_evidence.max(axis=0))
    share /= share.sum(axis=0)
    return np.asarray(sum(s[:, None] * fit.probability for s, fit in zip(share, fits, strict=True)))


def _candidates(support: Support, c: int, window: Window) -> FloatArray:
    """Return the thresholds of one class that are allowed, ascending."""
    thresholds = support.thresholds[c]
    thresholds = np.append(thresholds, thresholds.dtype.type(np.inf))
    return np.unique(np.clip(thresholds, window.lowest, window.highest))


def _feasible_if_any(constraints: Constraints, counts: Counts) -> npt.NDArray[np.bool_]:
    feasible: npt.NDArray[np.bool_] = np.all(constraints.shortfalls(counts) <= 0, axis=0)
    return feasible if feasible.any() else np.ones_like(feasible)


def _expected_counts(
    support: Support, c: int, probability: Matrix
) -> Callable[[FloatArray], Counts]:
    n = len(support.cuts[c])
    positive, weight = support.positive[c, :n], support.weight[c, :n]
    observed = positive.sum() ** 2 / (positive.sum() ** 2 + _MANY**2)
    expected = observed * positive + (1 - observed) * weight * probability[:n]
    hits = from_here_up(expected * support.unit[c])
    called = from_here_up(weight * support.unit[c])

    def counts(thresholds: FloatArray) -> Counts:
        index = support.cuts[c].searchsorted(thresholds)
        tp, alarms = hits[index], called[index]
        fn, silent = hits[0] - tp, called[0] - alarms
        # Rounding may leave a count a hair below zero.
        return Counts(tp, np.maximum(alarms - tp, 0), fn, np.maximum(silent - fn, 0))

    return counts


def _common_scale(score: Matrix, weight: Matrix) -> Matrix:
    """Return all scores on one scale: mean 0, variance 1, and logarithmic far from the median."""
    used = weight > 0
    value, w = score[used], weight[used]
    order = np.argsort(value)
    rank = np.cumsum(w[order])
    index = np.searchsorted(rank, np.array([0.25, 0.5, 0.75]) * rank[-1])
    low, median, high = value[order][index]
    spread = (high - low) / 1.35 or np.ptp(value) or 1.0
    x = _TAIL * np.arcsinh((score - median) / (_TAIL * spread))
    mean = np.average(x[used], weights=w)
    deviation = np.sqrt(np.average((x[used] - mean) ** 2, weights=w))
    return np.asarray((x - mean) / (deviation or 1.0))


def _own_scale(score: Matrix, weight: Matrix) -> Matrix:
    """Return each class's standardised scores, averaged with their normal ranks."""
    from scipy.special import ndtri

    total = np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    mean = (weight * score).sum(axis=1, keepdims=True) / total
    deviation = np.sqrt((weight * (score - mean) ** 2).sum(axis=1, keepdims=True) / total)
    standard = (score - mean) / np.where(deviation > 0, deviation, 1.0)
    rank = (np.cumsum(weight, axis=1) - weight / 2) / total
    least = 0.5 / total
    return np.asarray((standard + ndtri(np.clip(rank, least, 1 - least))) / 2)


def _bent(x: Matrix, bends: tuple[float, ...], sharpness: float) -> Matrix:
    """Return a constant, x, and for each bend a smooth max(0, x - bend)."""
    columns = [np.ones_like(x), x]
    columns += [np.logaddexp(0, sharpness * (x - bend)) / sharpness for bend in bends]
    return np.stack(columns, axis=2)
