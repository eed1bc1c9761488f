"""How long the explorer's page takes to make and to open, and how large it is.

``python -m benchmarks.explorer [--rows N] [--classes N]`` simulates scores, writes the page, and
opens it seven times in headless Chromium, if that is installed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.browser import browsing, installed
from mlthresh import write_explorer

OPENED = """new Promise((done) => requestAnimationFrame(() => setTimeout(() => done([
  performance.getEntriesByType("navigation")[0].loadEventEnd,
  performance.now()]))))"""
STEPS = """(() => {
  const slider = document.getElementById("slider");
  const classes = [...document.querySelectorAll("#classes button")];
  const timed = (act, start = performance.now()) => (act(), performance.now() - start);
  const moves = Array.from({ length: 20 }, (_, i) => timed(() => {
    slider.value = 100 + i;
    slider.dispatchEvent(new Event("input"));
  }));
  const shown = classes.slice(1, 21).map((button) => timed(() => button.click()));
  const middle = (times) => times.sort((a, b) => a - b)[times.length >> 1];
  return [middle(moves), middle(shown)];
})()"""


def simulated(n_samples: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of prevalence 0.3 to 0.00002 and float32 probabilities."""
    rng = np.random.default_rng(0)
    prevalence = np.geomspace(0.3, 2e-5, n_classes).astype(np.float32)
    labels = np.empty((n_samples, n_classes), dtype=np.int8)
    scores = np.empty((n_samples, n_classes), dtype=np.float32)
    for start in range(0, n_samples, 100_000):
        rows = slice(start, start + 100_000)
        labels[rows] = rng.random(labels[rows].shape, dtype=np.float32) < prevalence
        noise = rng.standard_normal(labels[rows].shape, dtype=np.float32)
        scores[rows] = 1 / (1 + np.exp(3 - 3 * labels[rows] - noise))
    return labels, scores


def run(n_samples: int, n_classes: int) -> None:
    """Print the figures."""
    labels, scores = simulated(n_samples, n_classes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "explorer.html")
        start = time.process_time()
        write_explorer(path, labels, scores)
        print(f"{n_samples:,} rows, {n_classes} classes")
        print(f"made in {time.process_time() - start:.1f} CPU s, {path.stat().st_size:,} bytes")
        if installed() is None:
            print("opening was not timed: no Chromium is installed")
            return
        with browsing(Path(folder)) as page:
            page.size(1280, 900)
            opened = []
            for _ in range(7):
                page.open(path)
                opened.append(page.run(OPENED))
            load, drawn = (median(times) for times in zip(*opened, strict=True))
            move, show = page.run(STEPS)
    print(f"opened in {load:.0f} ms (drawn after {drawn:.0f}), medians of 7")
    print(f"a step of the slider takes {move:.1f} ms, another class {show:.0f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explorer")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=100)
    arguments = parser.parse_args()
    run(arguments.rows, arguments.classes)
