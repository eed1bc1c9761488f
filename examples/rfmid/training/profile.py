"""Where the time of a training step goes: what isn't the network's is the pipeline's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from examples.rfmid.data.batch_augmentation import DrawnBatch
from examples.rfmid.data.splits import load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import write_json
from examples.rfmid.settings import Config
from examples.rfmid.training.device import torch_settings
from examples.rfmid.training.session import Session, build_session
from examples.rfmid.training.step import learn, training_step
from examples.rfmid.training.world import joined_world


def profile(config: Config, output: Path | None = None, *, steps: int = 50) -> dict[str, Any]:
    """Train for some steps, print where the time went, and write it as JSON.

    Parameters
    ----------
    config
        Settings, as for train.
    output
        JSON file for the figures.
    steps
        Steps that are measured, after some that warm up.

    Returns
    -------
    dict
        As `measure` returns it, and what it was measured on.
    """
    if steps < 1:
        raise RecipeError(f"steps must be at least 1, got {steps}")
    with torch_settings(config), joined_world(config.runtime.device) as world:
        with world.main_first():
            data = load_data(config.data)
        session = build_session(config, data, world)
        figures = {
            "device": _device_name(session),
            "ranks": world.size,
            "batch_size": config.training.batch_size,
            "architecture": config.model.architecture,
            "image_size": config.image.image_size,
            "cache": config.runtime.cache,
            "num_workers": session.train_loader.num_workers,
            "augment_on": "device" if session.loading.on_device else "cpu",
            "fused": config.augmentation.fused,
            **measure(session, steps),
        }
        del session  # which holds on to the process group; see `joined_world`
        if world.is_main:
            if output is not None:
                write_json(output, figures)
            for name, value in figures.items():
                shown = f"{value:.4g}" if isinstance(value, float) else value
                print(f"{name:>28}  {shown}")
    return figures


def measure(session: Session, steps: int) -> dict[str, float]:
    """Return seconds and rates of a training step and of its parts, each part alone.

    Returns
    -------
    dict
        ``images_per_second`` of whole steps; ``step_ms`` of one; ``network_ms``: the same on a
        batch that lies augmented on the device, which is what the step would take at best;
        ``overhead_share``: the part of a step that isn't the network's; ``waiting_ms``: until the
        loader hands out a batch, within a whole step; ``inputs_ms``: to copy a batch to the device
        and augment it there, alone; ``loader_images_per_second``: of the loader alone.
    """
    batches, waits, sizes = _endless(session), [], []

    def step() -> None:
        before = time.perf_counter()
        batch = next(batches)
        waits.append(time.perf_counter() - before)
        sizes.append(training_step(session, batch)[1])

    for _ in range(max(5, steps // 4)):  # workers start, memory is allocated, kernels are chosen
        step()
    waits.clear()
    sizes.clear()
    whole = _seconds(session, step, steps)
    n_images = session.world.size * sum(sizes) / steps
    batch = next(batches)
    prepared = session.inputs(batch)
    network = _seconds(session, lambda: learn(session, *prepared), steps)
    inputs = _seconds(session, lambda: session.inputs(batch), steps)
    for _ in range(2 * session.train_loader.num_workers):
        next(batches)  # loaded while the others were measured
    loader = _seconds(session, lambda: next(batches), steps)
    return {
        "images_per_second": n_images / whole,
        "step_ms": 1000 * whole,
        "network_ms": 1000 * network,
        "overhead_share": max(0.0, 1 - network / whole),
        "waiting_ms": 1000 * sum(waits) / steps,
        "inputs_ms": 1000 * inputs,
        "loader_images_per_second": n_images / loader,
        **_memory(session),
    }


def _endless(session: Session) -> Iterator[Any]:
    """Yield whole batches: for the smaller one that ends an epoch, cuDNN would plan anew."""
    session.model.train()
    epoch, whole = 0, session.train_loader.batch_size
    while True:
        session.sampler.set_epoch(epoch)
        for batch in session.train_loader:
            n = len(batch) if isinstance(batch, DrawnBatch) else len(batch[1])
            if n == whole or len(session.train_loader) == 1:
                yield batch
        epoch += 1


def _seconds(session: Session, work: Callable[[], Any], times: int) -> float:
    """Return the mean time of some work, until the device has done it."""
    _wait_for(session)
    started = time.perf_counter()
    for _ in range(times):
        work()
    _wait_for(session)
    return (time.perf_counter() - started) / times


def _wait_for(session: Session) -> None:
    if session.device.type != "cpu":
        torch.accelerator.synchronize(session.device)


def _device_name(session: Session) -> str:
    if session.device.type == "cuda":
        return torch.cuda.get_device_name(session.device)
    return session.device.type


def _memory(session: Session) -> dict[str, float]:
    if session.device.type != "cuda":
        return {}
    return {"peak_memory_gb": torch.cuda.max_memory_allocated(session.device) / 1e9}
