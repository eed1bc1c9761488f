"""Several processes that train one model: everything distributed is here.

Started by torchrun, each process is a rank with its own part of each batch. Rank 0 writes; what it
decides from, the others see. Without torchrun the world is one process, and this does nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from examples.rfmid.training.batch_norm import synchronise_batch_norm
from examples.rfmid.training.device import choose_device

_T = TypeVar("_T")

_PATIENCE = timedelta(hours=2)  # rank 0 may have all the photographs to decode first


@dataclass(frozen=True)
class World:
    """The processes of a run, as one of them sees it."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let rank 0 go through a block before the others; where it fails, they end silently."""
        if not self.is_main and self.agree("?") == "failed":
            raise SystemExit(2)
        try:
            yield
        except BaseException:
            if self.is_main:
                self.agree("failed")
            raise
        if self.is_main:
            self.agree("done")

    def agree(self, value: _T) -> _T:
        """Return rank 0's value."""
        if self.size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return a network that averages its gradients over the ranks."""
        if self.size == 1:
            return model
        synchronise_batch_norm(model)
        ids = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids)

    def share(self, targets: Tensor) -> Tensor | float:
        """Return the factor of this rank's mean loss, for gradients that are averaged.

        The mean over all ranks' valid labels isn't the mean of the ranks' means where labels are
        missing: a rank counts as much as it has labels.
        """
        if self.size == 1:
            return 1.0
        valid = (~targets.isnan()).sum().float()
        return self.size * valid / self.sum(valid).clamp(min=1)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over the ranks."""
        if self.size > 1:
            tensor = tensor.clone()
            distributed.all_reduce(tensor)
        return tensor

    def part(self, n: int) -> range:
        """Return this rank's part of n samples; together the parts are all of them, once."""
        return range(self.rank, n, self.size)

    def gather(self, values: Tensor, n: int) -> Tensor:
        """Return the rows of all n samples in their order, from each rank's `part`.

        Every sample counts once: a padded duplicate of a rare positive would move a threshold.
        """
        if self.size == 1:
            return values
        padded = values.new_zeros((-(-n // self.size), *values.shape[1:]))
        padded[: len(values)] = values
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        distributed.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:n]


@contextmanager
def joined_world(device: str) -> Iterator[World]:
    """Join the processes that torchrun started, each with a GPU of its own where there are any.

    Only rank 0 prints. A process that fails ends with an error, whereupon torchrun ends the others.
    Who wraps a network in DistributedDataParallel must let go of it before leaving the context: as
    the last holder of the group it was seen to wait for itself forever, with PyTorch 2.9.

    Raises
    ------
    RecipeError
        If the device can't be used.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(choose_device(device))
        return
    rank = int(os.environ["RANK"])
    chosen = choose_device(device)
    if chosen.type == "cuda":
        chosen = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(chosen)
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    silence = contextlib.nullcontext() if rank == 0 else contextlib.redirect_stdout(io.StringIO())
    with silence:
        yield World(chosen, rank, size)
    distributed.destroy_process_group()  # not after an error: the others can't answer
