"""How often intervals hold the truth: `python -m benchmarks.generalisation.coverage`.

In the simulations the figures of the shipped thresholds in the population are known, and so are
the thresholds that are best there. By number of validation positives: the share of the 95 %
intervals of `bootstrap_thresholds` that hold them, and how wide the intervals are.
"""

from __future__ import annotations

import argparse
from typing import Any, Literal

import numpy as np

from benchmarks.generalisation import simulations
from benchmarks.generalisation.by_support import table
from mlthresh import bootstrap_thresholds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generalisation.coverage")
    parser.add_argument("--repetitions", type=int, default=40, help="of each of three score models")
    parser.add_argument("--resamples", type=int, default=200)
    arguments = parser.parse_args()
    strategies: tuple[Literal["exact", "pooled"], ...] = ("exact", "pooled")
    for strategy in strategies:
        for text in _measure(strategy, arguments.repetitions, arguments.resamples):
            print(text, end="\n\n", flush=True)


def _measure(
    strategy: Literal["exact", "pooled"], n_repetitions: int, n_resamples: int
) -> list[str]:
    held: dict[str, list[Any]] = {name: [] for name in ("precision", "recall", "f1", "thresholds")}
    width: dict[str, list[Any]] = {name: [] for name in held}
    n_positive = []
    for index, name in enumerate(("calibrated", "heavy-tailed mixture", "strong")):
        for repetition in range(n_repetitions):
            rng = np.random.default_rng([2, index, repetition])
            drawn = simulations.simulate(simulations.SCORE_MODELS[name], rng)
            result = bootstrap_thresholds(
                drawn.y_true, drawn.y_score, n_resamples=n_resamples, strategy=strategy
            )
            for figure, truth in _truth(drawn, result.threshold_set.thresholds).items():
                low, high = result.interval(figure).T
                known = ~np.isnan(low)
                held[figure].append(np.where(known, (low <= truth) & (truth <= high), np.nan))
                width[figure].append(high - low)
            n_positive.append(drawn.y_true.sum(axis=0))
    positives = np.array(n_positive)
    return [
        table(
            f"Share of 95 % intervals that hold the truth, {strategy}",
            positives,
            {name: np.array(rows) for name, rows in held.items()},
            lambda v: f"{v.mean():.3f}",
        ),
        table(
            f"Median width of 95 % intervals, {strategy}",
            positives,
            {name: np.array(rows) for name, rows in width.items()},
            lambda v: f"{np.median(v):.2f}",
        ),
    ]


def _truth(drawn: simulations.Simulated, thresholds: Any) -> dict[Any, Any]:
    tp, fp, fn, _ = drawn.population(thresholds.astype(np.float64))
    with np.errstate(invalid="ignore"):  # nothing called: no precision
        return {
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
            "thresholds": drawn.best_thresholds,
        }


if __name__ == "__main__":
    main()
