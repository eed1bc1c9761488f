"""How honest probabilities are after BCE, weighted BCE and the focal loss, raw and linked.

``python -m benchmarks.calibration [--data FOLDER]`` trains linear models by torch, with and without
the sampler and its importance weights, and prints macro calibration error and log loss on rows that
training did not see: simulated ones, whose probabilities are known, and yeast, scene and emotions.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from mlthresh import FocalLossWithPosWeight, RarestClassSampler, compute_pos_weight

N_BINS = 15
LOSSES = ("BCE", "BCE with pos_weight", "focal, raw", "focal, through the link")
SAMPLING = ("all rows alike", "sampler", "sampler, importance weights")


class Split(NamedTuple):
    """Training and test rows; `truth` holds labels, or probabilities where they are known."""

    x_train: torch.Tensor
    y_train: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    truth: torch.Tensor


class Figures(NamedTuple):
    """Macro-averages over the classes."""

    calibration_error: float
    log_loss: float


def simulated(seed: int = 0, n_train: int = 40_000, n_test: int = 40_000) -> Split:
    """Return 12 classes of prevalence 0.3 to 0.01 whose log-odds are linear in 8 features."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(scale=0.5, size=(8, 12))
    intercepts = np.log(np.geomspace(0.3, 0.01, 12))
    x = rng.normal(size=(n_train + n_test, 8))
    eta = 1 / (1 + np.exp(-(x @ slopes + intercepts)))
    y = (rng.random(eta.shape) < eta).astype(float)
    (x1, x2), (y1, y2), (_, truth) = (
        (torch.from_numpy(part) for part in np.split(array, [n_train])) for array in (x, y, eta)
    )
    return Split(x1, y1, x2, y2, truth)


def real(folder: Path, name: str) -> Split:
    """Return a set's own split, features standardised by the training rows."""
    with np.load(folder / "mulan" / f"{name}.npz") as file:
        x1, y1, x2, y2 = (
            torch.from_numpy(file[key].astype(np.float64))
            for key in ("X_train", "Y_train", "X_test", "Y_test")
        )
    mean, scale = x1.mean(0), x1.std(0).clamp_min(1e-9)
    return Split((x1 - mean) / scale, y1, (x2 - mean) / scale, y2, y2)


def fit(split: Split, loss_name: str, sampling: str, penalty: float) -> torch.Tensor:
    """Return the test probabilities of a linear model at the optimum of its loss."""
    pos_weight = None if loss_name == "BCE" else compute_pos_weight(split.y_train).double()
    focal = loss_name.startswith("focal")
    loss = FocalLossWithPosWeight(2.5 if focal else 0.0, 0.15 if focal else None, pos_weight)
    rows, weight = torch.arange(len(split.x_train)), None
    if sampling != SAMPLING[0]:
        sampler = RarestClassSampler(split.y_train, 4 * len(rows), seed=0)
        rows = torch.tensor(list(sampler))
        if sampling == SAMPLING[2]:
            weight = sampler.importance_weights[rows].double()
    x, y = split.x_train[rows], split.y_train[rows]
    model = nn.Linear(x.shape[1], y.shape[1], dtype=torch.float64)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=150, tolerance_grad=1e-8, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        risk = loss(model(x), y, weight) + penalty * model.weight.square().sum()
        risk.backward()
        return risk

    optimiser.step(closure)
    with torch.no_grad():
        logits = model(split.x_test)
        linked = loss_name.endswith("link")
        return loss.posterior(logits) if linked else torch.sigmoid(logits)


def figures(probability: torch.Tensor, split: Split) -> Figures:
    """Return the calibration error in bins of equal mass, and the log loss, over the classes."""
    errors = []
    for p, truth in zip(probability.T, split.truth.T, strict=True):
        order = p.argsort(stable=True)
        bins = zip(p[order].tensor_split(N_BINS), truth[order].tensor_split(N_BINS), strict=True)
        errors.append(sum(len(a) * (a.mean() - b.mean()).abs() for a, b in bins) / len(p))
    clipped = probability.clamp(1e-12, 1 - 1e-12)
    log_loss = nn.functional.binary_cross_entropy(clipped, split.y_test)
    return Figures(float(torch.stack(errors).mean()), float(log_loss))


def study(name: str, split: Split, penalty: float) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield f"**{name}**: calibration error / log loss"
    yield ""
    yield f"| | {' | '.join(SAMPLING)} |"
    yield "|---|" + "---:|" * len(SAMPLING)
    for loss_name in LOSSES:
        results = [
            figures(fit(split, loss_name, sampling, penalty), split) for sampling in SAMPLING
        ]
        cells = [f"{r.calibration_error:.4f} / {r.log_loss:.4f}" for r in results]
        yield f"| {loss_name} | {' | '.join(cells)} |"
    yield ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration")
    parser.add_argument("--data", type=Path, help="folder with mulan/*.npz")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for line in study("simulated, known probabilities", simulated(), penalty=0.0):
        print(line, flush=True)
    for set_name in ("yeast", "scene", "emotions") if arguments.data else ():
        for line in study(set_name, real(arguments.data, set_name), penalty=1e-4):
            print(line, flush=True)
