"""Epochs of draws, first batches and memory: torch.multinomial, WeightedRandomSampler, ours."""

from __future__ import annotations

import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import WeightedRandomSampler

from benchmarks.timing import median_cpu_seconds, table
from mlthresh import RarestClassSampler, rarest_class_weights

MULTINOMIAL = "torch.multinomial, a tensor"
PEER = "torch WeightedRandomSampler, as Python ints"
OURS = "mlthresh RarestClassSampler, as Python ints"
BATCH = 64


def random_labels(n_samples: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    rates = np.geomspace(0.01, 0.2, 16).astype(np.float32)
    labels = np.empty((n_samples, 16), dtype=bool)
    for rows in np.array_split(labels, -(-n_samples // 1_000_000)):  # views
        np.less(rng.random(rows.shape, dtype=np.float32), rates, out=rows)
    return labels


def drain(sampler: Iterable[int]) -> None:
    deque(sampler, maxlen=0)


def first_batch(sampler: Iterable[int]) -> list[int]:
    return list(islice(iter(sampler), BATCH))


def peak_bytes(call: Callable[[], Any]) -> int:
    """Return the most that `call` holds in Python and NumPy; torch's tensors don't count."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def run() -> Iterator[str]:
    """Yield the tables of each size."""
    torch.set_num_threads(1)
    for n_samples, rounds in ((10_000, 9), (1_000_000, 5)):
        labels = random_labels(n_samples)
        weights = torch.as_tensor(rarest_class_weights(labels))
        ours = RarestClassSampler(labels, seed=0)
        peer = WeightedRandomSampler(weights, n_samples)
        epochs = {
            MULTINOMIAL: lambda w=weights: torch.multinomial(w, len(w), replacement=True),
            PEER: lambda s=peer: drain(s),
            OURS: lambda s=ours: drain(s),
        }
        seconds = median_cpu_seconds(epochs, rounds=rounds)
        yield table(f"An epoch of draws from {n_samples:,} samples", seconds, ours=OURS)
    batches = {PEER: lambda: first_batch(peer), OURS: lambda: first_batch(ours)}
    seconds = median_cpu_seconds(batches, rounds=5)
    yield table(f"The first {BATCH} rows of an epoch, {n_samples:,} samples", seconds, ours=OURS)
    mib = {
        name: peak_bytes(lambda s=s: drain(s)) / 2**20 for name, s in ((PEER, peer), (OURS, ours))
    }
    lines = [f"| {name} | {value:.3g} |" for name, value in mib.items()]
    title = f"**Python and NumPy memory that an epoch of {n_samples:,} draws takes**"
    yield "\n".join([title, "", "| | MiB |", "|---|---:|", *lines])
    yield beyond_multinomial(20_000_000)


def beyond_multinomial(n_samples: int) -> str:
    """Return the table for more rows than torch.multinomial takes, with its error."""
    labels = random_labels(n_samples)
    weights = torch.as_tensor(rarest_class_weights(labels))
    ours = RarestClassSampler(labels, seed=0)
    seconds = median_cpu_seconds({OURS: lambda: drain(ours)}, rounds=1)
    peer = WeightedRandomSampler(weights, n_samples)
    errors = {
        MULTINOMIAL: error_of(lambda: torch.multinomial(weights, 1, replacement=True)),
        PEER: error_of(lambda: next(iter(peer))),
    }
    lines = [f"| {name} | {message} |" for name, message in errors.items()]
    title = f"**An epoch of draws from {n_samples:,} samples**"
    return "\n".join(
        [title, "", "| | CPU s |", "|---|---|", *lines, f"| {OURS} | {seconds[OURS]:.3g} |"]
    )


def error_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except RuntimeError as error:
        return f"RuntimeError: {error}".split(" (")[0].splitlines()[0]
    return "no error"
