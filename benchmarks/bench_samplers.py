"""One epoch of draws: torch.multinomial, WeightedRandomSampler, ours."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import WeightedRandomSampler

from benchmarks.timing import median_cpu_seconds, table
from mlthresh import RarestClassSampler, rarest_class_weights

OURS = "mlthresh RarestClassSampler, as Python ints"


def contestants(n_samples: int) -> dict[str, Callable[[], Any]]:
    """Return ways to draw an epoch by the same weights."""
    rng = np.random.default_rng(0)
    labels = rng.random((n_samples, 16)) < np.geomspace(0.01, 0.2, 16)
    weights = torch.as_tensor(rarest_class_weights(labels))
    ours = RarestClassSampler(labels, seed=0)
    peer = WeightedRandomSampler(weights, n_samples)
    return {
        "torch.multinomial, a tensor": lambda: torch.multinomial(
            weights, n_samples, replacement=True
        ),
        "torch WeightedRandomSampler, as Python ints": lambda: deque(peer, maxlen=0),
        OURS: lambda: deque(ours, maxlen=0),
    }


def run() -> Iterator[str]:
    """Yield one table a size."""
    torch.set_num_threads(1)
    for n_samples, rounds in ((10_000, 9), (1_000_000, 3)):
        seconds = median_cpu_seconds(contestants(n_samples), rounds=rounds)
        yield table(f"An epoch of draws from {n_samples:,} samples", seconds, ours=OURS)
