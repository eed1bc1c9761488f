"""Sums and texts of all ranks of a torch process group."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import distributed

from mlthresh.exceptions import InputError

__all__ = ["gather_texts", "is_single", "sum_over_ranks"]


def is_single() -> bool:
    """Tell whether there is no process group, so that this process is all there is."""
    return not (distributed.is_available() and distributed.is_initialized())


def gather_texts(text: str, group: Any) -> list[str]:
    """Return every rank's text, by rank. Texts and not pickled objects: nothing can be run."""
    if distributed.get_rank(group) < 0:
        raise InputError("this process is not a member of the process group")
    device = _device(group)
    data = torch.tensor(list(text.encode()), dtype=torch.uint8, device=device)
    lengths = [torch.empty(1, dtype=torch.int64, device=device) for _ in range(_size(group))]
    distributed.all_gather(lengths, torch.tensor([len(data)], device=device), group)
    longest = max(int(length) for length in lengths)
    padded = torch.zeros(longest, dtype=torch.uint8, device=device)
    padded[: len(data)] = data
    texts = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(texts, padded, group)
    return [
        bytes(data[: int(length)].tolist()).decode()
        for data, length in zip(texts, lengths, strict=True)
    ]


def sum_over_ranks(array: npt.NDArray[Any], group: Any) -> npt.NDArray[Any]:
    """Return the sum of every rank's array, the same on all ranks."""
    tensor = torch.from_numpy(array.copy()).to(_device(group))
    distributed.all_reduce(tensor, group=group)
    return np.asarray(tensor.cpu().numpy())


def _size(group: Any) -> int:
    return int(distributed.get_world_size(group))


def _device(group: Any) -> torch.device:
    """Return where the group's backend works: the processor if it can, else this rank's device."""
    if "cpu:" in distributed.get_backend_config(group):
        return torch.device("cpu")
    return torch.accelerator.current_accelerator() or torch.device("cpu")
