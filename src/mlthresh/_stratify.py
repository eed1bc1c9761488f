"""Dealing units, rows or whole groups of rows, to folds in equal proportions of every class.

First by iterative stratification, rare classes first, then by a local search: units move, or two
units trade places, as long as that lowers Pearson's chi-squared distance to the exact proportions.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt

__all__ = ["deal"]

_Matrix = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]

_MAX_ROUNDS = 50
_CANDIDATES = 64  # units considered at a time for moving from one fold to another
_TOLERANCE = 1e-9


def deal(
    positives: _Integers, size: _Integers, known: _Integers | None, share: _Matrix, seed: int
) -> npt.NDArray[np.intp]:
    """Return each unit's fold (n_units,); none is empty if there are units enough.

    Parameters
    ----------
    positives : array of shape (n_units, n_classes)
        Positives of each unit.
    size : array of shape (n_units,)
        Rows of each unit.
    known : array of shape (n_units, n_classes) or None
        Known labels of each unit; None where all are.
    share : array of shape (n_folds,)
        The part of all that each fold should get; sums to 1.
    seed : int
        Breaks ties.
    """
    rng = np.random.default_rng(seed)
    fold_of = _deal_rare_first(positives, size, share, rng)
    _fill_empty_folds(fold_of, size, len(share))
    # every fold should get its part of the rows and of the known labels too
    columns = [positives, size] if known is None else [positives, size, known]
    _refine(fold_of, np.column_stack(columns).astype(np.float64), share)
    return fold_of


def _deal_rare_first(
    positives: _Integers, size: _Integers, share: _Matrix, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    left = positives.sum(axis=0)
    lacking = share[:, None] * left
    lacking_rows = share * size.sum()
    fold_of = np.full(len(size), -1, dtype=np.intp)
    order = rng.permutation(len(size))
    order = order[np.argsort(-size[order], kind="stable")]  # large units while there is room
    while left.any():
        rarest = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        for unit in order[(positives[order, rarest] > 0) & (fold_of[order] < 0)]:
            fold = _neediest(lacking[:, rarest], lacking_rows, rng)
            fold_of[unit] = fold
            lacking[fold] -= positives[unit]
            lacking_rows[fold] -= size[unit]
            left -= positives[unit]
    for unit in order[fold_of[order] < 0]:
        fold = _neediest(lacking_rows, lacking_rows, rng)
        fold_of[unit] = fold
        lacking_rows[fold] -= size[unit]
    return fold_of


def _neediest(first: _Matrix, second: _Matrix, rng: np.random.Generator) -> int:
    """Return the fold that lacks most; of equals the one lacking most rows, then by lot."""
    best = np.flatnonzero(first >= first.max() - _TOLERANCE)
    if len(best) > 1:
        rest = second[best]
        best = best[rest >= rest.max() - _TOLERANCE]
    return int(best[0] if len(best) == 1 else rng.choice(best))


def _fill_empty_folds(fold_of: npt.NDArray[np.intp], size: _Integers, n_folds: int) -> None:
    """Give a fold without any unit, as a few large groups can leave one, the smallest to spare."""
    for empty in np.flatnonzero(np.bincount(fold_of, minlength=n_folds) == 0):
        spare = np.bincount(fold_of, minlength=n_folds)[fold_of] > 1
        fold_of[np.argmin(np.where(spare, size, size.sum() + 1))] = empty


def _refine(fold_of: npt.NDArray[np.intp], amount: _Matrix, share: _Matrix) -> None:
    """Lower, in place, the sum over folds and columns of ``lacking**2 / expected``."""
    amount = amount[:, amount.any(axis=0)]
    expected = share[:, None] * amount.sum(axis=0)
    lacking, weight = expected.copy(), 1 / expected
    np.subtract.at(lacking, fold_of, amount)
    square = amount**2 @ weight.T
    for _ in range(_MAX_ROUNDS):
        if np.abs(lacking).max() < 1:  # every count is its exact share, rounded up or down
            return
        slope = amount @ (2 * weight * lacking).T
        leave = np.take_along_axis(square + slope, fold_of[:, None], axis=1)
        # rounded, so that ties are broken in the same way on every machine
        delta = np.round(leave + square - slope, 9)
        n_improved = 0
        for a, b in permutations(range(len(share)), 2):
            n_improved += _exchange(a, b, fold_of, amount, lacking, weight, delta)
        if n_improved == 0:
            return


def _exchange(
    a: int,
    b: int,
    fold_of: npt.NDArray[np.intp],
    amount: _Matrix,
    lacking: _Matrix,
    weight: _Matrix,
    delta: _Matrix,
) -> bool:
    """Move units from a to b or swap two, the best first, while it helps; tell whether it did.

    `delta` says what each unit's move to each fold would change at the start of the round, which
    chooses the candidates; what is done goes by what it changes then.
    """
    going = _candidates(fold_of, a, delta[:, b])
    coming = _candidates(fold_of, b, delta[:, a])
    # the row of zeros: a unit goes and none comes back
    out, back = amount[going], np.vstack([amount[coming], np.zeros(amount.shape[1])])
    both = weight[a] + weight[b]
    # -(out - back)**2 @ both for all pairs of rows
    gain = 2 * (out * both) @ back.T - (out**2 @ both)[:, None] - back**2 @ both
    n_left, improved = np.count_nonzero(fold_of == a), False
    while True:
        slope = 2 * (weight[b] * lacking[b] - weight[a] * lacking[a])
        now = np.round(gain + (out @ slope)[:, None] - back @ slope, 9)
        if n_left == 1:
            now[:, -1] = -np.inf  # never empty a fold
        i, j = np.unravel_index(np.argmax(now), now.shape)
        if now[i, j] <= _TOLERANCE:
            return improved
        improved = True
        fold_of[going[i]] = b
        gain[i] = -np.inf
        if j < len(coming):
            fold_of[coming[j]] = a
            gain[:, j] = -np.inf
        else:
            n_left -= 1
        lacking[a] += out[i] - back[j]
        lacking[b] -= out[i] - back[j]


def _candidates(fold_of: npt.NDArray[np.intp], fold: int, delta: _Matrix) -> npt.NDArray[np.intp]:
    units = np.flatnonzero(fold_of == fold)
    return units[np.argsort(delta[units], kind="stable")[:_CANDIDATES]]
