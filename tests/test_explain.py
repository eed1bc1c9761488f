"""What a loss and a sampler make of scores: against minimisers, counts, the deck's setting."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import WeightedRandomSampler

from mlthresh import (
    FocalLossWithPosWeight,
    InputError,
    RarestClassSampler,
    compute_pos_weight,
    rarest_class_weights,
)

NAN = float("nan")


def one_class(n_positive: int, n: int) -> np.ndarray:
    return (np.arange(n) < n_positive).astype(float)[:, None]


def constant_that_minimises(loss: Any, labels: np.ndarray, share: np.ndarray) -> torch.Tensor:
    """Return the logits of the best constant prediction, rows weighted by their share."""
    z = torch.zeros(1, labels.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([z], max_iter=300, tolerance_grad=1e-14, tolerance_change=0)
    y, weight = torch.from_numpy(labels), torch.from_numpy(share * len(share))

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        risk = loss(z.expand_as(y), y, weight)
        risk.backward()
        return risk

    optimiser.step(closure)
    return z.detach()[0]


@pytest.mark.parametrize("gamma", [0.0, 2.5])
@pytest.mark.parametrize("sampled", [False, True])
def test_raw_score_is_what_a_network_that_knows_nothing_learns(gamma: float, sampled: bool) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((400, 3)) < [0.3, 0.1, 0.03]).astype(float)
    labels[:5] = NAN
    loss = FocalLossWithPosWeight(gamma, 0.15, compute_pos_weight(labels))
    sampler = RarestClassSampler(labels) if sampled else None
    weights = rarest_class_weights(labels) if sampled else np.ones(400)
    z = constant_that_minimises(loss, labels, weights / weights.sum())
    explained = loss.explain(labels, sampler)
    np.testing.assert_allclose(explained.raw_score, torch.sigmoid(z), rtol=1e-5)
    np.testing.assert_allclose(
        explained.trained_prior, FocalLossWithPosWeight(gamma, None).posterior(z), rtol=1e-5
    )
    np.testing.assert_allclose(explained.overprediction * explained.prevalence, torch.sigmoid(z))


def test_half_means_the_posterior_at_zero() -> None:
    loss = FocalLossWithPosWeight(2.5, [0.15, 0.4], [4.0, 10.0])
    explained = loss.explain([[1, 0], [0, 1], [0, 0]])
    expected = loss.posterior(torch.zeros(2, dtype=torch.float64))
    np.testing.assert_allclose(explained.probability_at_half, expected, rtol=1e-12)


def test_sampler_that_balances_one_class_moves_its_prior_to_a_half() -> None:
    labels = one_class(10, 1000)
    sampler = RarestClassSampler(labels, no_positive=1 / 990)
    explained = FocalLossWithPosWeight(2.5, None).explain(labels, sampler)
    np.testing.assert_allclose(explained.sampled_prevalence, 0.5, rtol=1e-6)
    np.testing.assert_allclose(explained.raw_score, 0.5, rtol=1e-6)
    np.testing.assert_allclose(explained.overprediction, 50, rtol=1e-6)
    np.testing.assert_allclose(explained.probability_at_half, 0.01, rtol=1e-6)
    assert explained.counted_by() == (("sampler",),)
    assert not explained.warnings()


def test_weighted_random_sampler_says_the_same_as_ours() -> None:
    labels = (np.random.default_rng(1).random((300, 4)) < 0.1).astype(np.float32)
    theirs = WeightedRandomSampler(torch.from_numpy(rarest_class_weights(labels)), 300)
    loss = FocalLossWithPosWeight()
    actual = loss.explain(labels, theirs)
    np.testing.assert_allclose(
        actual.raw_score, loss.explain(labels, RarestClassSampler(labels)).raw_score, rtol=1e-6
    )


def test_without_any_weight_nothing_is_counted() -> None:
    explained = FocalLossWithPosWeight(0.0, None).explain(one_class(5, 100))
    for value in (explained.trained_prior, explained.raw_score, explained.sampled_prevalence):
        np.testing.assert_allclose(value, explained.prevalence)
    assert explained.probability_at_half == 0.5
    assert not explained.warnings()


def test_classes_of_one_kind_are_undefined_and_json_is_strict() -> None:
    labels = np.array([[0, 1, NAN, 1], [0, 1, NAN, 0]])
    explained = FocalLossWithPosWeight().explain(labels, class_names=["a", "b", "c", "d"])
    assert np.isnan(explained.raw_score).tolist() == [True, True, True, False]
    again = json.loads(json.dumps(explained.to_dict(), allow_nan=False))
    assert again["prevalence"] == [None, None, None, 0.5]
    assert "nan" in str(explained)


@pytest.mark.parametrize(
    ("labels", "sampler", "message"),
    [
        (np.zeros((4, 3)), None, r"the loss has 2 classes, but the labels have shape \(4, 3\)"),
        (np.zeros((0, 2)), None, "no rows"),
        (one_class(1, 4).repeat(2, 1), RarestClassSampler(one_class(1, 5)), "5 rows.* have 4"),
        (one_class(1, 4).repeat(2, 1), [0, 1], "got list"),
        (
            one_class(1, 4).repeat(2, 1),
            RarestClassSampler(one_class(1, 4), replacement=False),
            "without replacement",
        ),
    ],
    ids=["classes", "no rows", "rows", "kind", "without replacement"],
)
def test_what_does_not_fit_raises(labels: Any, sampler: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FocalLossWithPosWeight(pos_weight=[1.0, 2.0]).explain(labels, sampler)


def test_the_decks_setting_on_rfmid(data_dir: Path) -> None:
    with (data_dir / "rfmid_labels" / "RFMiD_Training_Labels.csv").open(encoding="utf-8-sig") as f:
        names, *rows = list(csv.reader(f))
    table = np.array([row[2:] for row in rows], dtype=float)
    kept = table.sum(axis=0) >= 20
    labels, names = table[:, kept], [name for name, k in zip(names[2:], kept, strict=True) if k]

    loss = FocalLossWithPosWeight(2.5, 0.15, compute_pos_weight(labels))
    explained = loss.explain(labels, RarestClassSampler(labels), class_names=names)
    rarest = names.index("RPEC")
    # 22 of 1,920 show it; a network that knows nothing gives each photograph a score of 0.34.
    assert explained.prevalence[rarest] == pytest.approx(22 / 1920)
    assert explained.raw_score[rarest] == pytest.approx(0.340, abs=0.001)
    assert explained.overprediction[rarest] == pytest.approx(29.7, abs=0.1)
    assert np.argmax(explained.overprediction) == rarest
    assert explained.counted_by()[rarest] == ("pos_weight", "sampler")
    assert any("pos_weight and sampler" in w and "RPEC" in w for w in explained.warnings())
    assert "Warning: pos_weight and sampler each count" in str(explained)
