"""How much of the gap can be closed: `python -m benchmarks.generalisation.closable --data FOLDER`.

The oracle chooses by the held-out labels, their luck included, which nobody can. How much of its
lead is luck doesn't show in real labels, for the best thresholds of their population are unknown.
So labels are drawn anew, for the same rows and scores: each class's from a curve
P(positive | score) that is fitted to all its real labels, by itself. The best thresholds of that
population are known, and the share of the gap that they close is about all there is to close.

Two curves, since the truth is unknown: a smooth one, a logistic regression on splines, and a free
one, isotonic regression, which takes the luck of the real labels for truth, steps and all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from benchmarks.generalisation import real_sets
from benchmarks.generalisation.results import average, measure
from benchmarks.generalisation.strategies import REFERENCE, STRATEGIES, Labels, Scores
from benchmarks.generalisation.trials import Array, Trial, split_trial

_BEST = "best"  # for the population
_KNOTS = 6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generalisation.closable")
    parser.add_argument("--data", type=Path, required=True, help="folder with ptbxl/ and mulan/")
    parser.add_argument("--repetitions", type=int, default=100)
    arguments = parser.parse_args()
    curves = {"smooth": _smooth, "free": _free}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in curves}
    columns = [f"{text}, {name}" for name in curves for text in ("gap", "pooled", _BEST)]
    print(f"| | {' | '.join(columns)} |")
    print("|---|" + "---:|" * len(columns), flush=True)
    for name, y_true, y_score in real_sets.score_sets(arguments.data):
        for share, title in ((1.0, name), (0.5, f"{name}, half")):
            for kind, curve in curves.items():
                figures = _measure(y_true, y_score, curve, share, arguments.repetitions)
                results[kind].append(figures)
            _print(title, [each[-1] for each in results.values()])
    means = [average(each) for each in results.values()]
    _print(f"mean of {len(results['smooth'])}", means)


def _measure(
    y_true: Labels,
    y_score: Scores,
    curve: Callable[[Labels, Scores], Array],
    share: float,
    n_repetitions: int,
) -> dict[str, Any]:
    each = zip(y_true.T, y_score.T, strict=True)
    probability = np.stack([curve(labels, scores) for labels, scores in each], axis=1)
    best = _best_thresholds(probability, y_score)
    contestants = {name: STRATEGIES[name] for name in (REFERENCE, "pooled")}
    contestants[_BEST] = lambda y_true, y_score: best
    return measure(_trials(probability, y_score, share, n_repetitions), contestants)


def _trials(
    probability: Array, y_score: Scores, share: float, n_repetitions: int
) -> Iterator[Trial]:
    n_validation = real_sets.n_validation(len(y_score), share)
    for repetition in range(n_repetitions):
        rng = np.random.default_rng([3, repetition])
        drawn = (rng.random(probability.shape) < probability).astype(np.int8)
        yield split_trial(drawn, y_score, n_validation, rng)


def _smooth(labels: Labels, scores: Scores) -> Array:
    """Splines in the logarithm of the share of rows that score as high: fine among the highest."""
    if labels.min() == labels.max():
        return labels.astype(np.float64)
    ascending = np.sort(scores)
    as_high = len(scores) - ascending.searchsorted(scores)
    model = make_pipeline(
        SplineTransformer(_KNOTS, knots="uniform"), LogisticRegression(C=10, max_iter=1000)
    )
    features = np.log(as_high)[:, None]
    return np.asarray(model.fit(features, labels).predict_proba(features)[:, 1])


def _free(labels: Labels, scores: Scores) -> Array:
    distinct, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rate = np.bincount(place, labels, minlength=len(distinct)) / count
    return np.asarray(isotonic_regression(rate, sample_weight=count)[place])


def _best_thresholds(probability: Array, y_score: Scores) -> Array:
    """Return the scores from which on the rows' expected F1 is best."""
    order = np.argsort(-y_score, axis=0)
    score = np.take_along_axis(y_score, order, axis=0)
    hits = np.cumsum(np.take_along_axis(probability, order, axis=0), axis=0)
    alarms = np.arange(1, len(score) + 1)[:, None]
    f1 = 2 * hits / (alarms + hits[-1])
    f1[:-1][score[:-1] == score[1:]] = -1  # a cut never parts a tie
    best = f1.argmax(axis=0)[None]
    return np.take_along_axis(score, best, axis=0)[0].astype(np.float64)


def _print(title: str, of_curves: list[dict[str, Any]]) -> None:
    cells = [title]
    for figures in of_curves:
        cells.append(f"{figures['oracle']['difference']:.4f}")
        cells += [f"{100 * figures[name]['gap_closed']:.0f} %" for name in ("pooled", _BEST)]
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
