"""The search for the thresholds of several classes, each for itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlthresh._arrays import FloatArray
from mlthresh.constraints import Task
from mlthresh.counts import SortedClass
from mlthresh.cuts import Choices, Cuts, allowed_cuts
from mlthresh.objectives import Objective
from mlthresh.thinning import thinned

__all__ = ["search_exact", "search_nearest", "search_points"]

_CUTS_AT_ONCE = 1 << 16


def search_points(
    classes: Sequence[SortedClass],
    points: Sequence[FloatArray],
    task: Task,
    objective: Objective,
) -> Choices:
    """Return the best of each class's points (ascending); the lower of equals."""
    return Cuts(classes, points).best(objective, task.constraints)[1]


def search_exact(classes: Sequence[SortedClass], task: Task, objective: Objective) -> Choices:
    r"""Return the best of all cuts that some threshold in the window can make.

    Every distinct score is a cut, and so is the highest threshold (infinity: never positive).
    Between two neighbouring scores of positives, a higher threshold only loses false alarms.
    Where the objective falls with them, and the constraints get no harder with fewer, the
    optimum sits on a positive's score or on the highest threshold. Ties in the objective, which
    the lower threshold wins, can only break this where nothing is hit (tp = 0), and a class that
    is infeasible is ranked by its shortfalls: both are searched over all cuts.
    """
    if not objective.falls_with_false_alarms:
        return _search_every_cut(classes, task, objective)
    positives = [one_class.positive for one_class in classes]
    cuts = allowed_cuts(classes, positives, task.window)
    if objective.rises_with_hits:
        cuts = [
            thinned(one_class, of_class, task.constraints, c, objective)
            for c, (one_class, of_class) in enumerate(zip(classes, cuts, strict=True))
        ]
    choices = _search_cuts(classes, cuts, task, objective)
    settled = choices.feasible & (choices.counts.tp > 0)
    if task.constraints.min_precision is not None:
        # Among cuts without a hit, one with false alarms has a precision (0), one without has none.
        settled &= task.constraints.min_precision != 0
    for c in np.flatnonzero(~settled).tolist():
        one = slice(c, c + 1)
        choices.put(one, _search_every_cut(classes[one], task.of(one), objective))
    return choices


def search_nearest(
    one_class: SortedClass, called: float, task: Task, objective: Objective
) -> Choices:
    """Return the cut of one class that satisfies the constraints and calls nearest to this many.

    That cut decides the fewest samples otherwise. Where no cut of the window satisfies the
    constraints, the closest is returned, as in the exact search.
    """
    classes = [one_class]
    cuts = Cuts(classes, allowed_cuts(classes, [one_class.distinct_scores()], task.window))
    feasible = np.all(task.constraints.of(0).shortfalls(cuts.counts) <= 0, axis=0)
    if feasible.any():
        distance = np.abs(cuts.counts.tp + cuts.counts.fp - called)
        nearest = np.argmin(np.where(feasible, distance, np.inf))
        cuts = Cuts(classes, [cuts.threshold[[nearest]]])
    return _midway(cuts, task, objective)


def _search_every_cut(classes: Sequence[SortedClass], task: Task, objective: Objective) -> Choices:
    distinct = [one_class.distinct_scores() for one_class in classes]
    return _search_cuts(classes, allowed_cuts(classes, distinct, task.window), task, objective)


def _search_cuts(
    classes: Sequence[SortedClass], cuts: list[FloatArray], task: Task, objective: Objective
) -> Choices:
    for c, of_class in enumerate(cuts):
        if len(of_class) > _CUTS_AT_ONCE:
            # The best cut is the best of the blocks' best, whose counts need not be held at once.
            one = slice(c, c + 1)
            blocks = np.array_split(of_class, len(of_class) // _CUTS_AT_ONCE + 1)
            best = [search_points(classes[one], [b], task.of(one), objective) for b in blocks]
            cuts[c] = np.concatenate([choices.threshold for choices in best])
    return _midway(Cuts(classes, cuts), task, objective)


def _midway(cuts: Cuts, task: Task, objective: Objective) -> Choices:
    index, choices = cuts.best(objective, task.constraints)
    return choices._replace(threshold=cuts.midway(index, task.window.lowest))
