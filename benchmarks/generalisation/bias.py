"""How far reported figures are from the truth: `python -m benchmarks.generalisation.bias`.

In the simulations the F1 that the shipped thresholds have in the population is known. Against it,
by number of validation positives: the apparent F1, of the rows that tuned the thresholds; the
cross-fitted one; and the apparent one minus the bootstrap's optimism.
"""

from __future__ import annotations

import argparse
from typing import Literal

import numpy as np

from benchmarks.generalisation import simulations
from benchmarks.generalisation.by_support import table
from mlthresh import bootstrap_thresholds, cross_fit_thresholds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generalisation.bias")
    parser.add_argument("--repetitions", type=int, default=40, help="of each of five score models")
    parser.add_argument("--resamples", type=int, default=50, help="of the bootstrap")
    arguments = parser.parse_args()
    strategies: tuple[Literal["exact", "pooled"], ...] = ("exact", "pooled")
    for strategy in strategies:
        print(
            _measure(strategy, arguments.repetitions, arguments.resamples), end="\n\n", flush=True
        )


def _measure(strategy: Literal["exact", "pooled"], n_repetitions: int, n_resamples: int) -> str:
    errors: dict[str, list[np.ndarray]] = {"apparent": [], "cross-fitted": [], "bootstrap": []}
    n_positive = []
    for index, model in enumerate(simulations.SCORE_MODELS.values()):
        for repetition in range(n_repetitions):
            drawn = simulations.simulate(model, np.random.default_rng([1, index, repetition]))
            data = drawn.y_true, drawn.y_score
            held_out = cross_fit_thresholds(*data, strategy=strategy)
            again = bootstrap_thresholds(*data, strategy=strategy, n_resamples=n_resamples)
            found = held_out.threshold_set
            truth = simulations.f1(drawn.population(found.thresholds.astype(float)))
            errors["apparent"].append(found.f1 - truth)
            errors["cross-fitted"].append(held_out.f1 - truth)
            errors["bootstrap"].append(again.corrected("f1") - truth)
            n_positive.append(drawn.y_true.sum(axis=0))
    columns = {name: np.array(rows) for name, rows in errors.items()}
    return table(
        f"F1 minus the truth, {strategy}",
        np.array(n_positive),
        columns,
        lambda v: f"{v.mean():+.3f}",
    )


if __name__ == "__main__":
    main()
