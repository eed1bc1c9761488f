"""The strategies: how the classes of a data set are searched, alone or together.

Each yields, class by class, the sorted scores and the choice made on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh.constraints import Constraints
from mlthresh.counts import SortedClass
from mlthresh.exceptions import InputError
from mlthresh.objectives import Objective
from mlthresh.pooling import pooled_targets
from mlthresh.pruning import is_proven, promising_parts
from mlthresh.search import Choice, Window, search_exact, search_grid, search_nearest
from mlthresh.threshold_set import ScoreScale

__all__ = ["Data", "Found", "Task", "exact", "grid", "never", "pooled"]

Found: TypeAlias = Iterator[tuple[SortedClass, Choice]]


class Data(NamedTuple):
    """Checked arrays of shape (n_samples, n_classes), and of shape (n_samples,)."""

    scores: FloatArray
    labels: npt.NDArray[Any]
    weight: npt.NDArray[np.float64] | None

    def sorted_class(self, c: int) -> SortedClass:
        """Return one class with all its scores."""
        return SortedClass(self.scores[:, c], self.labels[:, c], self.weight)


class Task(NamedTuple):
    """What the threshold of one class may be.

    `window` is what a promise on unseen data leaves of `allowed`, the bounds that were asked for.
    """

    allowed: Window
    window: Window
    constraints: Constraints


def never(one_class: SortedClass, task: Task, objective: Objective) -> Choice:
    """Return the threshold infinity."""
    infinity = np.array([np.inf], dtype=task.window.highest.dtype)
    return search_grid(one_class, infinity, objective, task.constraints)


def exact(data: Data, tasks: Sequence[Task], objective: Objective) -> Found:
    """Search every cut of each class alone, large unweighted data in part where that suffices."""
    parts: Sequence[SortedClass | None] = [None] * len(tasks)
    if data.weight is None:
        constraints = [task.constraints for task in tasks]
        parts = promising_parts(data.scores, data.labels, objective, constraints)
    for c, (task, part) in enumerate(zip(tasks, parts, strict=True)):
        if part is not None:
            choice = search_exact(part, task.window, objective, task.constraints)
            if is_proven(part, choice, objective):
                yield part, choice
                continue
        whole = data.sorted_class(c)
        if len(whole.positive) == 0:
            yield whole, never(whole, task, objective)
        else:
            yield whole, search_exact(whole, task.window, objective, task.constraints)


def grid(
    data: Data, tasks: Sequence[Task], objective: Objective, points: npt.NDArray[np.float64]
) -> Found:
    """Try the same points for each class alone."""
    points = points.astype(data.scores.dtype)
    for c, task in enumerate(tasks):
        one_class = data.sorted_class(c)
        if len(one_class.positive) == 0:
            yield one_class, never(one_class, task, objective)
            continue
        allowed = task.allowed.inside(points)
        if len(allowed) == 0:
            raise InputError(
                f"no grid point lies in [{task.allowed.lowest}, {task.allowed.highest}]"
            )
        promised = task.window.inside(allowed)
        if len(promised):
            yield one_class, search_grid(one_class, promised, objective, task.constraints)
        else:  # the lowest comes closest
            choice = search_grid(one_class, allowed[:1], objective, task.constraints)
            yield one_class, choice._replace(feasible=False)


def pooled(
    data: Data, tasks: Sequence[Task], objective: Objective, score_scale: ScoreScale
) -> Found:
    """Take the cut nearest to where a model of all classes together expects the best."""
    classes = [data.sorted_class(c) for c in range(len(tasks))]
    # Nothing is promised for a class without positives, so its window is all that is allowed.
    windows = [
        task.window if len(one_class.positive) else task.allowed
        for one_class, task in zip(classes, tasks, strict=True)
    ]
    constraints = [task.constraints for task in tasks]
    targets = pooled_targets(classes, windows, objective, constraints, score_scale)
    for one_class, task, window, target in zip(classes, tasks, windows, targets, strict=True):
        constraint = task.constraints
        if target is None:  # no class has a positive
            yield one_class, never(one_class, task, objective)
            continue
        if len(one_class.positive) == 0:  # neither recall nor precision can be looked at
            constraint = replace(constraint, min_recall=None, min_precision=None)
        yield one_class, search_nearest(one_class, window, target, objective, constraint)
