"""Measure how thresholds hold: `python -m benchmarks.generalisation [--data FOLDER]`.

Prints a Markdown table for each set and the means over sets. "Gap closed" is the share of the
way from the exact optimum of the validation rows to the oracle, the best threshold for the
held-out data itself: a scale and not a rival. Standard errors are over the repetitions; in real
sets these split the same rows again and again, so they tell the luck of the split alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.generalisation import real_sets, simulations
from benchmarks.generalisation.results import average, measure, table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generalisation")
    parser.add_argument("--data", type=Path, help="folder with ptbxl/ and mulan/")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    arguments = parser.parse_args()
    if arguments.repetitions < 2:
        parser.error("--repetitions must be at least 2")

    results: dict[str, dict[str, Any]] = {"simulated": {}, "real": {}}
    for name, model in simulations.SCORE_MODELS.items():
        figures = measure(simulations.trials(model, arguments.repetitions))
        results["simulated"][name] = figures
        print(table(f"Simulated, {name}", figures), end="\n\n", flush=True)
    _print_average("Simulated, mean over the score models", results["simulated"])

    if arguments.data is not None:
        for name, y_true, y_score in real_sets.score_sets(arguments.data):
            for share, title in ((1.0, name), (0.5, f"{name}, half")):
                figures = measure(real_sets.trials(y_true, y_score, share, arguments.repetitions))
                results["real"][title] = figures
                print(table(title, figures), end="\n\n", flush=True)
        _print_average("Real, mean over the sets", results["real"])
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _print_average(title: str, results: dict[str, Any]) -> None:
    print(table(title, average(results.values())), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
