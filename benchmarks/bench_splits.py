"""Five folds of real labels and of 100,000 x 80: how even they are, and what they cost.

Reads the folder that MLTHRESH_DATA names (rfmid_labels/, odir/, mulan/); sets that aren't there are
left out, and so is iterative-stratification where it isn't installed.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri
from sklearn.model_selection import KFold

from mlthresh import describe_folds, multilabel_stratified_kfold

N_SPLITS, SEEDS = 5, range(5)
OURS = "mlthresh"


class LabelSet(NamedTuple):
    name: str
    labels: np.ndarray
    patients: np.ndarray | None


def run() -> Iterator[str]:
    """Yield one table a label set."""
    for label_set in label_sets():
        labels = label_set.labels
        n_patients = None if label_set.patients is None else len(np.unique(label_set.patients))
        patients = "" if n_patients is None else f", {n_patients:,} patients"
        title = f"**{label_set.name}: {len(labels):,} x {labels.shape[1]}{patients}**"
        head = "| | largest | mean | rows apart | patients apart | CPU s |"
        lines = [title, "", head, "|---|---:|---:|---:|---:|---:|"]
        for name, split in contestants(label_set).items():
            figures = np.array([measure(label_set, split, seed) for seed in SEEDS])
            largest, mean, rows, leaks, seconds = figures.mean(axis=0)
            shown = "-" if label_set.patients is None else f"{leaks:,.0f}"
            lines.append(
                f"| {name} | {largest:.2f} | {mean:.3f} | {rows:.1f} | {shown} | {seconds:.3g} |"
            )
        yield "\n".join(lines)


Split = Callable[[int], Any]


def contestants(label_set: LabelSet) -> dict[str, Split]:
    labels, patients = label_set.labels, label_set.patients

    def ours(seed: int, groups: np.ndarray | None = None) -> Any:
        return multilabel_stratified_kfold(labels, n_splits=N_SPLITS, seed=seed, groups=groups)

    def at_random(seed: int) -> Any:
        return KFold(N_SPLITS, shuffle=True, random_state=seed).split(labels)

    found: dict[str, Split] = {"scikit-learn's KFold, shuffled": at_random}
    if find_spec("iterstrat") is not None and not np.isnan(labels).any():  # it takes no NaN
        from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

        found["iterative-stratification"] = lambda seed: MultilabelStratifiedKFold(
            N_SPLITS, shuffle=True, random_state=seed
        ).split(labels, labels)
    found[OURS] = ours
    if patients is not None:
        found[f"{OURS}, whole patients"] = lambda seed: ours(seed, patients)
    return found


def measure(label_set: LabelSet, split: Split, seed: int) -> tuple[float, ...]:
    """Return the largest and mean |positives - share|, the range of rows, leaks and CPU seconds."""
    start = time.process_time()
    folds = [tuple(fold) for fold in split(seed)]
    seconds = time.process_time() - start
    report = describe_folds(label_set.labels, folds, groups=label_set.patients)
    shown = report.n_positive[:, report.n_positive.any(axis=0)]
    off = np.abs(shown - shown.mean(axis=0))
    return off.max(), off.mean(), np.ptp(report.n_rows), report.n_split_groups, seconds


def label_sets() -> Iterator[LabelSet]:
    folder = Path(os.environ.get("MLTHRESH_DATA", "-"))
    if (folder / "rfmid_labels").is_dir():
        rows = _rows_of(sorted((folder / "rfmid_labels").glob("*.csv")))
        yield LabelSet("RFMiD", _binary(rows, skip=2), None)
    if (folder / "odir").is_dir():
        rows = _rows_of(sorted((folder / "odir").glob("*_Labels.csv")))
        yield LabelSet("ODIR", _binary(rows, skip=3), np.array([row[1] for row in rows]))
    if (folder / "mulan").is_dir():
        with np.load(folder / "mulan" / "yeast.npz") as saved:
            labels = np.concatenate([saved["Y_train"], saved["Y_test"]]).astype(int)
        yield LabelSet("yeast", labels, None)
    whole = simulated(100_000, 80)
    yield whole
    some = whole.labels.astype(np.float32)
    missing = np.linspace(0, 0.5, some.shape[1])
    some[np.random.default_rng(1).random(some.shape, dtype=np.float32) < missing] = np.nan
    yield LabelSet("simulated, 0 to 50 % missing", some, whole.patients)


def simulated(n_samples: int, n_classes: int) -> LabelSet:
    """Return correlated classes with 0.02 to 30 % of positives, and patients of 1 to 10 rows."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(n_samples, 8)) @ rng.normal(size=(8, n_classes)) / np.sqrt(8)
    score = 0.8 * latent + 0.6 * rng.normal(size=latent.shape)
    labels = (score > -ndtri(np.geomspace(2e-4, 0.3, n_classes))).astype(np.uint8)
    return LabelSet("simulated", labels, rng.integers(0, 40_000, n_samples))


def _rows_of(paths: list[Path]) -> list[list[str]]:
    rows = []
    for path in paths:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows += list(csv.reader(file))[1:]
    return rows


def _binary(rows: list[list[str]], *, skip: int) -> np.ndarray:
    return np.array([[int(cell) for cell in row[skip:]] for row in rows])
