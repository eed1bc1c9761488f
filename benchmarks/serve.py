"""How many photographs a second the recipe's page reads, how long one takes, and in what memory.

``python -m benchmarks.serve [--run RUN] [--clients 1 4 16] [--workers N] [--seconds S]`` starts the
server of a run, or of a ConvNeXt-Tiny with random weights, and sends it drawings of RFMiD's most
frequent size over as many connections as there are clients. The page itself is opened seven times
in headless Chromium, if that is installed.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.browser import browsing, installed
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.fundus.label_sets import DISEASES
from examples.rfmid.fundus.render import draw_fundus
from examples.rfmid.settings.config_file import save_config
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.training.model import build_network
from mlthresh import find_optimal_thresholds, save_model

_SIZE = (2144, 1424)


def save_random_model(run: Path) -> None:
    """Write what serving needs of a run of the default preset, untrained."""
    rng = np.random.default_rng(0)
    labels = rng.random((200, len(DISEASES))) < 0.1
    thresholds = find_optimal_thresholds(labels, rng.random(labels.shape), class_names=[*DISEASES])
    run.mkdir()
    save_config(run / "config.json", PRESETS["default"])
    save_model(
        run,
        build_network("convnext_tiny", len(DISEASES)).model.eval(),
        thresholds,
        preprocessing=Preprocessing().to_dict(),
        metadata={"disease_names": [*DISEASES.values()]},
    )


def drawings(n: int) -> list[bytes]:
    """Return JPEGs of drawn eyes."""
    files = []
    for k in range(n):
        drawn = Image.fromarray(draw_fundus(["DR"], size=448, rng=np.random.default_rng(k)))
        file = io.BytesIO()
        drawn.resize(_SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=92)
        files.append(file.getvalue())
    return files


@contextmanager
def serving(run: Path, workers: int) -> Iterator[tuple[int, int, float]]:
    """Start the command; yield the server's process, its port, and the seconds until ready."""
    started = time.perf_counter()
    options = ["--port", "0", "--workers", str(workers), "--max-waiting", "64"]
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "examples.rfmid", "serve", str(run), *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", line)[1])
        yield process.pid, port, time.perf_counter() - started
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def load(port: int, files: list[bytes], clients: int, seconds: float) -> list[float]:
    """Return how long each answer took, of clients that ask again as soon as they are answered."""
    until = time.perf_counter() + seconds

    def one(k: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        took = []
        while not took or time.perf_counter() < until:
            start = time.perf_counter()
            connection.request("POST", "/api/predict", files[(k + len(took)) % len(files)])
            response = connection.getresponse()
            assert response.status == 200, response.read()
            assert json.loads(response.read())["findings"]
            took.append(time.perf_counter() - start)
        return took

    with ThreadPoolExecutor(clients) as threads:
        return [took for times in threads.map(one, range(clients)) for took in times]


def megabytes(pid: int, name: str = "VmHWM") -> float:
    """Return a process's peak of resident memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """Return what a process has used, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def workers_of(pid: int) -> list[int]:
    """Return the children that are not multiprocessing's own helper."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = {int(one): Path(f"/proc/{one}/cmdline").read_text() for one in listed}
    return [one for one, line in lines.items() if "spawn_main" in line]


def opened(port: int) -> tuple[int, float]:
    """Return the page's size in bytes and the milliseconds until it can be used."""
    with tempfile.TemporaryDirectory() as folder, browsing(Path(folder)) as page:
        page.size(1280, 900)
        times = []
        for _ in range(7):
            page.open(f"http://127.0.0.1:{port}/")
            page.wait_for("document.getElementById('files')?.disabled === false", 60)
            times.append(page.run("performance.now()"))
        size = page.run(
            "[...performance.getEntriesByType('navigation'), "
            "...performance.getEntriesByType('resource')]"
            ".reduce((sum, one) => sum + one.encodedBodySize, 0)"
        )
        return size, median(times)


def run(source: Path, clients: list[int], workers: int, seconds: float) -> None:
    """Print the figures."""
    files = drawings(8)
    size = sum(map(len, files)) / len(files) / 1e6
    print(f"photographs of {_SIZE[0]} x {_SIZE[1]} pixels, {size:.2f} MB; {workers} worker(s)")
    with serving(source, workers) as (pid, port, ready):
        print(f"ready after {ready:.1f} s")
        load(port, files, 1, 0)
        print("\n| clients | photographs a second | median, ms | 95 %, ms | CPU s of the worker |")
        print("|---:|---:|---:|---:|---:|")
        for n in clients:
            start, before = time.perf_counter(), sum(map(cpu_seconds, workers_of(pid)))
            took = sorted(load(port, files, n, seconds))
            rate = len(took) / (time.perf_counter() - start)
            late = took[int(0.95 * (len(took) - 1))]
            cpu = (sum(map(cpu_seconds, workers_of(pid))) - before) / len(took)
            cells = f"{rate:.1f}", f"{1000 * median(took):.0f}", f"{1000 * late:.0f}", f"{cpu:.3f}"
            print(f"| {n} | {' | '.join(cells)} |", flush=True)
        peaks = ", ".join(f"{megabytes(one):.0f}" for one in workers_of(pid))
        print(f"\npeak of memory, MiB: server {megabytes(pid):.0f}, worker {peaks}")
        if installed() is not None:
            content, shown = opened(port)
            print(f"the page: {content:,} bytes, can be used after {shown:.0f} ms (median of 7)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve")
    parser.add_argument("--run", type=Path, help="a run folder; else random weights are served")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10, help="for each number of clients")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = arguments.run or Path(folder, "run")
        if arguments.run is None:
            save_random_model(source)
        run(source, arguments.clients, arguments.workers, arguments.seconds)
