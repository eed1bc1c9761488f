r"""Thresholds whose recall or specificity holds on unseen patients, whatever the distribution.

Let the positives be n independent draws and k a rank. The recall of the k-th smallest positive
score falls short of a floor r only if more than n - k of the draws lie above the score that
r of all positives reach, so

.. math:: P(\text{recall} < r) \le P(\mathrm{Binomial}(n, r) > n - k).

The largest k that makes this at most 1 - confidence gives a cap on the threshold. Recall only
grows below the cap, so the promise holds for any choice there, made on the same data. The
mirror image, on the largest negative scores, holds a floor on specificity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh.exceptions import InputError

__all__ = ["Certificate", "Units", "certify", "largest_rank", "positives_needed"]


def positives_needed(min_recall: float, confidence: float) -> int:
    r"""Return how many independent positives it takes to certify a recall at all.

    The smallest n with :math:`1 - r^n \ge \text{confidence}`: with n positives above a
    threshold, a recall below r is that improbable.

    Parameters
    ----------
    min_recall : float
        The floor r, in [0, 1).
    confidence : float
        In (0, 1).

    Returns
    -------
    int
        At least 1. With just this many, the threshold must lie at the lowest positive score.

    Raises
    ------
    InputError
        If an argument is out of its domain; a recall of 1 can't be certified.

    References
    ----------
    S. S. Wilks, "Determination of sample sizes for setting tolerance limits", Annals of
    Mathematical Statistics 12(1), 1941.

    Examples
    --------
    >>> positives_needed(0.3, 0.9)
    2
    >>> positives_needed(0.9, 0.95)
    29
    """
    if not 0 <= min_recall < 1:
        raise InputError(f"min_recall must lie in [0, 1), got {min_recall}")
    check_confidence(confidence)
    if min_recall == 0:
        return 1
    # The logarithms only come near; the rank decides, so that both always agree.
    n = max(1, math.ceil(math.log1p(-confidence) / math.log(min_recall)) - 1)
    while largest_rank(n, min_recall, confidence) == 0:
        n += 1
    return n


def check_confidence(confidence: Any) -> None:
    """Raise unless `confidence` is a number in (0, 1)."""
    if not isinstance(confidence, int | float | np.number) or not 0 < confidence < 1:
        raise InputError(f"confidence must be a number between 0 and 1, got {confidence!r}")


def largest_rank(n: int, floor: float, confidence: float) -> int:
    """Return the largest k with P(Binomial(n, floor) <= n - k) >= confidence; 0 if none."""
    from scipy.special import bdtr

    low, high = 0, n  # the probability falls in k; at k = 0 it is 1
    while low < high:
        k = (low + high + 1) // 2
        if bdtr(n - k, n, floor) >= confidence:
            low = k
        else:
            high = k - 1
    return low


class Units(NamedTuple):
    """The scores of independent units (samples or patients), ascending.

    Entry i of `up_to` is how many units have one of the scores 0 to i.
    """

    score: FloatArray
    up_to: npt.NDArray[np.integer[Any]]

    @classmethod
    def of_rows(
        cls,
        score: FloatArray,
        chosen: npt.NDArray[np.bool_],
        groups: npt.NDArray[np.intp] | None = None,
    ) -> Units:
        """Return the chosen rows' scores, or of each group with a chosen row the lowest."""
        if groups is None:
            lowest = score[chosen]
        else:
            by_group = np.full(groups.max(initial=-1) + 1, np.inf, dtype=score.dtype)
            np.minimum.at(by_group, groups[chosen], score[chosen])
            lowest = by_group[np.isin(np.arange(len(by_group)), groups[chosen])]
        return cls(np.sort(lowest), np.arange(1, len(lowest) + 1))

    @property
    def n(self) -> int:
        """Number of units."""
        return int(self.up_to[-1]) if len(self.up_to) else 0

    def lowest(self, k: int) -> np.floating[Any]:
        """Return the k-th lowest score, k from 1 to n."""
        score: np.floating[Any] = self.score[self.up_to.searchsorted(k)]
        return score


class Certificate(NamedTuple):
    """The thresholds that keep the promise, lowest <= t <= highest, for one class or one a class.

    Without a promise, they are all thresholds. `holds` is False where there are too few units for
    any promise; then `highest` is the lowest positive score, the nearest thing to one.
    `positives_missing` says how many more independent positives a promise on recall takes.
    """

    lowest: Any
    highest: Any
    holds: Any
    positives_missing: Any

    def certifies(self, thresholds: FloatArray) -> npt.NDArray[np.bool_]:
        """Tell for which classes something is promised of these thresholds."""
        within = (self.lowest <= thresholds) & (thresholds <= self.highest)
        is_promise = np.isfinite(self.lowest) | np.isfinite(self.highest)
        certified: npt.NDArray[np.bool_] = within & self.holds & is_promise
        return certified

    @classmethod
    def free(cls, n_classes: int, dtype: np.dtype[Any]) -> Certificate:
        """Return the certificate of classes to which nothing was promised."""
        infinity = np.full(n_classes, np.inf, dtype)
        none = np.zeros(n_classes, dtype=np.int64)
        return cls(-infinity, infinity, none == 0, none)

    @classmethod
    def of_all(cls, each: Iterable[Certificate]) -> Certificate:
        """Return the certificates of several classes as one."""
        return cls(*(np.array(field) for field in zip(*each, strict=True)))


def certify(
    units: Callable[[int], Units],
    dtype: np.dtype[Any],
    *,
    min_recall: float | None,
    min_specificity: float | None,
    confidence: float,
) -> Certificate:
    """Return which thresholds of one class hold the floors on unseen data.

    With both floors, each takes half of the risk; a floor of 0 is none, and nothing is promised
    without any. ``units(1)`` are the positives; ``units(0)`` the negatives, whose scores are
    negated, so that both begin with the hardest.
    """
    if min_recall and min_specificity:
        confidence = 1 - (1 - confidence) / 2
    infinity = dtype.type(np.inf)
    lowest, highest, holds, missing = -infinity, infinity, True, 0
    if min_recall:
        positives = units(1)
        k = largest_rank(positives.n, min_recall, confidence)
        holds = k > 0
        missing = 0 if holds else positives_needed(min_recall, confidence) - positives.n
        if positives.n:
            highest = positives.lowest(max(k, 1))
    if min_specificity:
        negatives = units(0)
        k = largest_rank(negatives.n, min_specificity, confidence)
        holds &= k > 0
        if k:
            lowest = np.nextafter(-negatives.lowest(k), infinity)  # strictly above that negative
    return Certificate(lowest, highest, holds, missing)
