"""The strategies: how the classes of a data set are searched, alone or together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh._segments import Index
from mlthresh._support import LOGIT, REAL, condense
from mlthresh.constraints import Task, Window
from mlthresh.counts import Counts, SortedClass
from mlthresh.cuts import Choices, Cuts
from mlthresh.evidence import Evidence
from mlthresh.exceptions import InputError
from mlthresh.joint import choose_together, search_together
from mlthresh.objectives import Objective
from mlthresh.pooling import pooled_targets
from mlthresh.pruning import is_proven
from mlthresh.search import search_exact, search_nearest, search_points
from mlthresh.threshold_set import ScoreScale

__all__ = ["Found", "exact", "exact_together", "grid", "grid_together", "pooled"]


class Found(NamedTuple):
    """What was chosen for each class.

    `support` is its number of positives; `totals`, of shape (2, n_classes), holds the weight of
    its positives and of its negatives.
    """

    support: npt.NDArray[np.int64]
    totals: npt.NDArray[np.float64]
    choices: Choices

    @classmethod
    def nothing(cls, n_classes: int, dtype: np.dtype[Any]) -> Found:
        """Return room for every class."""
        value, *counts = np.zeros((5, n_classes))
        choices = Choices(
            np.empty(n_classes, dtype), value, Counts(*counts), np.zeros(n_classes, dtype=bool)
        )
        return cls(np.zeros(n_classes, dtype=np.int64), np.zeros((2, n_classes)), choices)

    def supported(
        self, columns: slice, classes: Sequence[SortedClass]
    ) -> tuple[Index, list[SortedClass]]:
        """Note how large these classes are, and return those that have a positive."""
        self.support[columns] = [one_class.n_positives for one_class in classes]
        self.totals[:, columns] = np.array([one_class.total for one_class in classes]).T
        some = np.flatnonzero(self.support[columns])
        return columns.start + some, [classes[i] for i in some.tolist()]

    def settled(self, task: Task, objective: Objective, *, borrowed: bool = False) -> Found:
        """Let the classes that nothing suits, or that have no positive, be never positive.

        With `borrowed`, classes without a positive keep what was chosen.
        """
        feasible = self.choices.feasible & task.window.holds
        has_positive = self.support > 0
        lost = has_positive & ~feasible if task.give_up else np.zeros_like(feasible)
        if not borrowed:
            lost |= ~has_positive
        if lost.any():
            positives, negatives = self.totals[:, lost]
            counts = Counts(0 * positives, 0 * negatives, positives, negatives)
            infinity = np.full(len(positives), np.inf)
            never = Choices(infinity, objective(*counts), counts, feasible[lost])
            self.choices.put(lost, never)
        return self._replace(choices=self.choices._replace(feasible=feasible))

    @property
    def negatives_elsewhere(self) -> float:
        """The weight of the negatives of classes without a positive."""
        return float(self.totals[1, self.support == 0].sum())

    def averaged(self, objective: Objective) -> Found:
        """Give every class the objective of the summed counts as its value."""
        value = objective(*(count.sum(keepdims=True) for count in self.choices.counts))
        self.choices.value[...] = value
        return self


def exact(data: Evidence, task: Task, objective: Objective) -> Found:
    """Search every cut of each class alone, large unweighted data in part where that suffices."""
    found = Found.nothing(data.n_classes, data.dtype)
    proven = _search_parts(data, task, objective, found)
    for columns in data.batches:
        if not proven[columns].all():
            some, classes = found.supported(columns, data.sorted_classes(columns))
            if classes:
                of_some = task if len(classes) == data.n_classes else task.of(some)
                found.choices.put(some, search_exact(classes, of_some, objective))
    return found.settled(task, objective)


def _search_parts(
    data: Evidence, task: Task, objective: Objective, found: Found
) -> npt.NDArray[np.bool_]:
    """Fill in the classes of which a part proves enough, and tell which these are."""
    proven = np.zeros(data.n_classes, dtype=bool)
    for c, part in enumerate(data.promising_parts(objective, task.constraints)):
        if part is not None:
            columns = slice(c, c + 1)
            choices = search_exact([part], task.of(columns), objective)
            proven[c] = choices.feasible[0] and is_proven(part, choices.value[0], objective)
            if proven[c]:
                found.supported(columns, [part])
                found.choices.put(columns, choices)
    return proven


def exact_together(data: Evidence, task: Task, objective: Objective) -> Found:
    """Search every cut for the best average, in part where each class's part proves enough."""
    everything = slice(0, data.n_classes)
    parts = data.promising_parts(objective, task.constraints)
    searched = _completed(parts, data)
    while True:
        found = Found.nothing(data.n_classes, data.dtype)
        some, classes = found.supported(everything, searched)
        if not classes:
            break
        choices, worth = search_together(
            classes, task.of(some), objective, found.negatives_elsewhere
        )
        found.choices.put(some, choices)
        value = worth(*found.choices.counts)
        unproven = {
            c
            for c, part in enumerate(parts)
            if part is searched[c]
            and not (found.choices.feasible[c] and is_proven(part, value[c], worth))
        }
        if not unproven:
            break
        searched = _completed(
            [None if c in unproven else one for c, one in enumerate(searched)], data
        )
    return found.settled(task, objective).averaged(objective)


def _completed(parts: Sequence[SortedClass | None], data: Evidence) -> list[SortedClass]:
    """Return the parts, and the whole class where there is none."""
    completed: list[SortedClass] = []
    for columns in data.batches:
        batch = parts[columns]
        given = [part for part in batch if part is not None]
        if len(given) < len(batch):
            whole = data.sorted_classes(columns)
            given = [part or one for part, one in zip(batch, whole, strict=True)]
        completed += given
    return completed


def grid(
    data: Evidence, task: Task, objective: Objective, points: npt.NDArray[np.float64]
) -> Found:
    """Try the same points for each class alone."""
    found = Found.nothing(data.n_classes, data.dtype)
    for columns in data.batches:
        some, classes = found.supported(columns, data.sorted_classes(columns))
        if classes:
            each, of_some = _grid_points(data, points, task, some)
            choices = search_points(classes, each, of_some, objective)
            choices.feasible[...] &= of_some.window.holds
            found.choices.put(some, choices)
    return found.settled(task, objective)


def grid_together(
    data: Evidence, task: Task, objective: Objective, points: npt.NDArray[np.float64]
) -> Found:
    """Try the same points for each class, for the best average."""
    found = Found.nothing(data.n_classes, data.dtype)
    everything = slice(0, data.n_classes)
    some, classes = found.supported(everything, data.sorted_classes(everything))
    if classes:
        each, of_some = _grid_points(data, points, task, some)
        _, choices, _ = choose_together(
            Cuts(classes, each), of_some, objective, found.negatives_elsewhere
        )
        choices.feasible[...] &= of_some.window.holds
        found.choices.put(some, choices)
    return found.settled(task, objective).averaged(objective)


def _grid_points(
    data: Evidence, points: npt.NDArray[np.float64], task: Task, classes: Index
) -> tuple[list[FloatArray], Task]:
    """Return the points that each class may take, and its task, broken where no promise holds."""
    chosen, task = [], task.of(classes)
    for i, c in enumerate(classes.tolist()):
        allowed = data.grid_points(points, task.allowed.of(i))
        if len(allowed) == 0:
            lowest, highest = task.allowed.lowest[i], task.allowed.highest[i]
            raise InputError(f"no grid point lies in [{lowest}, {highest}] (class {c})")
        promised = task.window.of(i).inside(allowed)
        # Where nothing is promised, the lowest point comes closest.
        task.window.holds[i] &= len(promised) > 0
        chosen.append(promised if len(promised) else allowed[:1])
    return chosen, task


def pooled(
    data: Evidence,
    task: Task,
    objective: Objective,
    score_scale: ScoreScale,
    *,
    together: bool = False,
) -> Found:
    """Take the cut nearest to where a model of all classes together expects the best.

    With `together`, the best average.
    """
    found = Found.nothing(data.n_classes, data.dtype)

    def each_class() -> Iterator[SortedClass]:
        for columns in data.batches:
            classes = data.sorted_classes(columns)
            found.supported(columns, classes)
            yield from classes

    support = condense(each_class(), LOGIT if score_scale == "probability" else REAL)
    if not found.support.any():
        return found.settled(task, objective)
    # Nothing is promised for a class without positives, so its window is all that is allowed.
    has_positive = found.support > 0
    ends = zip(task.window, task.allowed, strict=True)
    task = task._replace(window=Window(*(np.where(has_positive, *end) for end in ends)))
    each_task = [task.of(c) for c in range(data.n_classes)]
    expected_best = pooled_targets(
        support,
        [one.window for one in each_task],
        objective,
        [one.constraints for one in each_task],
        together=together,
    )
    targets, counts = data.counts_from(np.array(expected_best, dtype=data.dtype))
    # Without positives, neither recall nor precision can be looked at.
    free = task._replace(constraints=replace(task.constraints, min_recall=None, min_precision=None))
    fits, fits_free = (
        np.all(own.constraints.shortfalls(counts) <= 0, axis=0) for own in (task, free)
    )
    feasible = np.where(has_positive, fits, fits_free)
    found.choices.put(slice(None), Choices(targets, objective(*counts), counts, feasible))
    for c in np.flatnonzero(~feasible).tolist():
        one, called = slice(c, c + 1), counts.tp[c] + counts.fp[c]
        own = task if has_positive[c] else free
        choices = search_nearest(data.sorted_classes(one)[0], called, own.of(one), objective)
        found.choices.put(one, choices)
    found = found.settled(task, objective, borrowed=True)
    return found.averaged(objective) if together else found
