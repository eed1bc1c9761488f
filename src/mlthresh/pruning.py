r"""One pass over large scores that keeps what a threshold search can need.

No cut below a score g beats a cut above it whose objective exceeds O(P, FP(g)): below g there are
at most all P positives and at least the FP(g) false alarms of g. A sample of the rows suggests g;
the search above g then proves it, by exact counts, or the class is searched in full. For rare
classes the part above g is small, and only that is sorted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlthresh._arrays import FloatArray
from mlthresh.constraints import Constraints
from mlthresh.counts import Counts, SortedClass
from mlthresh.objectives import Evaluate, Objective

__all__ = ["is_proven", "promising_parts"]

_FEWEST_ROWS = 1 << 15  # below, sorting everything takes no time
_SAMPLED_ROWS = 1 << 13
_BLOCK_ELEMENTS = 1 << 18
_LARGEST_PART = 0.25  # of the rows: keeping more is no cheaper than sorting them


def promising_parts(
    scores: FloatArray,
    labels: npt.NDArray[Any],
    objective: Objective,
    constraints: Constraints,
) -> list[SortedClass | None]:
    """Return each class with its positives and its highest negatives alone.

    None stands for a class that has to be searched in full.
    """
    n_samples, n_classes = scores.shape
    if n_samples < _FEWEST_ROWS or not objective.rises_with_hits:
        return [None] * n_classes
    positives = _positives(scores, labels)
    stride = n_samples // _SAMPLED_ROWS
    floors = np.array(
        [
            _suggested_floor(
                positives[c],
                np.sort(scores[::stride, c][labels[::stride, c] == 0]),
                n_samples,
                objective,
                constraints.of(c),
            )
            for c in range(n_classes)
        ],
        dtype=scores.dtype,
    )
    negatives, n_negatives = _negatives_from(scores, labels, floors)
    return [
        SortedClass.above(floors[c], positives[c], negatives[c], int(n_negatives[c]))
        if np.isfinite(floors[c])
        else None
        for c in range(n_classes)
    ]


def is_proven(part: SortedClass, value: float, objective: Evaluate) -> bool:
    """Tell whether no cut below the part's floor can reach the value of one that was found above.

    Then some listed negative lies below the cut that was found, for it calls fewer of them than
    the floor does. So its threshold, midway to the next score below, is above the floor too, where
    it was counted right.
    """
    at_floor = part.counts(np.array([part.floor]))
    n_positives = at_floor.tp + at_floor.fn
    best_below = objective(n_positives, at_floor.fp, n_positives - n_positives, at_floor.tn)
    return bool(best_below[0] < value)


def _blocks(n_rows: int, n_columns: int) -> range:
    return range(0, n_rows, max(1, _BLOCK_ELEMENTS // n_columns))


def _positives(scores: FloatArray, labels: npt.NDArray[Any]) -> list[FloatArray]:
    found: list[list[FloatArray]] = [[] for _ in range(scores.shape[1])]
    blocks = _blocks(*scores.shape)
    for start in blocks:
        rows = slice(start, start + blocks.step)
        is_positive = np.ascontiguousarray(labels[rows].T) == 1
        block = scores[rows]
        for c, chosen in enumerate(is_positive):
            at = np.flatnonzero(chosen)
            if len(at):
                found[c].append(block[at, c])
    return _joined(found, scores.dtype)


def _suggested_floor(
    positive: FloatArray,
    sampled_negative: FloatArray,
    n_samples: int,
    objective: Objective,
    constraints: Constraints,
) -> float:
    """Return a score that the best cut should lie above, or infinity if none helps."""
    n_positive, n_sampled = len(positive), len(sampled_negative)
    if n_positive == 0 or n_sampled == 0:
        return np.inf
    n_negative = n_samples - n_positive
    per_sampled = n_negative / n_sampled

    def estimated(tp: npt.NDArray[Any], fp: npt.NDArray[Any]) -> Counts:
        return Counts(tp.astype(float), fp, n_positive - tp.astype(float), n_negative - fp)

    # A few hundred cuts are enough for an estimate.
    rank = np.unique(np.linspace(0, n_positive - 1, min(n_positive, 256)).astype(np.intp))
    above = n_sampled - np.searchsorted(sampled_negative, positive[rank], side="left")
    counts = estimated(n_positive - rank, above * per_sampled)
    feasible = np.all(constraints.shortfalls(counts) <= 0, axis=0)
    if not feasible.any():
        return np.inf
    value = objective(*counts)[feasible].max()
    # How many false alarms rule a cut out, hits granted; the margin covers the sample's error.
    allowed = np.arange(n_sampled + 1, dtype=np.float64)
    bound = objective(*estimated(np.full(n_sampled + 1, n_positive), allowed * per_sampled))
    ruled_out = np.searchsorted(-bound, -value, side="right")
    kept = int(1.1 * ruled_out + 3 * np.sqrt(ruled_out) + 10)
    if kept * per_sampled > _LARGEST_PART * n_samples or kept >= n_sampled:
        return np.inf
    return float(sampled_negative[n_sampled - 1 - kept])


def _negatives_from(
    scores: FloatArray, labels: npt.NDArray[Any], floors: FloatArray
) -> tuple[list[FloatArray], npt.NDArray[np.int64]]:
    """Return each class's negatives of at least its floor, sorted, and how many it has in all."""
    n_classes = scores.shape[1]
    kept: list[list[FloatArray]] = [[] for _ in range(n_classes)]
    n_negatives = np.zeros(n_classes, dtype=np.int64)
    blocks = _blocks(*scores.shape)
    for start in blocks:
        rows = slice(start, start + blocks.step)
        block = np.ascontiguousarray(scores[rows].T)
        is_negative = np.ascontiguousarray(labels[rows].T) == 0
        n_negatives += [np.count_nonzero(row) for row in is_negative]
        is_negative &= block >= floors[:, None]
        for c in np.flatnonzero(np.isfinite(floors)).tolist():
            # Twice as fast as a mask for an index.
            kept[c].append(block[c].take(np.flatnonzero(is_negative[c])))
    return _joined(kept, scores.dtype), n_negatives


def _joined(pieces: list[list[FloatArray]], dtype: np.dtype[Any]) -> list[FloatArray]:
    """Return each class's pieces as one sorted array; the pieces are used up."""
    joined = []
    for of_class in pieces:
        scores = np.concatenate([np.empty(0, dtype), *of_class])
        of_class.clear()  # or everything would be held twice
        scores.sort()
        joined.append(scores)
    return joined
