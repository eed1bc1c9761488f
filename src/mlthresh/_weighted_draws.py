"""Weighted draws as functions of a key and a position, by the counter-based generator Philox.

The rows fall into few groups of equal weight: a draw picks a group, then a row of it uniformly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random import Philox

from mlthresh.exceptions import InputError

__all__ = ["GroupTable", "draws_with_replacement", "draws_without_replacement", "high_product"]

_BLOCK_DRAWS = 8192  # drawn at a time: the temporaries stay within the processor's cache
_FIRST_BLOCK_DRAWS = 512  # the first batch need not wait for a whole block
_GUIDE_BITS = 11


@dataclass(frozen=True)
class GroupTable:
    """The rows that can be drawn, sorted by group; a group's rows share one weight."""

    n_rows: int  # with those that can't be drawn
    rows: npt.NDArray[np.uint32]
    sizes: npt.NDArray[np.int64]  # (n_groups,), as are the next three
    weights: npt.NDArray[np.float64]
    importance: npt.NDArray[np.float64]
    upper: npt.NDArray[np.uint64]  # the last 64-bit word that draws each group
    guide: npt.NDArray[np.intp]  # the group of words that begin alike; n_groups: not all the same

    @classmethod
    def build(
        cls, group: npt.NDArray[np.unsignedinteger[Any]], weight: npt.NDArray[np.float64]
    ) -> GroupTable:
        if len(group) >= 2**32:  # the domain of high_product
            raise InputError(f"at most 2**32 - 1 rows can be sampled, got {len(group)}")
        all_sizes = np.bincount(group, minlength=len(weight))
        drawn = (all_sizes > 0) & (weight > 0)
        if not drawn.any():
            raise InputError(f"no_positive=0 leaves none of the {len(group)} rows to draw")
        # a radix sort: the codes are small integers
        rows = np.argsort(group, kind="stable").astype(np.uint32)
        if not drawn.all():
            rows = rows[drawn[group[rows]]]
        sizes, weights = all_sizes[drawn], weight[drawn]
        # rational arithmetic is exact, and cheap since there are few groups
        mass = [Fraction(float(w)) * int(n) for w, n in zip(weights, sizes, strict=True)]
        total = sum(mass, Fraction(0))
        for part, w, n in zip(mass, weights, sizes, strict=True):
            if part * 2**64 < total:
                raise InputError(
                    f"the {n} rows of weight {w} would never be drawn, since all weights sum to "
                    f"{float(total)}; set max_ratio or another no_positive"
                )
        end = [int(so_far / total * 2**64) for so_far in accumulate(mass)]
        upper = np.array([e - 1 for e in end], dtype=np.uint64)
        importance = [float(total / (len(rows) * Fraction(float(w)))) for w in weights]
        return cls(
            n_rows=len(group),
            rows=rows,
            sizes=sizes,
            weights=weights,
            importance=np.array(importance),
            upper=upper,
            guide=_guide(upper),
        )

    def group_of(self, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
        """Return the group that each word draws: the first whose `upper` is not below it."""
        # a binary search mispredicts a branch at every step; looking up the first bits does not
        group = self.guide[(words >> np.uint64(64 - _GUIDE_BITS)).view(np.int64)]
        unsure = np.flatnonzero(group == len(self.upper))
        group[unsure] = np.searchsorted(self.upper, words[unsure])
        return group

    def digest(self) -> str:
        """Return a digest of the rows and their weights, the same on every machine."""
        digest = hashlib.sha256()
        # a power's last bits differ between processors, so the weights are rounded
        for array, dtype in ((self.rows, "<u4"), (self.sizes, "<i8"), (self.weights, "<f4")):
            digest.update(array.astype(dtype, copy=False).data)
        return digest.hexdigest()


def draws_with_replacement(
    table: GroupTable, key: npt.NDArray[np.uint64], first: int, step: int, count: int
) -> Iterator[npt.NDArray[np.uint32]]:
    """Yield blocks of the draws first, first + step, ...: `count` draws in all.

    Draw k takes words 2k and 2k + 1 of the Philox stream, which makes four words a counter.
    """
    bits = Philox(key=key, counter=first // 2)
    if first % 2:
        bits.random_raw(2)
    starts = np.cumsum(table.sizes) - table.sizes
    sizes = table.sizes.astype(np.uint64)
    start, block = 0, _FIRST_BLOCK_DRAWS // 2
    while start < count:
        block = min(2 * block, _BLOCK_DRAWS)
        n_draws = min(max(1, block // step), count - start)
        words = bits.random_raw(2 * step * n_draws).reshape(n_draws, 2 * step)
        group = table.group_of(words[:, 0])
        within = high_product(words[:, 1], sizes[group])
        yield table.rows[starts[group] + within.view(np.int64)]
        start += n_draws


def draws_without_replacement(
    table: GroupTable, key: npt.NDArray[np.uint64], first: int, step: int, count: int
) -> Iterator[npt.NDArray[np.uint32]]:
    """Yield blocks of the rows at first, first + step, ... of the weighted order, begun again.

    The order is that of independent Exponential(weight) keys. Row i takes word i of the Philox
    stream, so its key depends on no other row.
    """
    words = Philox(key=key).random_raw(table.n_rows)[table.rows]
    exponential = -np.log1p((words >> np.uint64(11)) * -(2.0**-53))  # 53 bits: never log(0)
    exponential /= np.repeat(table.weights, table.sizes)
    order = table.rows[np.argsort(exponential, kind="stable")]
    for start in range(0, count, _BLOCK_DRAWS):
        place = first + step * np.arange(start, min(start + _BLOCK_DRAWS, count))
        yield order[place % len(order)]


def _guide(upper: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    first = np.arange(2**_GUIDE_BITS, dtype=np.uint64) << np.uint64(64 - _GUIDE_BITS)
    last = first + np.uint64(2 ** (64 - _GUIDE_BITS) - 1)
    low, high = np.searchsorted(upper, first), np.searchsorted(upper, last)
    return np.where(low == high, low, len(upper))


def high_product(
    word: npt.NDArray[np.uint64], size: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """Return floor(word * size / 2**64) for sizes below 2**32: uniform on 0 ... size - 1."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    return ((word >> half) * size + (((word & low) * size) >> half)) >> half
