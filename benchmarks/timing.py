"""Interleaved timing: every contestant in turn, again and again, medians of CPU seconds."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

Contestants = Mapping[str, Callable[[], Any]]


def median_cpu_seconds(contestants: Contestants, *, rounds: int = 5) -> dict[str, float]:
    """Time each contestant once a round, after one round that does not count.

    A call much shorter than the clock's tick is repeated within a round.
    """
    repeats = {name: _repeats(call) for name, call in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                call()
            seconds[name].append((time.process_time() - start) / repeats[name])
    return {name: statistics.median(values) for name, values in seconds.items()}


def _repeats(call: Callable[[], Any]) -> int:
    start = time.perf_counter()
    call()
    return max(1, min(200, int(0.05 / max(time.perf_counter() - start, 1e-9))))


def peak_numpy_mib(call: Callable[[], Any]) -> float:
    """Return the most memory in MiB that a call holds beside what was there before.

    Counted by tracemalloc, which NumPy and Python report each allocation to; what other C and
    C++ libraries take is not seen.
    """
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def table(
    title: str,
    seconds: Mapping[str, float],
    *,
    ours: str,
    memory: Mapping[str, float] | None = None,
) -> str:
    """Return a Markdown table of seconds, of ratios to `ours`, and of extra memory in MiB."""
    head, rule = "| | CPU s | times ours |", "|---|---:|---:|"
    if memory is not None:
        head, rule = f"{head} extra MiB |", f"{rule}---:|"
    lines = [f"**{title}**", "", head, rule]
    for name, value in seconds.items():
        line = f"| {name} | {value:.3g} | {value / seconds[ours]:.3g} |"
        if memory is not None:
            line += f" {memory[name]:.2f} |" if name in memory else " |"
        lines.append(line)
    return "\n".join(lines)
