r"""The best thresholds of all classes together: the micro-averaged optimum.

A micro average is the objective O of the counts summed over the classes, of which each class
contributes the true and false positives of one of its admissible cuts. Every objective here is a
quotient of two linear functions of the summed TP and FP. Such a quotient is raised exactly by
what raises its derivative (Dinkelbach): at the counts reached so far, let a hit gain g and a
false alarm lose l. Each class alone then maximises

.. math:: g \cdot TP_c - l \cdot FP_c,

and the summed counts give the next g and l, until the value stays. There it is the maximum, for
any better choice would have a positive sum of gains. The choices that reach it are those in which
every class takes one of its own maxima, so all classes can take the lowest at once: that is how
ties are settled.

References
----------
W. Dinkelbach, "On nonlinear fractional programming", Management Science 13(7), 1967.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._segments import Index, Segments
from mlthresh.constraints import Task
from mlthresh.counts import CountArray, Counts, SortedClass
from mlthresh.cuts import Choices, Cuts, allowed_cuts
from mlthresh.objectives import Evaluate, Objective
from mlthresh.thinning import thinned

__all__ = ["Worth", "best_sum", "choose_together", "search_together"]


@dataclass(frozen=True)
class Worth:
    """What one more hit gains and one more false alarm loses."""

    gain: float
    loss: float

    def __call__(
        self,
        tp: CountArray,
        fp: CountArray,
        fn: CountArray,  # noqa: ARG002
        tn: CountArray,  # noqa: ARG002
    ) -> CountArray:
        """Return the worth of counts."""
        return self.gain * tp - self.loss * fp


def best_sum(
    segments: Segments,
    counts: Counts,
    admissible: npt.NDArray[np.bool_],
    objective: Objective,
    negatives_elsewhere: float = 0.0,
) -> tuple[Index, Worth, float]:
    """Choose an admissible entry of each class, so that the summed counts are the best.

    Parameters
    ----------
    segments : Segments
        Which entries are a class's; each class has an admissible one.
    counts : Counts
        Of all entries.
    admissible : bool array of shape (n_entries,)
    objective : Objective
        With `worth`.
    negatives_elsewhere : float
        True negatives beside those of the classes.

    Returns
    -------
    index : array of shape (n_classes,)
        The first of each class's best.
    worth : Worth
        What counts are worth at the optimum, where `index` has the most worth.
    value : float
        The objective at the optimum.
    """
    if objective.worth is None:
        raise TypeError(f"objective {objective.name!r} does not say what a hit is worth")

    def summed(index: Index) -> Counts:
        tp, fp, fn, tn = (count[index].sum(keepdims=True) for count in counts)
        return Counts(tp, fp, fn, tn + negatives_elsewhere)

    index = segments.first_best(counts.tp, admissible)
    while True:
        at_index = summed(index)
        worth = Worth(*objective.worth(*(float(count[0]) for count in at_index)))
        candidate = segments.first_best(worth(*counts), admissible)
        at_candidate = summed(candidate)
        value = objective(*at_candidate)
        # The second is for rounding: where the worth grows, the value does.
        if worth(*at_candidate) <= worth(*at_index) or value <= objective(*at_index):
            return candidate, worth, float(value[0])
        index = candidate


def choose_together(
    cuts: Cuts, task: Task, objective: Objective, negatives_elsewhere: float
) -> tuple[Index, Choices, Worth]:
    """Choose a cut of each class, feasible ones where it has any, for the best average.

    A class that is given up counts with all its positives missed.
    """
    feasible, admissible = cuts.admissible(task.constraints)
    tp, fp, fn, tn = cuts.counts
    lost = np.zeros(len(feasible), dtype=bool)
    if task.give_up:
        lost = ~(feasible & task.window.holds)
    kept = np.where(lost, 0.0, 1.0)[cuts.segments.of_class]
    counts = Counts(kept * tp, kept * fp, fn + (1 - kept) * tp, tn + (1 - kept) * fp)
    index, worth, value = best_sum(
        cuts.segments, counts, admissible, objective, negatives_elsewhere
    )
    choices = cuts.at(index, np.full(len(index), value), feasible)
    return index, choices, worth


def search_together(
    classes: Sequence[SortedClass], task: Task, objective: Objective, negatives_elsewhere: float
) -> tuple[Choices, Worth]:
    """Return the joint optimum over all cuts that thresholds in the windows can make.

    At equal hits a false alarm only costs, so each class's optimum sits on a positive's score or
    on the highest threshold (see `mlthresh.search.search_exact`), unless false alarms cost
    nothing, as where nothing can be hit.
    """
    every_cut = np.zeros(len(classes), dtype=bool)
    if task.constraints.min_precision is not None:
        every_cut |= task.constraints.min_precision == 0
    while True:
        scores = [
            one_class.distinct_scores() if every else one_class.positive
            for one_class, every in zip(classes, every_cut.tolist(), strict=True)
        ]
        allowed = allowed_cuts(classes, scores, task.window)
        thin = ~every_cut & objective.rises_with_hits
        cuts, index, choices, worth = _choose_of_many(
            classes, allowed, thin, task, objective, negatives_elsewhere
        )
        lacking = ~(choices.feasible & (worth.loss > 0) | every_cut)
        if not lacking.any():
            threshold = cuts.midway(index, task.window.lowest)
            return choices._replace(threshold=threshold), worth
        every_cut |= lacking


def _choose_of_many(
    classes: Sequence[SortedClass],
    allowed: Sequence[FloatArray],
    thin: npt.NDArray[np.bool_],
    task: Task,
    objective: Objective,
    negatives_elsewhere: float,
) -> tuple[Cuts, Index, Choices, Worth]:
    """Choose of these cuts, holding of the classes to `thin` a part that is known to suffice.

    What suffices depends on the worth at the optimum. The worth at the best of the parts so far
    gives the next parts, in which the best is better until it is the optimum, as in `best_sum`.
    """
    value = -np.inf
    evaluate: Evaluate = objective
    while True:
        parts = [
            thinned(one_class, of_class, task.constraints, c, evaluate) if thin[c] else of_class
            for c, (one_class, of_class) in enumerate(zip(classes, allowed, strict=True))
        ]
        cuts = Cuts(classes, parts)
        index, choices, worth = choose_together(cuts, task, objective, negatives_elsewhere)
        is_whole = all(part is of_class for part, of_class in zip(parts, allowed, strict=True))
        if is_whole or choices.value[0] <= value:
            return cuts, index, choices, worth
        value, evaluate = choices.value[0], worth
