"""Candidate thresholds of several classes in one table.

The classes lie one after another in flat arrays, so that a search over few samples of many
classes takes few array operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._segments import Index, Segments
from mlthresh.constraints import Constraints, Window
from mlthresh.counts import CountArray, Counts, SortedClass
from mlthresh.objectives import Objective

__all__ = ["Choices", "Cuts", "allowed_cuts"]


class Choices(NamedTuple):
    """A threshold a class, what it reaches, and whether it satisfies the constraints."""

    threshold: FloatArray
    value: CountArray
    counts: Counts
    feasible: npt.NDArray[np.bool_]

    def put(self, classes: Any, others: Choices) -> None:
        """Overwrite the choices of these classes."""
        self.threshold[classes] = others.threshold
        self.value[classes] = others.value
        self.feasible[classes] = others.feasible
        for mine, other in zip(self.counts, others.counts, strict=True):
            mine[classes] = other


def allowed_cuts(
    classes: Sequence[SortedClass], scores: Sequence[FloatArray], window: Window
) -> list[FloatArray]:
    """Return for each class those of its scores that are allowed, and the highest threshold."""
    bottom = np.maximum(window.lowest, [one_class.floor for one_class in classes])
    bounded = zip((bottom > -np.inf).tolist(), (window.highest < np.inf).tolist(), strict=True)
    allowed = []
    for c, (ascending, (below, above)) in enumerate(zip(scores, bounded, strict=True)):
        start = ascending.searchsorted(bottom[c]) if below else 0
        stop = ascending.searchsorted(window.highest[c]) if above else len(ascending)
        allowed.append(np.concatenate((ascending[start:stop], window.highest[c : c + 1])))
    return allowed


class Cuts:
    """Thresholds to choose from, ascending within each class, and their counts.

    Parameters
    ----------
    classes : sequence of SortedClass
    thresholds : sequence of n_classes arrays
        At least one a class. Equal ones may stay: of equal cuts the first is chosen.
    """

    def __init__(self, classes: Sequence[SortedClass], thresholds: Sequence[FloatArray]) -> None:
        self._classes = classes
        self.segments = Segments([len(cuts) for cuts in thresholds])
        self.threshold = np.concatenate(thresholds)
        ranks = [one.ranks(cuts) for one, cuts in zip(classes, thresholds, strict=True)]
        self._ranks = np.concatenate(ranks, axis=1)
        sizes = np.array(
            [(*one.total, len(one.positive), len(one.negative)) for one in classes],
            dtype=np.float64,
        )
        positives, negatives, *listed = sizes.T.take(self.segments.of_class, axis=1)
        if classes[0].weights is None:  # then no class has weights
            tp, fp = listed - self._ranks
        else:
            each = zip(classes, ranks, strict=True)
            tp, fp = np.concatenate([one.called(of_class) for one, of_class in each], axis=1)
        self.counts = Counts(tp, fp, positives - tp, negatives - fp)

    def best(self, objective: Objective, constraints: Constraints) -> tuple[Index, Choices]:
        """Return for each class the best feasible cut, the first of equals, or the closest."""
        value = objective(*self.counts)
        feasible, admissible = self.admissible(constraints)
        index = self.segments.first_best(value, admissible)
        return index, self.at(index, value[index], feasible)

    def admissible(
        self, constraints: Constraints
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return which classes have a feasible cut, and which cuts each class may choose from.

        Those are the feasible ones or, without any, those of the smallest largest shortfall; of
        them, where recall falls short the least.
        """
        shortfalls = constraints.of(self.segments.of_class).shortfalls(self.counts)
        admissible = np.all(shortfalls <= 0, axis=0)
        feasible = np.logical_or.reduceat(admissible, self.segments.start)
        for c in np.flatnonzero(~feasible):
            closest = np.flatnonzero(self.segments.of_class == c)
            for shortfall in (shortfalls.max(axis=0), shortfalls[0]):
                missed = shortfall[closest]
                closest = closest[missed == missed.min()]
            admissible[closest] = True
        return feasible, admissible

    def at(self, index: Index, value: CountArray, feasible: npt.NDArray[np.bool_]) -> Choices:
        """Return the choices of the cut with this index in each class."""
        counts = Counts(*(count[index] for count in self.counts))
        return Choices(self.threshold[index], value, counts, feasible)

    def midway(self, index: Index, lowest: FloatArray) -> FloatArray:
        """Return the middle of the gap below each cut: the same decisions, with room around."""
        upper = self.threshold[index]
        positive_rank, negative_rank = self._ranks[:, index].tolist()
        each = zip(self._classes, positive_rank, negative_rank, strict=True)
        lower = np.array([one.score_below(*ranks) for one, *ranks in each], dtype=upper.dtype)
        gap = np.isfinite(lower) & np.isfinite(upper)
        middle = np.where(gap, lower, upper) / 2 + upper / 2
        middle = np.array([c.usable(m) for c, m in zip(self._classes, middle, strict=True)])
        # Neighbouring floats have no number between them.
        return np.where(middle > lower, np.maximum(middle, lowest), upper)
