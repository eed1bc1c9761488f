"""Threshold search over all classes: the options, and the function that most people call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from mlthresh._arrays import (
    FloatArray,
    as_groups,
    as_labels,
    as_sample_weight,
    as_scores,
    matched_class_names,
    per_class,
)
from mlthresh._intervals import rate
from mlthresh.certify import Certificate, certify
from mlthresh.constraints import Constraints
from mlthresh.exceptions import InfeasibleError, InputError
from mlthresh.objectives import Objective, ratio, resolve_objective
from mlthresh.options import FLOORS, SearchOptions, check_options, grid_points, options_as_json
from mlthresh.search import Choice, Window
from mlthresh.strategies import Data, Found, Task, exact, grid, never, pooled
from mlthresh.threshold_set import ScoreScale, Status, ThresholdSet

__all__ = ["SearchOptions", "ThresholdSearch", "find_optimal_thresholds"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ThresholdSearch:
    r"""A threshold search with all its options, ready to run on any data.

    For each class alone, the search maximises the objective over the thresholds that satisfy
    every constraint; of equally good ones it takes the lower.

    Parameters
    ----------
    objective : str, Objective or callable, default "f1"
        "f1", "jaccard", "mcc", "balanced_accuracy", "youden", ``fbeta(beta)``,
        ``cost(miss=, false_alarm=)``, or a callable ``(tp, fp, fn, tn) -> array``.
    min_recall, min_precision, min_specificity : float or (n_classes,), optional
        Floors in [0, 1] on the observed rates.
    max_alarm_rate : float or (n_classes,), optional
        Ceiling in [0, 1] on the share of samples called positive.
    min_threshold, max_threshold : float or (n_classes,), optional
        Bounds on the threshold itself, both included, rounded to the scores' data type.
    confidence : float, optional
        In (0, 1). The floors on recall and specificity then hold on unseen data with this
        probability, for each class: P(status "ok" and true recall < floor) <= 1 - confidence,
        whatever the distribution of the scores. See Notes for what this takes.
    joint : bool, default False
        The floors of all classes hold at once with that probability.
    strategy : {"exact", "pooled", "grid"}, default "exact"
        "exact" considers every cut that the scores allow and reports the middle of the gap
        below the chosen score. "pooled" maximises the expected objective under a model of all
        classes together, and takes the nearest threshold that satisfies the constraints: rare
        classes borrow from the others, and their thresholds hold better on new data (see
        `mlthresh.pooling`). "grid" considers the points of `grid` alone.
    grid : array of shape (n_points,), optional
        For "grid"; by default 0.10, 0.15, ..., 0.90 (17 points).
    score_scale : {"probability", "real"}, default "probability"
        What the scores are declared to be; kept in the result. "pooled" models probabilities
        on the logit scale, and raises where one is outside [0, 1]; logits and margins are
        "real". For the other strategies, scores outside [0, 1] are recorded as "real".
    on_infeasible : {"closest", "raise", "never"}, default "closest"
        For a class that no threshold suits: the point with the smallest largest shortfall
        (of equals, recall's counts first), an `InfeasibleError`, or a threshold of infinity.

    Raises
    ------
    InputError
        If an option is unknown, out of range, contradicts another or does not apply.

    Notes
    -----
    A promise by `confidence` is for a fixed model and independent samples. Several images of a
    patient are not independent: pass `groups`, and the promise is for patients, of whom no
    positive image may fall below the threshold. Data that also chose the model (its
    checkpoint, say) cannot certify it. With constraints beside the two floors, which choose
    among draws, `certified` speaks of the floors alone.

    Examples
    --------
    >>> import numpy as np
    >>> search = ThresholdSearch(objective="youden", max_threshold=0.7)
    >>> search.run(np.array([[1], [0]]), np.array([[0.9], [0.8]])).status
    ('ok',)
    """

    objective: str | Objective | Callable[..., npt.ArrayLike] = "f1"
    min_recall: npt.ArrayLike | None = None
    min_precision: npt.ArrayLike | None = None
    min_specificity: npt.ArrayLike | None = None
    max_alarm_rate: npt.ArrayLike | None = None
    min_threshold: npt.ArrayLike | None = None
    max_threshold: npt.ArrayLike | None = None
    confidence: float | None = None
    joint: bool = False
    strategy: Literal["exact", "pooled", "grid"] = "exact"
    grid: npt.ArrayLike | None = None
    score_scale: ScoreScale = "probability"
    on_infeasible: Literal["closest", "raise", "never"] = "closest"

    def __post_init__(self) -> None:
        check_options(vars(self))

    def run(
        self,
        y_true: Any,
        y_score: Any,
        *,
        sample_weight: Any = None,
        groups: Any = None,
        class_names: Sequence[str] | None = None,
    ) -> ThresholdSet:
        """Search on this data; see `find_optimal_thresholds` for the parameters."""
        labels, label_columns = as_labels(y_true, "y_true")
        scores, score_columns = as_scores(y_score, labels.shape)
        n_samples, n_classes = labels.shape
        if n_samples == 0:
            raise InputError("y_true has no rows; there is nothing to choose thresholds by")
        weight = as_sample_weight(sample_weight, n_samples)
        units = as_groups(groups, n_samples)
        self._check_promise(weight, units)
        names = matched_class_names(n_classes, class_names, label_columns, score_columns)
        objective = resolve_objective(self.objective)
        promises, tasks = self._tasks(scores, labels, units)

        choices: list[Choice] = []
        status: list[Status] = []
        support = np.zeros(n_classes, dtype=np.int64)
        found = self._found(Data(scores, labels, weight), tasks, objective)
        for c, (one_class, choice) in enumerate(found):
            support[c] = len(one_class.positive)
            feasible = choice.feasible and tasks[c].window.holds
            status.append("no_positives" if not support[c] else "ok" if feasible else "infeasible")
            if status[c] == "infeasible" and self.on_infeasible == "never":
                choice = never(one_class, tasks[c], objective)
            choices.append(choice)
        if self.on_infeasible == "raise":
            _raise_infeasible(status, choices, names)

        certified = [
            promise.holds and bool(promise.lowest <= choice.threshold <= promise.highest)
            for promise, choice in zip(promises, choices, strict=True)
        ]
        tp, fp, fn, tn = np.array([choice.counts for choice in choices], dtype=np.float64).T
        return ThresholdSet(
            thresholds=np.array([choice.threshold for choice in choices], dtype=scores.dtype),
            class_names=names,
            status=tuple(status),
            support=support,
            objective_value=np.array([choice.value for choice in choices]),
            precision=rate(tp, tp + fp),
            recall=rate(tp, tp + fn),
            f1=ratio(2 * tp, 2 * tp + fp + fn),
            alarm_rate=rate(tp + fp, tp + fp + fn + tn),
            certified=np.array(certified) & (self.confidence is not None),
            positives_missing=np.array([promise.positives_missing for promise in promises]),
            score_scale=self._recorded_scale(scores),
            options=options_as_json(vars(self)),
        )

    def _found(self, data: Data, tasks: Sequence[Task], objective: Objective) -> Found:
        if self.strategy == "grid":
            return grid(data, tasks, objective, grid_points(self.grid))
        if self.strategy == "exact":
            return exact(data, tasks, objective)
        scores = data.scores
        if self.score_scale == "probability" and self._recorded_scale(scores) == "real":
            raise InputError(
                f"strategy='pooled' expects probabilities, but y_score ranges from {scores.min()} "
                f"to {scores.max()}; for logits or margins pass score_scale='real'"
            )
        return pooled(data, tasks, objective, self.score_scale)

    def _tasks(
        self, scores: FloatArray, labels: npt.NDArray[Any], units: npt.NDArray[np.intp] | None
    ) -> tuple[list[Certificate], list[Task]]:
        """Return for each class what is promised, and what its threshold may then be."""
        n_classes = scores.shape[1]
        bounds = self._bounds(n_classes, scores.dtype)
        promises, tasks = [], []
        for c, constraints in enumerate(self._constraints(n_classes)):
            promise = self._certificate(scores[:, c], labels[:, c], units, constraints, n_classes)
            allowed = Window(*bounds[:, c])
            window = allowed.narrowed(promise.lowest, promise.highest, holds=promise.holds)
            promises.append(promise)
            tasks.append(Task(allowed, window, constraints))
        return promises, tasks

    def _check_promise(
        self, weight: npt.NDArray[np.float64] | None, units: npt.NDArray[np.intp] | None
    ) -> None:
        if self.confidence is None and units is not None:
            raise InputError("groups applies with confidence only: it makes patients the units")
        if self.confidence is not None and weight is not None and len(np.unique(weight)) > 1:
            raise InputError("confidence needs equal sample_weight: it counts independent samples")

    def _certificate(
        self,
        score: FloatArray,
        label: npt.NDArray[Any],
        units: npt.NDArray[np.intp] | None,
        constraints: Constraints,
        n_classes: int,
    ) -> Certificate:
        if self.confidence is None:
            infinity = score.dtype.type(np.inf)
            return Certificate(-infinity, infinity, holds=True, positives_missing=0)
        confidence = self.confidence
        if self.joint:
            confidence = 1 - (1 - confidence) / n_classes
        return certify(
            score,
            label,
            units,
            min_recall=constraints.min_recall,
            min_specificity=constraints.min_specificity,
            confidence=confidence,
        )

    def _bounds(self, n_classes: int, dtype: np.dtype[Any]) -> FloatArray:
        """Return the lowest and the highest threshold allowed, shape (2, n_classes)."""
        lowest = -np.inf if self.min_threshold is None else self.min_threshold
        highest = np.inf if self.max_threshold is None else self.max_threshold
        bounds = np.array(
            [
                per_class(lowest, n_classes, "min_threshold"),
                per_class(highest, n_classes, "max_threshold"),
            ]
        )
        crossed = np.flatnonzero(bounds[0] > bounds[1])
        if len(crossed):
            c = crossed[0]
            raise InputError(
                f"min_threshold {bounds[0, c]} exceeds max_threshold {bounds[1, c]} (class {c})"
            )
        return bounds.astype(dtype)

    def _constraints(self, n_classes: int) -> list[Constraints]:
        given = {
            name: per_class(getattr(self, name), n_classes, name)
            for name in FLOORS
            if getattr(self, name) is not None
        }
        return [
            Constraints(**{name: float(value[c]) for name, value in given.items()})
            for c in range(n_classes)
        ]

    def _recorded_scale(self, scores: FloatArray) -> ScoreScale:
        within = scores.min() >= 0 and scores.max() <= 1
        return "probability" if self.score_scale == "probability" and within else "real"


def find_optimal_thresholds(
    y_true: Any,
    y_score: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    class_names: Sequence[str] | None = None,
    **options: Unpack[SearchOptions],
) -> ThresholdSet:
    r"""Find for each class the threshold that is best under constraints.

    With TP(t), FP(t), FN(t), TN(t) the weighted counts of a class when scores of at least t
    are called positive, the result is

    .. math:: \arg\max_t\; O(TP, FP, FN, TN) \quad \text{subject to the constraints,}

    the lower threshold where several are best.

    Parameters
    ----------
    y_true : array, tensor or frame of shape (n_samples, n_classes)
        Labels 0, 1 or NaN (missing: the row does not count for that class).
    y_score : array, tensor or frame of shape (n_samples, n_classes)
        Finite scores, higher for positives.
    sample_weight : array of shape (n_samples,), optional
        Finite weights, not negative; a row of weight zero counts as absent.
    groups : array of shape (n_samples,), optional
        Which patient each row comes from, for `confidence`.
    class_names : sequence of str, optional
        By default a frame's column names, if any.
    **options
        As in `ThresholdSearch`: `objective`, `min_recall`, `min_precision`, `min_specificity`,
        `max_alarm_rate`, `min_threshold`, `max_threshold`, `confidence`, `joint`, `strategy`,
        `grid`, `score_scale`, `on_infeasible`.

    Returns
    -------
    ThresholdSet
        A class without positives gets the status "no_positives" and the threshold infinity, or
        with "pooled" one that is borrowed from the other classes, if any has a positive; a class
        that no threshold suits, "infeasible".

    Raises
    ------
    InputError
        If an array or an option is not as described.
    InfeasibleError
        If a class is infeasible and `on_infeasible` is "raise".

    Notes
    -----
    A constraint that holds on the data that chose the threshold need not hold on new data,
    unless `confidence` asks for it.

    Examples
    --------
    >>> import numpy as np
    >>> y_true = np.array([[1], [0], [1], [0], [0]])
    >>> y_score = np.array([[0.9], [0.8], [0.4], [0.2], [0.1]])
    >>> find_optimal_thresholds(y_true, y_score).thresholds.round(3)
    array([0.3])
    >>> found = find_optimal_thresholds(y_true, y_score, min_precision=0.9)
    >>> found.thresholds.round(3), found.recall
    (array([0.85]), array([0.5]))
    """
    return ThresholdSearch(**options).run(
        y_true, y_score, sample_weight=sample_weight, groups=groups, class_names=class_names
    )


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
