"""Growth with rows and with classes, threads, and data larger than the memory allowed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.bench_thresholds import simulated
from benchmarks.timing import median_cpu_seconds, peak_numpy_mib
from mlthresh import find_optimal_thresholds

OPTIONS = {"min_recall": 0.3, "max_threshold": 0.7}
BY_ROWS = [(1_000, 20), (10_000, 20), (100_000, 20), (1_000_000, 20), (10_000_000, 8)]
BY_CLASSES = [(1_000, 1), (1_000, 10), (1_000, 100), (1_000, 1_000), (1_000, 10_000)]
MAPPED_ROWS, MAPPED_CLASSES = 20_000_000, 20
ALLOWED_MIB = 640


def growth(title: str, sizes: list[tuple[int, int]]) -> str:
    """Return a table of the time a score takes, beside sorting each column."""
    lines = [
        f"**{title}**\n",
        "| rows | classes | CPU s | ns a score | np.sort, ns a score | extra MiB |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for rows, classes in sizes:
        y_true, y_score = simulated(rows, classes)

        def ours(y_true: np.ndarray = y_true, y_score: np.ndarray = y_score) -> object:
            return find_optimal_thresholds(y_true, y_score, **OPTIONS)

        def floor(y_score: np.ndarray = y_score) -> object:
            return [np.sort(column) for column in y_score.T]

        seconds = median_cpu_seconds({"ours": ours, "sort": floor}, rounds=3)
        each = {name: 1e9 * value / y_score.size for name, value in seconds.items()}
        lines.append(
            f"| {rows:,} | {classes:,} | {seconds['ours']:.3g} | {each['ours']:.1f} "
            f"| {each['sort']:.1f} | {peak_numpy_mib(ours):.1f} |"
        )
    return "\n".join(lines)


def two_threads(rows: int, classes: int) -> str:
    """Return how the wall time of two threads compares, each with half of the classes."""
    y_true, y_score = simulated(rows, classes)
    half = classes // 2
    halves = [(y_true[:, :half], y_score[:, :half]), (y_true[:, half:], y_score[:, half:])]

    def search(data: tuple[np.ndarray, np.ndarray]) -> object:
        return find_optimal_thresholds(*data, **OPTIONS)

    def wall_seconds(threads: int) -> float:
        with ThreadPoolExecutor(threads) as pool:
            start = time.perf_counter()
            list(pool.map(search, halves))
            return time.perf_counter() - start

    one, two = (min(wall_seconds(threads) for _ in range(5)) for threads in (1, 2))
    return (
        f"Two threads, {rows:,} x {classes}: {two:.3g} s of wall time where one takes {one:.3g} s "
        f"({one / two:.2f} times as fast)."
    )


def write_mapped(folder: Path) -> None:
    """Write labels and scores as .npy files, a block of rows at a time."""
    shape = (MAPPED_ROWS, MAPPED_CLASSES)
    labels = np.lib.format.open_memmap(folder / "y_true.npy", "w+", np.int8, shape)
    scores = np.lib.format.open_memmap(folder / "y_score.npy", "w+", np.float32, shape)
    step = 500_000
    for block, start in enumerate(range(0, MAPPED_ROWS, step)):
        rows = slice(start, start + step)
        labels[rows], scores[rows] = simulated(len(labels[rows]), MAPPED_CLASSES, seed=block)


def search_mapped(folder: Path) -> None:
    """Search the files with `ALLOWED_MIB` of memory beside them, and say what was used."""
    # Counts what the process allocates; pages of a read-only file belong to the system's cache.
    resource.setrlimit(resource.RLIMIT_DATA, (ALLOWED_MIB << 20,) * 2)
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.02):
            status = Path("/proc/self/status").read_text()
            own = next(line for line in status.splitlines() if line.startswith("RssAnon"))
            most = max(most, int(own.split()[1]) >> 10)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    y_true = np.load(folder / "y_true.npy", mmap_mode="r")
    y_score = np.load(folder / "y_score.npy", mmap_mode="r")
    start = time.process_time()
    find_optimal_thresholds(y_true, y_score, **OPTIONS)
    seconds = time.process_time() - start
    done.set()
    watcher.join()
    size = sum(file.stat().st_size for file in folder.glob("*.npy")) >> 20
    print(
        f"Memory-mapped labels and scores, {MAPPED_ROWS:,} x {MAPPED_CLASSES}: files of "
        f"{size:,} MiB, memory limited to {ALLOWED_MIB} MiB (RLIMIT_DATA), most resident beside "
        f"the files {most} MiB, {seconds:.3g} CPU s."
    )


def larger_than_memory() -> str:
    """Return what a process of its own reports."""
    with tempfile.TemporaryDirectory() as folder:
        write_mapped(Path(folder))
        command = [sys.executable, "-m", "benchmarks.bench_scaling", folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.run(  # noqa: S603
            command, check=True, capture_output=True, text=True, env=environment
        ).stdout.strip()


def run() -> Iterator[str]:
    """Yield the tables and the findings."""
    yield growth("Growth with rows", BY_ROWS)
    yield growth("Growth with classes", BY_CLASSES)
    yield two_threads(1_000_000, 20)
    if sys.platform == "linux":
        yield larger_than_memory()


if __name__ == "__main__":
    search_mapped(Path(sys.argv[1]))
