"""The search for one class's threshold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlthresh._arrays import FloatArray
from mlthresh.constraints import Constraints
from mlthresh.counts import CountArray, Counts, SortedClass
from mlthresh.objectives import Objective

__all__ = ["Choice", "Window", "search_exact", "search_grid", "search_nearest"]


class Window(NamedTuple):
    """The thresholds that are allowed, both ends included.

    `holds` is False where two demands excluded each other and the weaker one was dropped.
    """

    lowest: np.floating[Any]
    highest: np.floating[Any]
    holds: bool = True

    def narrowed(
        self, lowest: np.floating[Any], highest: np.floating[Any], *, holds: bool = True
    ) -> Window:
        """Return what is left below `highest` and, where that leaves anything, above `lowest`."""
        new_highest = min(self.highest, max(self.lowest, highest))
        fits = lowest <= new_highest
        new_lowest = max(self.lowest, lowest) if fits else self.lowest
        fits = bool(fits and highest >= self.lowest)
        return Window(new_lowest, new_highest, self.holds and holds and fits)

    def inside(self, points: FloatArray) -> FloatArray:
        """Return those of the points that are allowed."""
        return points[(self.lowest <= points) & (points <= self.highest)]


class Choice(NamedTuple):
    """A threshold, what it reaches, and whether it satisfies the constraints."""

    threshold: np.floating[Any]
    value: float
    counts: Counts
    feasible: bool


def search_grid(
    one_class: SortedClass, grid: FloatArray, objective: Objective, constraints: Constraints
) -> Choice:
    """Return the best of the given thresholds (ascending); the lower of equals."""
    return _best(one_class, grid, objective, constraints)


def search_exact(
    one_class: SortedClass, window: Window, objective: Objective, constraints: Constraints
) -> Choice:
    r"""Return the best of all cuts that some threshold in the window can make.

    Every distinct score is a cut, and so is the highest threshold (infinity: never positive).
    Between two neighbouring scores of positives, a higher threshold only loses false alarms.
    Where the objective falls with them, and the constraints get no harder with fewer, the
    optimum sits on a positive's score or on the highest threshold. Ties in the objective, which
    the lower threshold wins, can only break this where nothing is hit (tp = 0), and a class that
    is infeasible is ranked by its shortfalls: both are searched over all cuts.
    """
    # Among cuts without a hit, one with false alarms has a precision (0), one without has none.
    few_cuts = objective.falls_with_false_alarms and constraints.min_precision != 0
    if few_cuts:
        cuts = _cuts(one_class, one_class.positive, window)
        choice = _best(one_class, cuts, objective, constraints)
        few_cuts = choice.feasible and bool(choice.counts.tp > 0)
    if not few_cuts:
        cuts = _cuts(one_class, one_class.distinct_scores(), window)
        choice = _best(one_class, cuts, objective, constraints)
    return choice._replace(threshold=_midway(one_class, choice.threshold, window.lowest))


def search_nearest(
    one_class: SortedClass,
    window: Window,
    target: np.floating[Any],
    objective: Objective,
    constraints: Constraints,
) -> Choice:
    """Return the target if it satisfies the constraints, else the cut nearest to it that does.

    The nearest cut decides the fewest samples otherwise. Where no cut of the window satisfies
    the constraints, the closest is returned, as in the exact search.
    """
    choice = _best(one_class, np.array([target]), objective, constraints)
    if choice.feasible:
        return choice
    cuts = _cuts(one_class, one_class.distinct_scores(), window)
    counts = one_class.counts(cuts)
    feasible = np.all(constraints.shortfalls(counts) <= 0, axis=0)
    if feasible.any():
        distance = np.abs(counts.tp + counts.fp - choice.counts.tp - choice.counts.fp)
        cuts = cuts[[np.argmin(np.where(feasible, distance, np.inf))]]
    choice = _best(one_class, cuts, objective, constraints)
    return choice._replace(threshold=_midway(one_class, choice.threshold, window.lowest))


def _cuts(one_class: SortedClass, scores: FloatArray, window: Window) -> FloatArray:
    # Equal scores stay: of equal cuts the first is chosen.
    start = scores.searchsorted(max(window.lowest, one_class.floor))
    stop = max(start, scores.searchsorted(window.highest))
    cuts = np.empty(stop - start + 1, dtype=scores.dtype)
    cuts[:-1] = scores[start:stop]
    cuts[-1] = window.highest
    return cuts


def _midway(
    one_class: SortedClass, upper: np.floating[Any], lowest: np.floating[Any]
) -> np.floating[Any]:
    """Return the middle of the gap below `upper`: the same decisions, with room on both sides."""
    if np.isinf(upper):
        return upper
    lower = one_class.next_lower(upper)
    if lower is None:
        return upper
    middle = one_class.usable(lower / 2 + upper / 2)
    if not middle > lower:  # neighbouring floats have no number between them
        return upper
    return max(middle, lowest)


def _best(
    one_class: SortedClass, thresholds: FloatArray, objective: Objective, constraints: Constraints
) -> Choice:
    """Return the best feasible threshold, or else the one that comes closest."""
    counts = one_class.counts(thresholds)
    value = objective(*counts)
    shortfalls = constraints.shortfalls(counts)
    feasible = np.all(shortfalls <= 0, axis=0)
    candidates = np.flatnonzero(feasible)
    if len(candidates):
        best = int(candidates[np.argmax(value[candidates])])
    else:
        best = _closest(shortfalls, value)
    at_best = Counts(*(count[best] for count in counts))
    return Choice(thresholds[best], float(value[best]), at_best, bool(feasible[best]))


def _closest(shortfalls: CountArray, value: CountArray) -> int:
    """Return the smallest largest shortfall; of equals, recall's, then the best value."""
    keys = (-value, shortfalls[0], shortfalls.max(axis=0))
    return int(np.lexsort(keys)[0])
