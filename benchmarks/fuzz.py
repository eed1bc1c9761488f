"""``python -m benchmarks.fuzz [CASES] [SEED]``: seeded random searches against brute force.

Each case draws an objective, a mix of constraints, weights, missing labels, ties, the scores'
data type, bounds for all classes or each, the strategy and average, and the kind of input; the
oracle tries every cut (for the micro average every combination of cuts) in plain float64.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import torch

from mlthresh import InputError, ThresholdSet, cost, fbeta, find_optimal_thresholds

Array = np.ndarray[Any, np.dtype[np.float64]]


def _ratio(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole == 0, 0.0, part / whole)


def _mcc(tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
    whole = np.sqrt((tp + fp) * (tp + fn)) * np.sqrt((tn + fp) * (tn + fn))
    return _ratio(tp * tn - fp * fn, whole)


OBJECTIVES: dict[str, tuple[Any, Callable[..., Array]]] = {
    "f1": ("f1", lambda tp, fp, fn, tn: _ratio(2 * tp, 2 * tp + fp + fn)),
    "jaccard": ("jaccard", lambda tp, fp, fn, tn: _ratio(tp, tp + fp + fn)),
    "mcc": ("mcc", _mcc),
    "balanced_accuracy": (
        "balanced_accuracy",
        lambda tp, fp, fn, tn: (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2,
    ),
    "youden": ("youden", lambda tp, fp, fn, tn: _ratio(tp, tp + fn) + _ratio(tn, tn + fp) - 1),
    "f2": (fbeta(2), lambda tp, fp, fn, tn: _ratio(5 * tp, 5 * tp + 4 * fn + fp)),
    "precision": (fbeta(0), lambda tp, fp, fn, tn: _ratio(tp, tp + fp)),
    "cost": (
        cost(miss=4, false_alarm=1),
        lambda tp, fp, fn, tn: -_ratio(4 * fn + fp, tp + fp + fn + tn),
    ),
    "misses": (cost(miss=1, false_alarm=0), lambda tp, fp, fn, tn: -_ratio(fn, tp + fp + fn + tn)),
    "alarms": (cost(miss=0, false_alarm=1), lambda tp, fp, fn, tn: -_ratio(fp, tp + fp + fn + tn)),
    "callable": (lambda tp, fp, fn, tn: 3 * tp - fp, lambda tp, fp, fn, tn: 3 * tp - fp),
}
NOT_AVERAGED = ("mcc", "callable")
CONSTRAINTS = ("min_recall", "min_precision", "min_specificity", "max_alarm_rate")
BOUNDS = ("min_threshold", "max_threshold")
CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "numpy": np.asarray,
    "fortran": np.asfortranarray,
    "torch": lambda array: torch.from_numpy(np.ascontiguousarray(array)),
    "pandas": lambda array: pd.DataFrame(array, columns=[f"c{i}" for i in range(array.shape[1])]),
    "polars": lambda array: pl.DataFrame(array, schema=[f"c{i}" for i in range(array.shape[1])]),
}


def draw(seed: int) -> dict[str, Any]:
    """Return a case: labels, scores, weight and options."""
    rng = np.random.default_rng(seed)
    objective = str(rng.choice(list(OBJECTIVES)))
    micro = objective not in NOT_AVERAGED and rng.random() < 0.3
    n = int(rng.integers(1, 10 if micro else 60))
    c = int(rng.integers(1, 4 if micro else 7))
    dtype = rng.choice([np.float32, np.float64])
    y_true = (rng.random((n, c)) < rng.choice([0.05, 0.2, 0.5, 1.0], c)).astype(float)
    steps = int(rng.choice([2, 8, 1 << 20]))  # few distinct scores make ties
    y_score = (rng.integers(0, steps + 1, (n, c)) / steps).astype(dtype)
    missing = rng.random() < 0.3
    if missing:
        y_true[rng.random((n, c)) < 0.2] = np.nan
    options: dict[str, Any] = {}
    for name in CONSTRAINTS:
        if rng.random() < 0.25:
            rates = rng.choice([0.0, 0.25, 0.3, 0.5, 0.7, 0.9, 1.0], c)
            options[name] = rates if rng.random() < 0.5 else float(rates[0])
    bounds = np.sort(rng.integers(0, 17, (2, c)) / 16, axis=0)
    options |= {name: bounds[i] for i, name in enumerate(BOUNDS) if rng.random() < 0.25}
    if set(options) >= set(BOUNDS) and rng.random() < 0.5:
        options |= {
            "min_threshold": float(bounds[0].min()),
            "max_threshold": float(bounds[1].max()),
        }
    if micro:
        options["average"] = "micro"
    if rng.random() < 0.25:
        options |= {"strategy": "grid", "grid": np.arange(17) / 16}
    options["on_infeasible"] = str(rng.choice(["closest", "never"]))
    weight = None
    if rng.random() < 0.4:  # whole numbers and eighths, so that sums are exact
        weight = rng.integers(0, 5, n) / float(rng.choice([1, 8]))
        weight = weight if weight.any() else None
    kinds = [np.int8, np.int64, bool, float] if not missing else [float, np.float32]
    return {
        "objective": objective,
        "y_true": y_true.astype(kinds[int(rng.integers(len(kinds)))]),
        "y_score": y_score,
        "weight": weight,
        "options": options,
        "container": str(rng.choice(list(CONTAINERS))),
    }


def search(case: dict[str, Any]) -> ThresholdSet:
    """Return what the library finds."""
    container = CONTAINERS[case["container"]]
    return find_optimal_thresholds(
        container(case["y_true"]),
        container(case["y_score"]),
        sample_weight=case["weight"],
        objective=OBJECTIVES[case["objective"]][0],
        **case["options"],
    )


def class_cuts(case: dict[str, Any], c: int) -> tuple[list[float], Array, list[bool], bool]:
    """Return a class's cuts, their counts (4, n_cuts), which are admissible, and if feasible."""
    options = case["options"]
    known = ~np.isnan(case["y_true"][:, c].astype(float))
    weight = np.ones(len(known)) if case["weight"] is None else case["weight"]
    known &= weight > 0
    label, weight = case["y_true"][known, c].astype(float), weight[known]
    score = case["y_score"][known, c].astype(float)
    own = {
        name: float(np.broadcast_to(v, c + 1)[c]) if np.ndim(v) == 0 else float(v[c])
        for name, v in options.items()
        if name in (*CONSTRAINTS, *BOUNDS)
    }
    low, high = own.get("min_threshold", -math.inf), own.get("max_threshold", math.inf)
    if options.get("strategy") == "grid":
        cuts = [float(p) for p in options["grid"] if low <= p <= high]
    else:
        cuts = [*sorted({float(s) for s in score if low <= s < high}), high]
    called = score[None, :] >= np.array(cuts)[:, None]
    positive, negative = weight * (label == 1), weight * (label == 0)
    counts = np.array(
        [called @ positive, called @ negative, ~called @ positive, ~called @ negative]
    )
    tp, fp, fn, tn = counts
    rates = {
        "min_recall": (tp, tp + fn, 1),
        "min_precision": (tp, tp + fp, 1),
        "min_specificity": (tn, tn + fp, 1),
        "max_alarm_rate": (tp + fp, tp + fp + fn + tn, -1),
    }
    missed = []
    for name in CONSTRAINTS:
        if name in own:
            part, whole, sign = rates[name]
            rate = [p / w if w else -sign * math.inf for p, w in zip(part, whole, strict=True)]
            missed.append([sign * (own[name] - r) for r in rate])
    if not missed:
        return cuts, counts, [True] * len(cuts), True
    rank = [(max(m), m[0]) for m in zip(*missed, strict=True)]
    feasible = [worst <= 0 for worst, _ in rank]
    if any(feasible):
        return cuts, counts, feasible, True
    return cuts, counts, [one == min(rank) for one in rank], False


def check(case: dict[str, Any]) -> None:
    """Raise AssertionError unless the library finds what trying every cut finds."""
    options, together = case["options"], case["options"].get("average") == "micro"
    y_true = case["y_true"].astype(float)
    weight = np.ones(len(y_true)) if case["weight"] is None else case["weight"]
    counted = ~np.isnan(y_true) & (weight > 0)[:, None]
    supported = ((y_true == 1) & counted).any(axis=0)
    each = [class_cuts(case, c) for c in range(y_true.shape[1])]
    if any(has and not one[0] for has, one in zip(supported, each, strict=True)):
        assert _refusal(case).startswith("no grid point"), "a grid without a point was accepted"
        return
    found = search(case)
    feasible = [one[3] for one in each]
    names = ["ok" if one else "infeasible" for one in feasible]
    status = [name if has else "no_positives" for name, has in zip(names, supported, strict=True)]
    assert list(found.status) == status, (found.status, status)

    candidates = []
    for c, (cuts, counts, admissible, is_feasible) in enumerate(each):
        silent = not supported[c] or (not is_feasible and options["on_infeasible"] == "never")
        if silent:
            label = y_true[:, c]
            n_positive = float(weight[counted[:, c] & (label == 1)].sum())
            n_negative = float(weight[counted[:, c] & (label == 0)].sum())
            candidates.append(([math.inf], np.array([[0], [0], [n_positive], [n_negative]])))
        else:
            kept = np.flatnonzero(admissible)
            candidates.append(([cuts[i] for i in kept], counts[:, kept]))
    value_of = OBJECTIVES[case["objective"]][1]
    groups = [range(len(candidates))] if together else [[c] for c in range(len(candidates))]
    for group in groups:
        combinations = list(itertools.product(*(range(len(candidates[c][0])) for c in group)))
        index = np.array(combinations).T
        summed = sum(candidates[c][1][:, i] for c, i in zip(group, index, strict=True))
        value = value_of(*summed)
        best = np.flatnonzero(value >= value.max() - 1e-12)
        thresholds = np.array(
            [
                [candidates[c][0][i] for c, i in zip(group, combination, strict=True)]
                for combination in np.array(combinations)[best]
            ]
        )
        np.testing.assert_allclose(found.objective_value[list(group)], value.max(), atol=1e-11)
        # Sums of rounded ratios tie by luck; elsewhere each class has its lowest best cut.
        by_luck = not together and case["objective"] in ("mcc", "balanced_accuracy", "youden")
        allowed = thresholds if by_luck else thresholds.min(axis=0, keepdims=True)
        reported = [
            [_reported(case, c, cut, counted[:, c]) for c, cut in zip(group, row, strict=True)]
            for row in allowed
        ]
        assert found.thresholds[list(group)].tolist() in reported, (found.thresholds, reported)


def _refusal(case: dict[str, Any]) -> str:
    try:
        search(case)
    except InputError as error:
        return str(error)
    return ""


def _reported(case: dict[str, Any], c: int, cut: float, counted: Array) -> float:
    """Return the middle of the gap below a cut, as documented."""
    options = case["options"]
    below = case["y_score"][counted & (case["y_score"][:, c] < cut), c].astype(float)
    if math.isinf(cut) or options.get("strategy") == "grid" or not len(below):
        return cut
    lowest = np.broadcast_to(options.get("min_threshold", -math.inf), case["y_true"].shape[1])[c]
    return float(max((below.max() + cut) / 2, lowest))


def main(n_cases: int, first_seed: int) -> None:
    """Run the cases, and say how many of what kind."""
    start, kinds = time.perf_counter(), Counter[str]()
    for seed in range(first_seed, first_seed + n_cases):
        case = draw(seed)
        try:
            check(case)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {case}") from error
        options = case["options"]
        kinds.update((case["objective"], case["container"], case["y_score"].dtype.name))
        kinds.update(name for name in options if name in CONSTRAINTS)
        kinds.update((options.get("average", "macro"), options.get("strategy", "exact")))
        kinds["weights"] += case["weight"] is not None
        kinds["missing labels"] += bool(np.isnan(case["y_true"].astype(float)).any())
    print(f"{n_cases:,} cases from seed {first_seed}: {time.perf_counter() - start:.0f} s")
    print(", ".join(f"{name} {count:,}" for name, count in sorted(kinds.items())))


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [10_000, 0][len(given) :]))
