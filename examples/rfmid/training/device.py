"""Where a run computes, and PyTorch's global settings for its duration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import Config


def choose_device(name: str) -> torch.device:
    """Return the device of this name; ``"auto"``: a GPU where there is one."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: built without CUDA
        reason = str(error).splitlines()[0]
        raise RecipeError(f"the device {name!r} can't be used: {reason}") from error
    return device


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """Return the context of the forward pass: bfloat16 where the configuration says so."""
    amp = config.training.amp
    enabled = amp == "on" or (amp == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def memory_format(config: Config, device: torch.device) -> torch.memory_format:
    """Return how images and weights lie in memory."""
    setting = config.runtime.channels_last
    last = setting == "on" or (setting == "auto" and device.type == "cuda")
    return torch.channels_last if last else torch.contiguous_format


def default_workers(n_workers: int | None, device: torch.device) -> int:
    """Return the number of loading processes: on a CPU they'd take the network's cores."""
    if n_workers is not None:
        return n_workers
    if device.type == "cpu":
        return 0
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(8, max(1, (os.cpu_count() or 1) // ranks - 1))


@contextmanager
def torch_settings(config: Config) -> Iterator[None]:
    """Set PyTorch's threads and determinism, and set them back at the end."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    if config.training.deterministic:
        # cuBLAS reads this when it starts; without it deterministic mode refuses to multiply.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        if config.runtime.threads is not None:
            torch.set_num_threads(config.runtime.threads)
        torch.use_deterministic_algorithms(deterministic or config.training.deterministic)
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
