r"""Leaving out the cuts of a class that can't be the best, without looking at each.

Between two cuts a < b lie cuts with at most the hits of a and at least the false alarms of b. Where
the objective rises with hits and falls with false alarms, none of them exceeds

.. math:: O(TP(a), FP(b)),

so a few cuts in between tell which stretches can hold the best: of a million cuts, some thousands.
"""

from __future__ import annotations

import numpy as np

from mlthresh._arrays import FloatArray
from mlthresh.constraints import Constraints
from mlthresh.counts import Counts, SortedClass
from mlthresh.objectives import Evaluate

__all__ = ["thinned"]

_STRETCH = 64  # cuts
_FEW = 1 << 11  # cuts that are tried faster than they are thinned
_ROUNDING = 1e-9  # of the largest bound; monotone formulas need not be so to the last bit


def thinned(
    one_class: SortedClass,
    cuts: FloatArray,
    constraints: Constraints,
    c: int,
    objective: Evaluate,
) -> FloatArray:
    """Return a class's cuts without many that can't be the best, nor equally good.

    Parameters
    ----------
    one_class : SortedClass
    cuts : array of shape (n_cuts,)
        Scores of the class's positives, ascending, and the highest threshold.
    constraints : Constraints
        Of all classes.
    c : int
        Which of them this one is.
    objective : callable
        Of counts; where a positive is hit, it never falls with hits, nor rises with false alarms.

    Returns
    -------
    array
        `cuts` itself, if they are few, or if none that was looked at satisfies the constraints.
    """
    if len(cuts) <= _FEW:
        return cuts
    ends = np.append(np.arange(0, len(cuts) - 1, _STRETCH), len(cuts) - 1)
    tp, fp, fn, tn = counts = one_class.counts(cuts[ends])
    feasible = np.all(constraints.of(c).shortfalls(counts) <= 0, axis=0)
    if not feasible.any():
        return cuts
    reached = objective(*counts)[feasible].max()
    bound = objective(*Counts(tp[:-1], fp[1:], fn[:-1], tn[1:]))
    promising = bound >= reached - _ROUNDING * np.abs(bound).max()
    kept = np.append(promising.repeat(np.diff(ends)), True)
    thin: FloatArray = cuts[kept]
    return thin
