"""From what is known of the classes to their thresholds: promises, search and outcome."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from mlthresh._intervals import rate
from mlthresh.certify import Certificate, certify
from mlthresh.constraints import Constraints
from mlthresh.evidence import Evidence
from mlthresh.exceptions import InfeasibleError, InputError
from mlthresh.objectives import Objective, ratio, resolve_objective
from mlthresh.options import Settings, grid_points, options_as_json
from mlthresh.search import Choice, Window
from mlthresh.strategies import Found, Task, exact, grid, never, pooled
from mlthresh.threshold_set import ScoreScale, Status, ThresholdSet

__all__ = ["settle"]


def settle(
    settings: Settings, evidence: Evidence, class_names: tuple[str, ...] | None
) -> ThresholdSet:
    """Choose a threshold for each class and report what it reaches."""
    if settings.confidence is not None and not evidence.evenly_weighted:
        raise InputError("confidence needs equal sample_weight: it counts independent samples")
    objective = resolve_objective(settings.objective)
    promises, tasks = _promises_and_tasks(settings, evidence)
    choices: list[Choice] = []
    status: list[Status] = []
    support = np.zeros(evidence.n_classes, dtype=np.int64)
    for c, (one_class, choice) in enumerate(_found(settings, evidence, tasks, objective)):
        support[c] = one_class.n_positives
        feasible = choice.feasible and tasks[c].window.holds
        status.append("no_positives" if not support[c] else "ok" if feasible else "infeasible")
        if status[c] == "infeasible" and settings.on_infeasible == "never":
            choice = never(one_class, tasks[c], objective)
        choices.append(choice)
    if settings.on_infeasible == "raise":
        _raise_infeasible(status, choices, class_names)

    certified = [
        promise.holds and bool(promise.lowest <= choice.threshold <= promise.highest)
        for promise, choice in zip(promises, choices, strict=True)
    ]
    tp, fp, fn, tn = np.array([choice.counts for choice in choices], dtype=np.float64).T
    return ThresholdSet(
        thresholds=np.array([choice.threshold for choice in choices], dtype=evidence.dtype),
        class_names=class_names,
        status=tuple(status),
        support=support,
        objective_value=np.array([choice.value for choice in choices]),
        precision=rate(tp, tp + fp),
        recall=rate(tp, tp + fn),
        f1=ratio(2 * tp, 2 * tp + fp + fn),
        alarm_rate=rate(tp + fp, tp + fp + fn + tn),
        certified=np.array(certified) & (settings.confidence is not None),
        positives_missing=np.array([promise.positives_missing for promise in promises]),
        score_scale=_recorded_scale(settings, evidence),
        options=options_as_json(vars(settings)),
    )


def _promises_and_tasks(
    settings: Settings, evidence: Evidence
) -> tuple[list[Certificate], list[Task]]:
    """Return for each class what is promised, and what its threshold may then be."""
    bounds = evidence.bounds(*settings.bounds(evidence.n_classes))
    promises, tasks = [], []
    for c, constraints in enumerate(settings.constraints(evidence.n_classes)):
        promise = _certificate(settings, evidence, c, constraints)
        allowed = Window(*bounds[:, c])
        window = allowed.narrowed(promise.lowest, promise.highest, holds=promise.holds)
        promises.append(promise)
        tasks.append(Task(allowed, window, constraints))
    return promises, tasks


def _certificate(
    settings: Settings, evidence: Evidence, c: int, constraints: Constraints
) -> Certificate:
    confidence = settings.confidence
    if confidence is None:
        infinity = evidence.dtype.type(np.inf)
        return Certificate(-infinity, infinity, holds=True, positives_missing=0)
    if settings.joint:
        confidence = 1 - (1 - confidence) / evidence.n_classes
    return certify(
        partial(evidence.units, c),
        evidence.dtype,
        min_recall=constraints.min_recall,
        min_specificity=constraints.min_specificity,
        confidence=confidence,
    )


def _found(
    settings: Settings, evidence: Evidence, tasks: Sequence[Task], objective: Objective
) -> Found:
    if settings.strategy == "grid":
        return grid(evidence, tasks, objective, grid_points(settings.grid))
    if settings.strategy == "exact":
        return exact(evidence, tasks, objective)
    if settings.score_scale == "probability" and _recorded_scale(settings, evidence) == "real":
        lowest, highest = evidence.extent
        raise InputError(
            f"strategy='pooled' expects probabilities, but y_score ranges from {lowest} "
            f"to {highest}; for logits or margins pass score_scale='real'"
        )
    return pooled(evidence, tasks, objective, settings.score_scale)


def _recorded_scale(settings: Settings, evidence: Evidence) -> ScoreScale:
    lowest, highest = evidence.extent
    within = lowest >= 0 and highest <= 1
    return "probability" if settings.score_scale == "probability" and within else "real"


def _raise_infeasible(
    status: Sequence[Status], choices: Sequence[Choice], names: tuple[str, ...] | None
) -> None:
    missed = [
        f"{names[c] if names else f'class {c}'} (closest: threshold {choices[c].threshold:.4g}, "
        f"tp={choices[c].counts.tp:g}, fp={choices[c].counts.fp:g}, fn={choices[c].counts.fn:g})"
        for c in range(len(status))
        if status[c] == "infeasible"
    ]
    if missed:
        raise InfeasibleError(f"no threshold satisfies the constraints of {'; '.join(missed)}")
