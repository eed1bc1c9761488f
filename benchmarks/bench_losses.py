"""The loss forward and backward beside its peers: time, memory, and waits for an accelerator."""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.loss_contestants import BCE, OURS, losses

SHAPES = {(64, 16): 25, (4096, 80): 15, (65536, 256): 3}  # and how often each is timed
Row = dict[str, Any]


def run(device: str = "cpu", json_path: str | None = None) -> Iterator[str]:
    """Yield one table a size and data type."""
    torch.set_num_threads(1)
    on_cuda = torch.device(device).type == "cuda"
    machine = torch.cuda.get_device_name() if on_cuda else "CPU, one thread"
    tables = []
    for shape, rounds in SHAPES.items():
        for dtype in (torch.float32, torch.bfloat16) if on_cuda else (torch.float32,):
            torch.compiler.reset()
            logits, targets, pos_weight = example(shape, dtype, device)
            rows = measured(losses(pos_weight), logits, targets, rounds)
            name = f"{shape[0]:,} x {shape[1]}, {str(dtype).removeprefix('torch.')}"
            tables.append({"name": name, "shape": shape, "dtype": str(dtype), "rows": rows})
            yield table(f"Loss and gradient, {name}, {machine}", rows, on_cuda=on_cuda)
    if json_path is not None:
        result = {"device": machine, "torch": torch.__version__, "tables": tables}
        partial = Path(f"{json_path}.partial")
        partial.write_text(json.dumps(result, indent=1))
        partial.replace(json_path)


def example(
    shape: tuple[int, int], dtype: torch.dtype, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits, targets of which a tenth are positive, and pos_weight."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator).to(device, dtype).requires_grad_()
    targets = (torch.rand(shape, generator=generator) < 0.1).float().to(device)
    return logits, targets, torch.linspace(1, 10, shape[1], device=device)


def measured(
    contestants: dict[str, Any], logits: torch.Tensor, targets: torch.Tensor, rounds: int
) -> dict[str, Row]:
    """Time the contestants in turn, again and again; medians."""
    rows: dict[str, Row] = {}
    steps: dict[str, Callable[[], None]] = {}
    repeats: dict[str, int] = {}
    clock = _cuda_seconds if logits.is_cuda else _cpu_seconds
    for name, loss in contestants.items():
        if isinstance(loss, str):
            rows[name] = {"failed": loss}
            continue

        def step(loss: Any = loss) -> None:
            logits.grad = None
            loss(logits, targets).backward()

        try:
            for _ in range(3):
                step()
            once = clock(step, 1)
        except Exception as error:  # a peer or a compiler; the table says so
            rows[name] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"}
            continue
        rows[name] = {"peak_tensors": peak_bytes(step, logits) / logits.nbytes}
        if logits.is_cuda:
            rows[name]["waits"] = waits(step)
        steps[name], repeats[name] = step, max(1, min(200, int(0.03 / max(once, 1e-9))))

    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(clock(step, repeats[name]))
    must_move = 2 * logits.nbytes + targets.nbytes  # read both, write the gradient
    for name, values in seconds.items():
        median = statistics.median(values)
        rows[name] |= {"seconds": median, "gb_per_second": must_move / median / 1e9}
    return {name: rows[name] for name in contestants}


def _cpu_seconds(step: Callable[[], None], repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats


def _cuda_seconds(step: Callable[[], None], repeats: int) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(repeats):
        step()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000 / repeats


def peak_bytes(step: Callable[[], None], logits: torch.Tensor) -> int:
    """Return the most that a step holds beside what was there before, the gradient included."""
    logits.grad = None
    if logits.is_cuda:
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    recorded = profiler.profiler.kineto_results.events()
    changes = [event for event in recorded if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def waits(step: Callable[[], None]) -> int:
    """Return how often a step waits for the accelerator."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def table(title: str, rows: dict[str, Row], *, on_cuda: bool) -> str:
    """Return a Markdown table; what is not `failed` has a time."""
    header = ["", "µs", "times BCE", "times ours", "peak tensors"]
    header += ["GB/s", "waits"] if on_cuda else []
    lines = [f"**{title}**", "", f"| {' | '.join(header)} |", "|---" + "|---:" * (len(header) - 1)]
    lines[-1] += "|"
    for name, row in rows.items():
        if "failed" in row:
            lines.append(f"| {name} | {row['failed']} |" + " |" * (len(header) - 2))
            continue
        seconds = row["seconds"]
        cells = [f"{seconds * 1e6:.4g}"]
        cells += [f"{seconds / rows[other]['seconds']:.3g}" for other in (BCE, OURS)]
        cells += [f"{row['peak_tensors']:.2f}"]
        cells += [f"{row['gb_per_second']:.4g}", str(row["waits"])] if on_cuda else []
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
