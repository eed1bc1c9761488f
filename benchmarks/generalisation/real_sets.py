"""Real score sets, read from a folder that is not part of the project.

`ptbxl/`: saved scores of a published network for 71 ECG statements (Strodthoff et al. 2021).
`mulan/`: yeast, scene and emotions (Tsoumakas et al. 2011), scored by two plain classifiers
that are fitted to a third of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.generalisation.trials import Array, Trial, split_trial

N_VALIDATION = 640


def score_sets(folder: Path) -> Iterator[tuple[str, Array, Array]]:
    """Yield a name, labels and scores."""
    with np.load(folder / "ptbxl" / "ptbxl_exp0_xresnet1d101.npz") as file:
        y_true = np.concatenate([file["y_val"], file["y_test"]])
        yield "PTB-XL", y_true, np.concatenate([file["score_val"], file["score_test"]])
    for name in ("yeast", "scene", "emotions"):
        with np.load(folder / "mulan" / f"{name}.npz") as file:
            features = np.concatenate([file["X_train"], file["X_test"]])
            y_true = np.concatenate([file["Y_train"], file["Y_test"]])
        order = np.random.default_rng(0).permutation(len(y_true))
        fitted, kept = np.split(order, [len(order) // 3])
        for kind in ("logistic", "forest"):
            columns = [
                _classifier(kind)
                .fit(features[fitted], y_true[fitted, c])
                .predict_proba(features[kept])[:, 1]
                for c in range(y_true.shape[1])
            ]
            yield f"{name}, {kind}", y_true[kept], np.stack(columns, axis=1)


def trials(
    y_true: Array, y_score: Array, share: float, n_repetitions: int, seed: int = 0
) -> Iterator[Trial]:
    """Yield random splits: at most 640 rows, times `share`, to choose thresholds by."""
    n_validation = int(min(N_VALIDATION, len(y_true) // 2) * share)
    for repetition in range(n_repetitions):
        rng = np.random.default_rng([seed, repetition])
        yield split_trial(y_true, y_score, n_validation, rng)


def _classifier(kind: str) -> Any:
    if kind == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    return RandomForestClassifier(100, min_samples_leaf=3, random_state=0)
