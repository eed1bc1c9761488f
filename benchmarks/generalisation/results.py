"""From trials to the figures of one set, and to a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.generalisation.strategies import REFERENCE, STRATEGIES, Strategy
from benchmarks.generalisation.trials import Array, Trial


def measure(
    trials: Iterable[Trial], strategies: Mapping[str, Strategy] = STRATEGIES
) -> dict[str, Any]:
    """Return the means over the trials of each strategy's held-out macro-F1.

    Classes without a positive in the held-out rows have no F1 and are left out; classes without
    one in the validation rows are averaged apart.
    """
    rows: dict[str, list[list[float]]] = {name: [] for name in (*strategies, "oracle")}
    for trial in trials:
        n_positive = trial.y_true.sum(axis=0)
        f1 = {
            name: trial.held_out_f1(choose(trial.y_true, trial.y_score))
            for name, choose in strategies.items()
        }
        f1["oracle"] = trial.oracle_f1
        for name, values in f1.items():
            rows[name].append(_means(values, n_positive))
    figures = {name: np.array(values) for name, values in rows.items()}
    reference = figures[REFERENCE][:, 0]
    gap = (figures["oracle"][:, 0] - reference).mean()
    return {name: _summary(values, reference, gap) for name, values in figures.items()}


def _means(f1: Array, n_positive: npt.NDArray[np.integer]) -> list[float]:
    """Return the mean over classes with a validation positive, their rarest third, the others."""
    seen = np.flatnonzero((n_positive > 0) & np.isfinite(f1))
    rarest = seen[np.argsort(n_positive[seen], kind="stable")[: max(1, len(seen) // 3)]]
    unseen = np.flatnonzero((n_positive == 0) & np.isfinite(f1))
    return [f1[chosen].mean() if len(chosen) else np.nan for chosen in (seen, rarest, unseen)]


def _summary(values: Array, reference: Array, gap: float) -> dict[str, float | None]:
    difference = values[:, 0] - reference
    without = values[np.isfinite(values[:, 2]), 2]
    return {
        "f1": float(values[:, 0].mean()),
        "difference": float(difference.mean()),
        "standard_error": float(difference.std(ddof=1) / np.sqrt(len(difference))),
        "gap_closed": float(difference.mean() / gap),
        "f1_rarest_third": float(values[:, 1].mean()),
        "f1_without_positives": float(without.mean()) if len(without) else None,
    }


def average(figures: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the plain means over sets; a set without unseen classes leaves that column."""
    sets = list(figures)
    averaged: dict[str, Any] = {}
    for name in sets[0]:
        averaged[name] = {}
        for key in sets[0][name]:
            values = [one[name][key] for one in sets if one[name][key] is not None]
            averaged[name][key] = float(np.mean(values)) if values else None
        errors = [one[name]["standard_error"] for one in sets]
        averaged[name]["standard_error"] = float(np.sqrt(np.mean(np.square(errors)) / len(sets)))
        averaged[name]["worst_difference"] = min(one[name]["difference"] for one in sets)
    return averaged


def table(title: str, figures: Mapping[str, Any]) -> str:
    """Return a Markdown table of one set."""
    worst = "worst_difference" in next(iter(figures.values()))
    head = [
        "",
        "macro-F1",
        f"minus {REFERENCE}",
        "gap closed",
        "rarest third",
        "no validation positive",
        *(["worst set"] if worst else []),
    ]
    lines = [f"**{title}**", "", f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for name, one in figures.items():
        unseen = one["f1_without_positives"]
        cells = [
            name,
            f"{one['f1']:.4f}",
            f"{one['difference']:+.4f} ± {one['standard_error']:.4f}",
            f"{100 * one['gap_closed']:.0f} %",
            f"{one['f1_rarest_third']:.4f}",
            "-" if unseen is None else f"{unseen:.4f}",
            *([f"{one['worst_difference']:+.4f}"] if worst else []),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
