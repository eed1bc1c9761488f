"""Threshold search over all classes: the options, and the function that most people call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from mlthresh._arrays import (
    FloatArray,
    as_labels,
    as_sample_weight,
    as_scores,
    matched_class_names,
    per_class,
    to_numpy,
)
from mlthresh.constraints import Constraints
from mlthresh.counts import Counts, SortedClass
from mlthresh.exceptions import InfeasibleError, InputError
from mlthresh.objectives import Objective, ratio, resolve_objective
from mlthresh.search import Choice, search_exact, search_grid
from mlthresh.threshold_set import ScoreScale, Status, ThresholdSet

__all__ = ["SearchOptions", "ThresholdSearch", "find_optimal_thresholds"]

_FLOORS = ("min_recall", "min_precision", "min_specificity", "max_alarm_rate")
_BOUNDS = ("min_threshold", "max_threshold")
_CHOICES = {
    "strategy": ("exact", "grid"),
    "score_scale": ("probability", "real"),
    "on_infeasible": ("closest", "raise", "never"),
}


class SearchOptions(TypedDict, total=False):
    """The keyword options of a threshold search; see `ThresholdSearch`."""

    objective: str | Objective | Callable[..., npt.ArrayLike]
    min_recall: npt.ArrayLike | None
    min_precision: npt.ArrayLike | None
    min_specificity: npt.ArrayLike | None
    max_alarm_rate: npt.ArrayLike | None
    min_threshold: npt.ArrayLike | None
    max_threshold: npt.ArrayLike | None
    strategy: Literal["exact", "grid"]
    grid: npt.ArrayLike | None
    score_scale: ScoreScale
    on_infeasible: Literal["closest", "raise", "never"]


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
    strategy : {"exact", "grid"}, default "exact"
        "exact" considers every cut that the scores allow and reports the middle of the gap
        below the chosen score. "grid" considers the points of `grid` alone.
    grid : array of shape (n_points,), optional
        For "grid"; by default 0.10, 0.15, ..., 0.90 (17 points).
    score_scale : {"probability", "real"}, default "probability"
        What the scores are declared to be; kept in the result. Scores outside [0, 1] are
        recorded as "real".
    on_infeasible : {"closest", "raise", "never"}, default "closest"
        For a class that no threshold suits: the point with the smallest largest shortfall
        (of equals, recall's counts first), an `InfeasibleError`, or a threshold of infinity.

    Raises
    ------
    InputError
        If an option is unknown, out of range, contradicts another or does not apply.

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
    strategy: Literal["exact", "grid"] = "exact"
    grid: npt.ArrayLike | None = None
    score_scale: ScoreScale = "probability"
    on_infeasible: Literal["closest", "raise", "never"] = "closest"

    def __post_init__(self) -> None:
        resolve_objective(self.objective)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        for name in (*_FLOORS, *_BOUNDS):
            value = getattr(self, name)
            if value is None:
                continue
            array = per_class(value, np.size(value), name)
            if name in _FLOORS and not ((array >= 0) & (array <= 1)).all():
                raise InputError(f"{name} must lie in [0, 1], got {value!r}")
        if self.strategy == "grid":
            _grid_points(self.grid)
        elif self.grid is not None:
            raise InputError("grid applies to strategy='grid' only")

    def run(
        self,
        y_true: Any,
        y_score: Any,
        *,
        sample_weight: Any = None,
        class_names: Sequence[str] | None = None,
    ) -> ThresholdSet:
        """Search on this data; see `find_optimal_thresholds` for the parameters."""
        labels, label_columns = as_labels(y_true, "y_true")
        scores, score_columns = as_scores(y_score, labels.shape)
        n_samples, n_classes = labels.shape
        if n_samples == 0:
            raise InputError("y_true has no rows; there is nothing to choose thresholds by")
        weight = as_sample_weight(sample_weight, n_samples)
        names = matched_class_names(n_classes, class_names, label_columns, score_columns)
        bounds = self._bounds(n_classes, scores.dtype)
        constraints = self._constraints(n_classes)

        choices: list[Choice] = []
        status: list[Status] = []
        support = np.zeros(n_classes, dtype=np.int64)
        for c in range(n_classes):
            one_class = SortedClass(scores[:, c], labels[:, c], weight)
            support[c] = len(one_class.positive)
            choice = self._search(one_class, bounds[:, c], constraints[c])
            choices.append(choice)
            status.append(
                "no_positives" if not support[c] else "ok" if choice.feasible else "infeasible"
            )
        if self.on_infeasible == "raise":
            _raise_infeasible(status, choices, names)

        tp, fp, fn, tn = Counts(
            *np.array([choice.counts for choice in choices], dtype=np.float64).T
        )
        return ThresholdSet(
            thresholds=np.array([choice.threshold for choice in choices], dtype=scores.dtype),
            class_names=names,
            status=tuple(status),
            support=support,
            objective_value=np.array([choice.value for choice in choices]),
            precision=_rate(tp, tp + fp),
            recall=_rate(tp, tp + fn),
            f1=ratio(2 * tp, 2 * tp + fp + fn),
            alarm_rate=_rate(tp + fp, tp + fp + fn + tn),
            score_scale=self._recorded_scale(scores),
            options=self._as_json(),
        )

    def _search(
        self, one_class: SortedClass, bounds: FloatArray, constraints: Constraints
    ) -> Choice:
        objective = resolve_objective(self.objective)
        never = np.array([np.inf], dtype=bounds.dtype)
        if len(one_class.positive) == 0:
            return search_grid(one_class, never, objective, constraints)
        if self.strategy == "grid":
            grid = _grid_points(self.grid).astype(bounds.dtype)
            grid = grid[(bounds[0] <= grid) & (grid <= bounds[1])]
            if len(grid) == 0:
                raise InputError(f"no grid point lies in [{bounds[0]}, {bounds[1]}]")
            choice = search_grid(one_class, grid, objective, constraints)
        else:
            choice = search_exact(one_class, bounds[0], bounds[1], objective, constraints)
        if not choice.feasible and self.on_infeasible == "never":
            return search_grid(one_class, never, objective, constraints)._replace(feasible=False)
        return choice

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
            for name in _FLOORS
            if getattr(self, name) is not None
        }
        return [
            Constraints(**{name: float(value[c]) for name, value in given.items()})
            for c in range(n_classes)
        ]

    def _recorded_scale(self, scores: FloatArray) -> ScoreScale:
        within = scores.min() >= 0 and scores.max() <= 1
        return "probability" if self.score_scale == "probability" and within else "real"

    def _as_json(self) -> dict[str, Any]:
        """Return the options that were set, as JSON values."""
        options: dict[str, Any] = {
            "objective": resolve_objective(self.objective).name,
            "strategy": self.strategy,
            "on_infeasible": self.on_infeasible,
        }
        for name in (*_FLOORS, *_BOUNDS, "grid"):
            value = getattr(self, name)
            if value is not None:
                listed = np.asarray(to_numpy(value, name)[0], dtype=np.float64).tolist()
                options[name] = _finite_or_text(listed)
        return options


def find_optimal_thresholds(
    y_true: Any,
    y_score: Any,
    *,
    sample_weight: Any = None,
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
    class_names : sequence of str, optional
        By default a frame's column names, if any.
    **options
        As in `ThresholdSearch`: `objective`, `min_recall`, `min_precision`, `min_specificity`,
        `max_alarm_rate`, `min_threshold`, `max_threshold`, `strategy`, `grid`, `score_scale`,
        `on_infeasible`.

    Returns
    -------
    ThresholdSet
        A class without positives gets the status "no_positives" and the threshold infinity; a
        class that no threshold suits, "infeasible".

    Raises
    ------
    InputError
        If an array or an option is not as described.
    InfeasibleError
        If a class is infeasible and `on_infeasible` is "raise".

    Notes
    -----
    A constraint that holds on the data that chose the threshold need not hold on new data.

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
        y_true, y_score, sample_weight=sample_weight, class_names=class_names
    )


def _grid_points(grid: npt.ArrayLike | None) -> npt.NDArray[np.float64]:
    if grid is None:
        return np.arange(10, 91, 5) / 100  # the quotient is the float nearest to the decimal
    points = np.asarray(to_numpy(grid, "grid")[0], dtype=np.float64)
    if points.ndim != 1 or points.size == 0 or not np.isfinite(points).all():
        raise InputError(f"grid must be a non-empty list of finite numbers, got {grid!r}")
    return np.unique(points)


def _rate(part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    rate = np.full(part.shape, np.nan)
    np.divide(part, whole, out=rate, where=whole > 0)
    return rate


def _finite_or_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite_or_text(item) for item in value]
    return value if np.isfinite(value) else str(value)


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
