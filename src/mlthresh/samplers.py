"""A sampler that draws rows by the rarest class they show, sharded over ranks and resumable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from operator import length_hint
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.utils.data import Sampler

from mlthresh._scalars import as_integer
from mlthresh._weighted_draws import GroupTable, draws_with_replacement, draws_without_replacement
from mlthresh.exceptions import InputError
from mlthresh.row_weights import NoPositive, rarest_class_groups

__all__ = ["RarestClassSampler"]

_STATE_VERSION = 1


class RarestClassSampler(Sampler[int]):
    r"""Draw rows with probability proportional to :func:`mlthresh.rarest_class_weights`.

    Row i is drawn with probability ``p_i = w_i / sum(w)``. The weights take at most
    ``n_classes + 1`` values, so a draw picks a group of equal weight and then a row of that group
    uniformly: exact for any number of rows (a relative error in ``p_i`` below
    ``2**-63 / p_i``), where multinomial sampling is slow and stops at 2**24 rows.

    With replacement, draw k of an epoch is a function of (seed, epoch, k) alone, by the
    counter-based generator Philox [1]_:

    - with R ranks, rank r yields draws r, r + R, ...: together the stream of a single process;
    - each rank yields ``ceil(num_samples / R)`` rows, and where that is more than `num_samples`
      in all, the stream simply goes on;
    - resuming in the middle of an epoch is a jump, however far, also onto another number of ranks.

    Without replacement, an epoch is a weighted random order of the rows (exponential keys [2]_):
    the first by ``p``, the next by ``p`` among the rest, and so on. Ranks and resuming share that
    order as above, but each iteration starts with a sort of all rows, not in constant time; where
    the ranks need more rows than there are, the order begins again; and the probability that a
    row is among the first `num_samples` has no closed form, so there are no importance weights.

    An iterator that yielded all its rows ends the epoch: the next one draws the next epoch, with
    or without :meth:`set_epoch`. An iterator that is broken off leaves the epoch as it is. No
    global random state is read or changed. The sampler holds four bytes a row; with replacement
    the draws of an epoch come in small blocks and are never held together.

    Parameters
    ----------
    labels : array, tensor or frame of shape (n_samples, n_classes)
        0, 1 or NaN. A missing label counts as not shown; a row with all labels missing is a row
        without a positive. They are not kept.
    num_samples : int >= 1, optional
        Draws per epoch, all ranks together. Default: as many as there are rows that can be drawn.
        Without replacement also the most that is allowed.
    replacement : bool
        Whether a row may be drawn more than once in an epoch.
    seed : int in [0, 2**64)
        The same on all ranks.
    num_replicas, rank : int, optional
        World size and this process's place in it. Default: from ``torch.distributed`` where that
        is initialised, else 1 and 0. Give both or neither.
    power, max_ratio, no_positive
        As in :func:`mlthresh.rarest_class_weights`.

    Raises
    ------
    InputError
        If an argument is outside its domain, or no row has a positive weight.

    References
    ----------
    .. [1] Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", SC11.
    .. [2] Efraimidis, Spirakis (2006), "Weighted random sampling with a reservoir", Information
       Processing Letters 97(5).

    Examples
    --------
    >>> labels = np.zeros((1000, 1), dtype=np.uint8)
    >>> labels[:10] = 1  # 1 %
    >>> sampler = RarestClassSampler(labels, no_positive=1 / 990)
    >>> rows = list(sampler)
    >>> len(rows), sum(row < 10 for row in rows)  # about half of the draws
    (1000, 522)
    """

    def __init__(
        self,
        labels: Any,
        num_samples: int | None = None,
        *,
        replacement: bool = True,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        power: float = 1.0,
        max_ratio: float | None = None,
        no_positive: NoPositive = "most_common",
    ) -> None:
        group, weight = rarest_class_groups(
            labels, power=power, max_ratio=max_ratio, no_positive=no_positive
        )
        self._table = GroupTable.build(group, weight)
        if num_samples is None:
            num_samples = len(self._table.rows)
        self.num_samples = as_integer(num_samples, "num_samples", 1, 2**62)
        if not replacement and num_samples > len(self._table.rows):
            raise InputError(
                f"num_samples={num_samples} without replacement, but only "
                f"{len(self._table.rows)} rows can be drawn"
            )
        self.replacement = bool(replacement)
        self.seed = as_integer(seed, "seed", 0, 2**64)
        self.num_replicas, self.rank = _world(num_replicas, rank)
        self._pass = _Pass(epoch=0, start=0)

    def __len__(self) -> int:
        """Return the rows that this rank yields in a whole epoch."""
        return _ceil_div(self.num_samples, self.num_replicas)

    def __iter__(self) -> Iterator[int]:
        self._pass = _Pass(self.epoch, 0 if self._finished else self._pass.start)
        return chain.from_iterable(self._blocks_of(self._pass))

    @property
    def epoch(self) -> int:
        """The epoch that the next iterator draws from."""
        return self._pass.epoch + self._finished

    def set_epoch(self, epoch: int) -> None:
        """Draw from the start of `epoch` next, an integer >= 0.

        For the epoch that would be drawn anyhow this does nothing: after
        :meth:`load_state_dict`, the usual ``set_epoch`` at the head of a training loop keeps the
        restored position.
        """
        epoch = as_integer(epoch, "epoch", 0, 2**63)
        if epoch != self.epoch:
            self._pass = _Pass(epoch, start=0)

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Return the position in the stream: plain numbers and strings, the same on every rank.

        Parameters
        ----------
        consumed : int, optional
            The rows of the latest iterator that training has used, on each rank. Default: all
            that it has yielded. A DataLoader with workers draws ahead of training, so pass
            ``consumed=batches * batch_size``, counting this DataLoader iterator's batches.

        Raises
        ------
        InputError
            If `consumed` is negative or more than the latest iterator yielded.
        """
        yielded = self._pass.yielded
        consumed = yielded if consumed is None else as_integer(consumed, "consumed", 0, yielded + 1)
        epoch, position = self._pass.epoch, self._pass.start + consumed * self.num_replicas
        if position >= self.num_samples:
            epoch, position = epoch + 1, 0
        return {**self._identity, "epoch": epoch, "position": position}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a saved position; the next iterator yields the rest of that epoch.

        The number of ranks may have changed: the position counts the draws of all ranks, and the
        ranks there are now share what is left of the stream.

        Raises
        ------
        InputError
            If the state is of a sampler with another stream (labels and options, `num_samples`,
            `replacement`, `seed`) or is not such a state. The sampler is then left as it was.
        """
        expected = {*self._identity, "epoch", "position"}
        if set(state_dict) != expected:
            raise InputError(
                f"a sampler state has the keys {sorted(expected)}, got {sorted(state_dict)}"
            )
        for key, value in self._identity.items():
            if state_dict[key] != value:
                raise InputError(
                    f"the state was saved with {key}={state_dict[key]!r}, this sampler has "
                    f"{key}={value!r}, so it would not continue the same stream"
                )
        epoch = as_integer(state_dict["epoch"], "epoch", 0, 2**63)
        position = as_integer(state_dict["position"], "position", 0, self.num_samples)
        self._pass = _Pass(epoch, start=position)

    @cached_property
    def importance_weights(self) -> torch.Tensor:
        """Weights (n_samples,) that undo the sampling: ``sum(w) / (N w_i)``.

        Over draws, the mean of ``importance_weights[i] * f(i)`` is unbiased for the plain mean of
        f over the N rows that can be drawn. Pass those of a batch as `sample_weight` to a loss.
        A row that is never drawn gets 0. float32.

        Raises
        ------
        InputError
            Without replacement.
        """
        table = self._with_replacement("importance_weights")
        weights = np.zeros(table.n_rows, dtype=np.float32)
        weights[table.rows] = np.repeat(table.importance, table.sizes)
        return torch.from_numpy(weights)

    @property
    def effective_sample_size(self) -> float:
        """How many uniform draws an epoch is worth once importance weights v are applied.

        Kish's ``num_samples * E[v]**2 / E[v**2]`` under the draws, which is ``num_samples``
        over the mean of v over the rows. It equals `num_samples` where all weights are equal.

        Raises
        ------
        InputError
            Without replacement.
        """
        table = self._with_replacement("effective_sample_size")
        return self.num_samples / float(np.average(table.importance, weights=table.sizes))

    @property
    def _finished(self) -> bool:
        return self._pass.yielded >= self._length_of(self._pass)

    def _length_of(self, current: _Pass) -> int:
        return _ceil_div(self.num_samples - current.start, self.num_replicas)

    def _blocks_of(self, current: _Pass) -> Iterator[Iterator[int]]:
        key = np.array([self.seed, current.epoch], dtype=np.uint64)
        draws = draws_with_replacement if self.replacement else draws_without_replacement
        first, step = current.start + self.rank, self.num_replicas
        for rows in draws(self._table, key, first, step, self._length_of(current)):
            yield current.hand_out(rows.tolist())

    def _with_replacement(self, name: str) -> GroupTable:
        if not self.replacement:
            raise InputError(f"{name} has no closed form without replacement")
        return self._table

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What the stream depends on beside the epoch."""
        return {
            "version": _STATE_VERSION,
            "num_samples": self.num_samples,
            "replacement": self.replacement,
            "seed": self.seed,
            "digest": self._table.digest(),
        }


@dataclass
class _Pass:
    """One iteration: where it starts, in draws of all ranks, and how far this rank is."""

    epoch: int
    start: int
    _handed_out: int = 0
    _block: Iterator[int] = field(default_factory=lambda: iter([]))

    def hand_out(self, rows: list[int]) -> Iterator[int]:
        self._handed_out += len(rows)
        self._block = iter(rows)
        return self._block

    @property
    def yielded(self) -> int:
        # what is left of the block is asked of its iterator, so that no row costs a step of Python
        return self._handed_out - length_hint(self._block)


def _world(num_replicas: int | None, rank: int | None) -> tuple[int, int]:
    if (num_replicas is None) != (rank is None):
        raise InputError(
            f"give both num_replicas and rank or neither, got {num_replicas!r} and {rank!r}"
        )
    if num_replicas is None:
        if not (distributed.is_available() and distributed.is_initialized()):
            return 1, 0
        num_replicas, rank = distributed.get_world_size(), distributed.get_rank()
    num_replicas = as_integer(num_replicas, "num_replicas", 1, 2**20)
    return num_replicas, as_integer(rank, "rank", 0, num_replicas)


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
