"""What a threshold is chosen for: functions from confusion counts to a value to maximise.

Every ratio whose denominator is zero counts as zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh.counts import CountArray
from mlthresh.exceptions import InputError

__all__ = ["Evaluate", "Objective", "cost", "fbeta", "ratio", "resolve_objective"]

Evaluate = Callable[[CountArray, CountArray, CountArray, CountArray], CountArray]
CountFunction = Callable[[CountArray, CountArray, CountArray, CountArray], npt.ArrayLike]
WorthFunction = Callable[[float, float, float, float], tuple[float, float]]


@dataclass(frozen=True)
class Objective:
    """A named function of the confusion counts, to be maximised.

    Parameters
    ----------
    name : str
        How results and files name it.
    function : callable
        ``function(tp, fp, fn, tn)`` takes float64 arrays of one shape and returns an array of
        that shape without NaN.
    falls_with_false_alarms : bool, default False
        Promise that at equal `tp` > 0 the value falls strictly as `fp` grows. The search then
        looks at the scores of positives alone, and not at every score.
    rises_with_hits : bool, default False
        Promise, beside the first, that at equal `fp` the value never falls as `tp` grows. Large
        data is then searched in part.
    worth : callable, optional
        Only for a quotient of two linear functions of the counts, which can be optimised over
        the summed counts of all classes (``average="micro"``). ``worth(tp, fp, fn, tn)`` takes
        floats and returns what one more hit gains and one more false alarm loses there, the
        numbers of positives and negatives being fixed: the two partial derivatives, both
        multiplied by any one positive number, the second negated.

    Examples
    --------
    >>> import numpy as np
    >>> f1 = resolve_objective("f1")
    >>> f1(*(np.array([n]) for n in (2.0, 1.0, 1.0, 6.0)))
    array([0.66666667])
    """

    name: str
    function: CountFunction = field(repr=False)
    falls_with_false_alarms: bool = False
    rises_with_hits: bool = False
    worth: WorthFunction | None = field(default=None, repr=False)

    def __call__(
        self, tp: CountArray, fp: CountArray, fn: CountArray, tn: CountArray
    ) -> CountArray:
        """Evaluate, and hold the function to its shape."""
        value = np.asarray(self.function(tp, fp, fn, tn), dtype=np.float64)
        if value.shape != tp.shape or np.isnan(value).any():
            what = "NaN" if value.shape == tp.shape else f"shape {value.shape}"
            raise InputError(
                f"objective {self.name!r} returned {what} for counts of shape {tp.shape}; "
                "it must return one number for each count"
            )
        return value


def ratio(numerator: CountArray, denominator: CountArray) -> CountArray:
    """Divide, with 0 where the denominator is 0."""
    out = np.zeros(np.shape(denominator))
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def fbeta(beta: float) -> Objective:
    r"""Return the objective F-beta, the mean of precision and recall that favours recall.

    .. math:: F_\beta = \frac{(1 + \beta^2)\,TP}{(1 + \beta^2)\,TP + \beta^2\,FN + FP}

    Parameters
    ----------
    beta : float
        How many times more recall weighs than precision; at least 0, and 0 is precision.

    Returns
    -------
    Objective

    Raises
    ------
    InputError
        If `beta` is negative or not finite.

    Examples
    --------
    >>> fbeta(2.0).name
    'fbeta(2.0)'
    """
    if not (math.isfinite(beta) and beta >= 0):
        raise InputError(f"beta must be finite and not negative, got {beta!r}")
    square = float(beta) ** 2

    def function(tp: CountArray, fp: CountArray, fn: CountArray, tn: CountArray) -> CountArray:  # noqa: ARG001
        hit = (1 + square) * tp
        return ratio(hit, hit + square * fn + fp)

    def worth(tp: float, fp: float, fn: float, tn: float) -> tuple[float, float]:  # noqa: ARG001
        return fp + square * (tp + fn), tp

    return Objective(
        f"fbeta({float(beta)!r})",
        function,
        falls_with_false_alarms=True,
        rises_with_hits=True,
        worth=worth,
    )


def cost(*, miss: float, false_alarm: float) -> Objective:
    r"""Return the objective that minimises the mean cost of a decision.

    .. math:: -\frac{c_{miss}\,FN + c_{false\ alarm}\,FP}{TP + FP + FN + TN}

    Parameters
    ----------
    miss, false_alarm : float
        The costs of one missed and of one falsely called sample, in any common unit; not
        negative, and not both zero.

    Returns
    -------
    Objective

    Raises
    ------
    InputError
        If a cost is negative or not finite, or both are zero.

    Examples
    --------
    >>> cost(miss=10, false_alarm=1).name
    'cost(miss=10.0, false_alarm=1.0)'
    """
    for name, value in (("miss", miss), ("false_alarm", false_alarm)):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"cost {name} must be finite and not negative, got {value!r}")
    if miss == false_alarm == 0:
        raise InputError("cost of a miss and of a false alarm must not both be zero")
    miss, false_alarm = float(miss), float(false_alarm)

    def function(tp: CountArray, fp: CountArray, fn: CountArray, tn: CountArray) -> CountArray:
        return -ratio(miss * fn + false_alarm * fp, tp + fp + fn + tn)

    return Objective(
        f"cost(miss={miss!r}, false_alarm={false_alarm!r})",
        function,
        falls_with_false_alarms=false_alarm > 0,
        rises_with_hits=false_alarm > 0,
        worth=lambda tp, fp, fn, tn: (miss, false_alarm),  # noqa: ARG005
    )


def _f1(tp: CountArray, fp: CountArray, fn: CountArray, tn: CountArray) -> CountArray:  # noqa: ARG001
    return ratio(2 * tp, 2 * tp + fp + fn)


def _jaccard(tp: CountArray, fp: CountArray, fn: CountArray, tn: CountArray) -> CountArray:  # noqa: ARG001
    return ratio(tp, tp + fp + fn)


def _mcc(tp: CountArray, fp: CountArray, fn: CountArray, tn: CountArray) -> CountArray:
    # The product of four counts overflows no float64, but its factors' roots keep more digits.
    scale = np.sqrt((tp + fp) * (tp + fn)) * np.sqrt((tn + fp) * (tn + fn))
    return ratio(tp * tn - fp * fn, scale)


def _balanced_accuracy(
    tp: CountArray, fp: CountArray, fn: CountArray, tn: CountArray
) -> CountArray:
    return (ratio(tp, tp + fn) + ratio(tn, tn + fp)) / 2


def _youden(tp: CountArray, fp: CountArray, fn: CountArray, tn: CountArray) -> CountArray:
    return ratio(tp, tp + fn) + ratio(tn, tn + fp) - 1


def _worth_in_union(tp: float, fp: float, fn: float, tn: float) -> tuple[float, float]:  # noqa: ARG001
    return tp + fp + fn, tp


def _worth_in_rates(tp: float, fp: float, fn: float, tn: float) -> tuple[float, float]:
    return (fp + tn) or 1.0, tp + fn


_NAMED = {
    name: Objective(name, function, falls_with_false_alarms=True, rises_with_hits=True, worth=worth)
    for name, function, worth in (
        ("f1", _f1, _worth_in_union),
        ("jaccard", _jaccard, _worth_in_union),
        ("mcc", _mcc, None),
        ("balanced_accuracy", _balanced_accuracy, _worth_in_rates),
        ("youden", _youden, _worth_in_rates),
    )
}


def resolve_objective(objective: Any) -> Objective:
    """Return the objective of that name, or wrap a callable, which is searched over all cuts."""
    if isinstance(objective, Objective):
        return objective
    if isinstance(objective, str):
        if objective not in _NAMED:
            raise InputError(
                f"unknown objective {objective!r}; expected one of {sorted(_NAMED)}, "
                "fbeta(beta), cost(miss=, false_alarm=) or a callable(tp, fp, fn, tn)"
            )
        return _NAMED[objective]
    if callable(objective):
        return Objective(getattr(objective, "__name__", type(objective).__name__), objective)
    raise InputError(f"objective must be a name or a callable, got {objective!r}")
