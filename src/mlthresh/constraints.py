"""What the thresholds of several classes must satisfy, and by how much they fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh.counts import CountArray, Counts

__all__ = ["Constraints", "Task", "Window"]

Floor: TypeAlias = Any  # a float for one class, or an array of shape (n_classes,)


@dataclass(frozen=True)
class Constraints:
    """Floors and a ceiling on rates, for one class or one a class; None leaves a rate free."""

    min_recall: Floor | None = None
    min_precision: Floor | None = None
    min_specificity: Floor | None = None
    max_alarm_rate: Floor | None = None

    def of(self, classes: Any) -> Constraints:
        """Return the constraints of these classes: an index, or an array of indices."""
        given = (self.min_recall, self.min_precision, self.min_specificity, self.max_alarm_rate)
        return Constraints(
            *(None if floor is None else np.asarray(floor)[classes] for floor in given)
        )

    def n_promises(self, n_classes: int) -> int:
        """Return how many classes have a floor that can be promised on unseen data."""
        floors = np.zeros((2, n_classes))
        for row, floor in zip(floors, (self.min_recall, self.min_specificity), strict=True):
            row[:] = 0 if floor is None else floor
        return int((floors > 0).any(axis=0).sum())

    def shortfalls(self, counts: Counts) -> CountArray:
        """Return by how much each constraint is missed, shape (n_constraints, n_thresholds).

        At most 0 is satisfied. A floor on a rate whose denominator is zero is missed by
        infinity: a threshold that never calls anything positive has no precision. The floor on
        recall, if any, comes first.
        """
        tp, fp, fn, tn = counts
        missed = []
        if self.min_recall is not None:
            missed.append(_shortfall(tp, tp + fn, self.min_recall))
        if self.min_precision is not None:
            missed.append(_shortfall(tp, tp + fp, self.min_precision))
        if self.min_specificity is not None:
            missed.append(_shortfall(tn, tn + fp, self.min_specificity))
        if self.max_alarm_rate is not None:
            # A ceiling is a floor on the negated rate.
            missed.append(_shortfall(-(tp + fp), tp + fp + fn + tn, -self.max_alarm_rate))
        return np.array(missed).reshape(len(missed), len(tp))


def _shortfall(part: CountArray, whole: CountArray, floor: Floor) -> CountArray:
    # Floor and rate are compared as given and divided, so that 3 of 10 meets a floor of 0.3.
    rate = np.full(part.shape, -np.inf)
    np.divide(part, whole, out=rate, where=whole > 0)
    return np.asarray(floor - rate)


class Window(NamedTuple):
    """The thresholds that are allowed, both ends included, for one class or one a class.

    `holds` is False where two demands excluded each other and the weaker one was dropped.
    """

    lowest: FloatArray
    highest: FloatArray
    holds: npt.NDArray[np.bool_]

    def inside(self, points: FloatArray) -> FloatArray:
        """Return those of the points that are allowed, for one class."""
        return points[(self.lowest <= points) & (points <= self.highest)]

    def of(self, classes: Any) -> Window:
        """Return the windows of these classes: an index, or an array of indices."""
        return Window(*(np.asarray(end)[classes] for end in self))

    def narrowed(
        self, lowest: FloatArray, highest: FloatArray, *, holds: npt.NDArray[np.bool_]
    ) -> Window:
        """Return what is left below `highest` and, where that leaves anything, above `lowest`."""
        new_highest = np.minimum(self.highest, np.maximum(self.lowest, highest))
        fits = lowest <= new_highest
        new_lowest = np.where(fits, np.maximum(self.lowest, lowest), self.lowest)
        fits = fits & (highest >= self.lowest)
        return Window(new_lowest, new_highest, self.holds & holds & fits)


class Task(NamedTuple):
    """What the thresholds may be, one entry a class.

    `window` is what a promise on unseen data leaves of `allowed`, the bounds that were asked for.
    A class that nothing suits is never called positive where `give_up` is set; otherwise it gets
    what comes closest.
    """

    allowed: Window
    window: Window
    constraints: Constraints
    give_up: bool = False

    def of(self, classes: Any) -> Task:
        """Return the task for these classes: an index, or an array of indices."""
        return Task(
            self.allowed.of(classes),
            self.window.of(classes),
            self.constraints.of(classes),
            self.give_up,
        )
