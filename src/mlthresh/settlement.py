"""From what is known of the classes to their thresholds: promises, search and outcome."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from mlthresh._arrays import shown_names
from mlthresh._intervals import rate
from mlthresh.certify import Certificate, certify
from mlthresh.constraints import Constraints, Task, Window
from mlthresh.cuts import Choices
from mlthresh.evidence import Evidence
from mlthresh.exceptions import InfeasibleError, InputError
from mlthresh.objectives import Objective, ratio, resolve_objective
from mlthresh.options import Settings, grid_points, options_as_json
from mlthresh.strategies import Found, exact, exact_together, grid, grid_together, pooled
from mlthresh.threshold_set import ScoreScale, Status, ThresholdSet

__all__ = ["settle"]


def settle(
    settings: Settings, evidence: Evidence, class_names: tuple[str, ...] | None
) -> ThresholdSet:
    """Choose a threshold for each class and report what it reaches."""
    if settings.confidence is not None and not evidence.evenly_weighted:
        raise InputError("confidence needs equal sample_weight: it counts independent samples")
    objective = resolve_objective(settings.objective)
    n_classes = evidence.n_classes
    lowest, highest = evidence.bounds(*settings.bounds(n_classes))
    allowed = Window(lowest, highest, np.ones(n_classes, dtype=bool))
    constraints = settings.constraints(n_classes)
    options = options_as_json(vars(settings))
    if settings.joint:
        options["joint_classes"] = constraints.n_promises(n_classes)
    promise = _promise(settings, evidence, constraints)
    window = allowed.narrowed(promise.lowest, promise.highest, holds=promise.holds)
    task = Task(allowed, window, constraints, give_up=settings.on_infeasible == "never")
    score_scale = _recorded_scale(settings, evidence)

    found = _found(settings, evidence, task, objective, score_scale)
    choices = found.choices
    status = tuple(
        _status(n_positive, feasible)
        for n_positive, feasible in zip(
            found.support.tolist(), choices.feasible.tolist(), strict=True
        )
    )
    if settings.on_infeasible == "raise" and "infeasible" in status:
        raise InfeasibleError(_missed(status, choices, class_names))
    tp, fp, fn, tn = choices.counts
    precision, recall, alarm_rate = rate([tp, tp, tp + fp], [tp + fp, tp + fn, tp + fp + fn + tn])
    return ThresholdSet(
        thresholds=choices.threshold,
        class_names=class_names,
        status=status,
        support=found.support,
        objective_value=choices.value,
        precision=precision,
        recall=recall,
        f1=ratio(2 * tp, 2 * tp + fp + fn),
        alarm_rate=alarm_rate,
        certified=promise.certifies(choices.threshold),
        positives_missing=promise.positives_missing,
        score_scale=score_scale,
        options=options,
    )


def _promise(settings: Settings, evidence: Evidence, constraints: Constraints) -> Certificate:
    """Return between which thresholds each class keeps what is promised on unseen data."""
    confidence, n_classes = settings.confidence, evidence.n_classes
    if confidence is None:
        return Certificate.free(n_classes, evidence.dtype)
    if settings.joint:
        confidence = 1 - (1 - confidence) / max(1, constraints.n_promises(n_classes))
    floors = [constraints.of(c) for c in range(n_classes)]
    return Certificate.of_all(
        certify(
            partial(evidence.units, c),
            evidence.dtype,
            min_recall=floor.min_recall,
            min_specificity=floor.min_specificity,
            confidence=confidence,
        )
        for c, floor in enumerate(floors)
    )


def _found(
    settings: Settings,
    evidence: Evidence,
    task: Task,
    objective: Objective,
    score_scale: ScoreScale,
) -> Found:
    together = settings.average == "micro"
    if settings.strategy == "grid":
        on_grid = grid_together if together else grid
        return on_grid(evidence, task, objective, grid_points(settings.grid))
    if settings.strategy == "exact":
        return (exact_together if together else exact)(evidence, task, objective)
    if settings.score_scale == "probability" and score_scale == "real":
        lowest, highest = evidence.extent
        raise InputError(
            f"strategy='pooled' expects probabilities, but y_score ranges from {lowest} "
            f"to {highest}; for logits or margins pass score_scale='real'"
        )
    return pooled(evidence, task, objective, settings.score_scale, together=together)


def _recorded_scale(settings: Settings, evidence: Evidence) -> ScoreScale:
    lowest, highest = evidence.extent
    within = lowest >= 0 and highest <= 1
    return "probability" if settings.score_scale == "probability" and within else "real"


def _status(n_positives: int, feasible: bool) -> Status:  # noqa: FBT001
    if not n_positives:
        return "no_positives"
    return "ok" if feasible else "infeasible"


def _missed(status: Sequence[Status], choices: Choices, names: tuple[str, ...] | None) -> str:
    tp, fp, fn, _ = choices.counts
    names = shown_names(names, len(status))
    missed = [
        f"{names[c]} (closest: threshold {choices.threshold[c]:.4g}, "
        f"tp={tp[c]:g}, fp={fp[c]:g}, fn={fn[c]:g})"
        for c in range(len(status))
        if status[c] == "infeasible"
    ]
    return f"no threshold satisfies the constraints of {'; '.join(missed)}"
