"""The strategies: how the classes of a data set are searched, alone or together.

Each yields, class by class, the sorted scores and the choice made on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mlthresh.constraints import Constraints
from mlthresh.counts import SortedClass
from mlthresh.evidence import Evidence
from mlthresh.exceptions import InputError
from mlthresh.objectives import Objective
from mlthresh.pooling import pooled_targets
from mlthresh.pruning import is_proven
from mlthresh.search import Choice, Window, search_exact, search_grid, search_nearest
from mlthresh.threshold_set import ScoreScale

__all__ = ["Found", "Task", "exact", "grid", "never", "pooled"]

Found: TypeAlias = Iterator[tuple[SortedClass, Choice]]


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


def exact(data: Evidence, tasks: Sequence[Task], objective: Objective) -> Found:
    """Search every cut of each class alone, large data in part where that suffices."""
    parts = data.promising_parts(objective, [task.constraints for task in tasks])
    for c, (task, part) in enumerate(zip(tasks, parts, strict=True)):
        if part is not None:
            choice = search_exact(part, task.window, objective, task.constraints)
            if is_proven(part, choice, objective):
                yield part, choice
                continue
        whole = data.sorted_class(c)
        if whole.n_positives == 0:
            yield whole, never(whole, task, objective)
        else:
            yield whole, search_exact(whole, task.window, objective, task.constraints)


def grid(
    data: Evidence, tasks: Sequence[Task], objective: Objective, points: npt.NDArray[np.float64]
) -> Found:
    """Try the same points for each class alone."""
    for c, task in enumerate(tasks):
        one_class = data.sorted_class(c)
        if one_class.n_positives == 0:
            yield one_class, never(one_class, task, objective)
            continue
        allowed = data.grid_points(points, task.allowed)
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
    data: Evidence, tasks: Sequence[Task], objective: Objective, score_scale: ScoreScale
) -> Found:
    """Take the cut nearest to where a model of all classes together expects the best."""
    classes = [data.sorted_class(c) for c in range(len(tasks))]
    # Nothing is promised for a class without positives, so its window is all that is allowed.
    windows = [
        task.window if one_class.n_positives else task.allowed
        for one_class, task in zip(classes, tasks, strict=True)
    ]
    constraints = [task.constraints for task in tasks]
    targets = pooled_targets(classes, windows, objective, constraints, score_scale)
    for one_class, task, window, target in zip(classes, tasks, windows, targets, strict=True):
        constraint = task.constraints
        if target is None:  # no class has a positive
            yield one_class, never(one_class, task, objective)
            continue
        if one_class.n_positives == 0:  # neither recall nor precision can be looked at
            constraint = replace(constraint, min_recall=None, min_precision=None)
        target = one_class.usable(target)
        yield one_class, search_nearest(one_class, window, target, objective, constraint)
