"""Pooled thresholds on further real sets: `python -m benchmarks.generalisation.further --data F`.

One line a set, exact against pooled: six more classifiers on yeast, scene and emotions, fitted
to other rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.generalisation import real_sets
from benchmarks.generalisation.results import average, measure
from benchmarks.generalisation.strategies import REFERENCE, STRATEGIES


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generalisation.further")
    parser.add_argument("--data", type=Path, required=True, help="folder with mulan/")
    parser.add_argument("--repetitions", type=int, default=100)
    arguments = parser.parse_args()

    contestants = {name: STRATEGIES[name] for name in (REFERENCE, "pooled")}
    results = {}
    print(f"| | {REFERENCE} | pooled | difference | oracle | gap closed |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, y_true, y_score in real_sets.further_sets(arguments.data):
        for share, title in ((1.0, name), (0.5, f"{name}, half")):
            trials = real_sets.trials(y_true, y_score, share, arguments.repetitions)
            results[title] = measure(trials, contestants)
            _print(title, results[title])
    _print(f"mean of {len(results)}", average(results.values()))


def _print(title: str, figures: dict[str, dict[str, float]]) -> None:
    pooled = figures["pooled"]
    cells = [
        title,
        f"{figures[REFERENCE]['f1']:.4f}",
        f"{pooled['f1']:.4f}",
        f"{pooled['difference']:+.4f} ± {pooled['standard_error']:.4f}",
        f"{figures['oracle']['f1']:.4f}",
        f"{100 * pooled['gap_closed']:.0f} %",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
