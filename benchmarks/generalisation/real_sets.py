"""Real score sets, read from a folder that is not part of the project.

`ptbxl/`: saved scores of a published network for 71 ECG statements (Strodthoff et al. 2021).
`mulan/`: yeast, scene and emotions (Tsoumakas et al. 2011), scored by plain classifiers that are
fitted to a third of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.generalisation.trials import Array, Trial, split_trial

N_VALIDATION = 640

_Classifiers = dict[str, Callable[[], Any]]

_CLASSIFIERS: _Classifiers = {
    "logistic": lambda: _scaled(LogisticRegression(C=0.1, max_iter=1000)),
    "forest": lambda: RandomForestClassifier(100, min_samples_leaf=3, random_state=0),
}
_FURTHER: _Classifiers = {
    "balanced logistic": lambda: _scaled(
        LogisticRegression(C=0.02, max_iter=1000, class_weight="balanced")
    ),
    "balanced forest": lambda: RandomForestClassifier(
        60, min_samples_leaf=5, class_weight="balanced", random_state=0
    ),
    "naive Bayes": lambda: make_pipeline(PCA(20, random_state=0), GaussianNB()),
    "nearest neighbours": lambda: _scaled(KNeighborsClassifier(25)),
    "boosted trees": lambda: HistGradientBoostingClassifier(
        max_iter=30, max_leaf_nodes=8, early_stopping=False
    ),
    "perceptron": lambda: _scaled(
        MLPClassifier((32,), alpha=1.0, tol=1e-3, max_iter=400, random_state=0)
    ),
}


def score_sets(folder: Path) -> Iterator[tuple[str, Array, Array]]:
    """Yield a name, labels and scores."""
    with np.load(folder / "ptbxl" / "ptbxl_exp0_xresnet1d101.npz") as file:
        y_true = np.concatenate([file["y_val"], file["y_test"]])
        yield "PTB-XL", y_true, np.concatenate([file["score_val"], file["score_test"]])
    yield from _fitted(folder, _CLASSIFIERS, split_seed=0)


def further_sets(folder: Path) -> Iterator[tuple[str, Array, Array]]:
    """Yield the scores of other classifiers, on other rows.

    They are calibrated, over- and underconfident, saturated and tied.
    """
    yield from _fitted(folder, _FURTHER, split_seed=1)


def _fitted(
    folder: Path, classifiers: _Classifiers, split_seed: int
) -> Iterator[tuple[str, Array, Array]]:
    for name in ("yeast", "scene", "emotions"):
        with np.load(folder / "mulan" / f"{name}.npz") as file:
            features = np.concatenate([file["X_train"], file["X_test"]])
            y_true = np.concatenate([file["Y_train"], file["Y_test"]])
        order = np.random.default_rng(split_seed).permutation(len(y_true))
        fitted, kept = np.split(order, [len(order) // 3])
        for kind, classifier in classifiers.items():
            columns = [
                classifier()
                .fit(features[fitted], y_true[fitted, c])
                .predict_proba(features[kept])[:, 1]
                for c in range(y_true.shape[1])
            ]
            yield f"{name}, {kind}", y_true[kept], np.stack(columns, axis=1)


def trials(
    y_true: Array, y_score: Array, share: float, n_repetitions: int, seed: int = 0
) -> Iterator[Trial]:
    """Yield random splits, the same in each run."""
    for repetition in range(n_repetitions):
        rng = np.random.default_rng([seed, repetition])
        yield split_trial(y_true, y_score, n_validation(len(y_true), share), rng)


def n_validation(n_rows: int, share: float) -> int:
    """Return how many rows to choose thresholds by: at most 640 or half of them, times `share`."""
    return int(min(N_VALIDATION, n_rows // 2) * share)


def _scaled(classifier: Any) -> Any:
    return make_pipeline(StandardScaler(), classifier)
