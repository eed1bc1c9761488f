"""Where a head's biases start, and that they don't decay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from examples.rfmid.data.splits import load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import Config, DataConfig
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.training.model import Network, build_network
from examples.rfmid.training.prior import prevalence_logits, start_at_prevalence
from examples.rfmid.training.session import Session, build_session
from examples.rfmid.training.world import joined_world
from mlthresh import FocalPosterior

LABELS = np.float32([[1, 0, 0, 1], [0, 0, 1, 1], [0, 0, np.nan, 1], [0, 0, np.nan, 1]])


@given(
    gamma=st.floats(0, 5),
    alpha=st.none() | st.floats(0.01, 0.99),
    weights=st.none() | st.lists(st.floats(1e-3, 1e4), min_size=4, max_size=4),
    n=st.integers(1, 3000),
    seed=st.integers(0, 99),
)
@settings(max_examples=50, deadline=None)
def test_the_link_turns_the_start_into_the_prevalences(
    gamma: float, alpha: float | None, weights: list[float] | None, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, 4)) < [0.01, 0.1, 0.5, 0.9]).astype(np.float32)
    labels[rng.random((n, 4)) < 0.1] = np.nan
    posterior = FocalPosterior(gamma, alpha, weights)
    expected = []
    for column in labels.T:
        known = column[~np.isnan(column)]
        size = max(len(known), 1)
        expected.append(min(max(float(known.sum()), 0.5), size - 0.5) / size)
    start = prevalence_logits(labels, posterior)
    np.testing.assert_allclose(posterior(start), expected, rtol=1e-9)


def test_cross_entropy_starts_at_the_log_odds_of_the_counts() -> None:
    start = prevalence_logits(LABELS, FocalPosterior(0.0, None))
    np.testing.assert_allclose(start, np.log([1 / 3, 0.5 / 3.5, 1, 3.5 / 0.5]), atol=1e-9)
    weighted = prevalence_logits(LABELS, FocalPosterior(0.0, None, [3.0, 1.0, 1.0, 1.0]))
    assert weighted[0] == pytest.approx(0.0, abs=1e-9), "weighted, there are as many of each"


def test_a_head_without_such_a_bias_is_refused() -> None:
    for last, found in ((nn.Linear(2, 4, bias=False), "none"), (nn.Linear(2, 3), "3")):
        network = Network(nn.Sequential(nn.Flatten(), last), "1")
        with pytest.raises(RecipeError, match=f"each of 4 classes; .*'1' has {found}"):
            start_at_prevalence(network, LABELS, FocalPosterior(0.0, None))


def test_only_the_last_layer_s_biases_are_set() -> None:
    one, other = (build_network("convnext_demo", 4, seed=3) for _ in range(2))
    posterior = FocalPosterior(2.5, 0.15)
    start_at_prevalence(other, LABELS, posterior)
    left, right = one.model.state_dict(), other.model.state_dict()
    (changed,) = [name for name in left if not torch.equal(left[name], right[name])]
    assert changed == f"{one.head}.2.bias"
    found = posterior(right[changed].double()).numpy()
    np.testing.assert_allclose(found, [1 / 4, 1 / 8, 1 / 2, 7 / 8], rtol=1e-6)


def session_of(data: Path, preset: str, **model: Any) -> Session:
    """Return what a run of a preset on 24 small images starts with."""
    wanted, demo = PRESETS[preset], PRESETS["demo"]
    config: Config = replace(
        wanted,
        data=DataConfig(folder=data, min_count=1, grades=model.pop("grades", False)),
        image=demo.image,
        model=replace(wanted.model, architecture="convnext_demo", weights="none", **model),
        runtime=replace(demo.runtime, device="cpu", threads=1, num_workers=0, cache="none"),
    )
    with joined_world("cpu") as world:
        return build_session(config, load_data(config.data), world)


def test_a_frozen_head_starts_at_the_prevalences_and_its_biases_never_decay(
    shared_data_folder: Path,
) -> None:
    session = session_of(shared_data_folder, "frozen")
    head: Any = session.model
    assert session.posterior is not None
    with torch.no_grad():
        found = session.posterior(head(head.mean[None]))[0]  # at the mean of the features
    prevalence = session.data.train.labels.mean(axis=0)
    np.testing.assert_allclose(found.numpy(), prevalence, rtol=1e-5)
    decays = {
        id(parameter): group["weight_decay"]
        for group in session.optimizer.param_groups
        for parameter in group["params"]
    }
    assert decays == {
        id(head.linear.weight): pytest.approx(PRESETS["frozen"].optimizer.weight_decay),
        id(head.linear.bias): 0.0,
    }
    assert PRESETS["frozen"].optimizer.weight_decay > 0


@pytest.mark.parametrize("preset", ["default", "after", "before", "cpu", "demo"])
def test_the_other_presets_start_and_decay_as_before(shared_data_folder: Path, preset: str) -> None:
    session = session_of(shared_data_folder, preset)
    assert all(group["weight_decay"] > 0 for group in session.optimizer.param_groups)
    drawn = build_network("convnext_demo", 3, seed=0).model
    assert session.model.state_dict().keys() == drawn.state_dict().keys()
    assert not session.model.get_parameter(f"{session.head}.2.bias").any(), "ConvNeXt's are 0"


def test_a_whole_network_may_start_there_too(shared_data_folder: Path) -> None:
    session = session_of(shared_data_folder, "default", head_bias="prevalence")
    assert session.posterior is not None
    bias = session.model.get_parameter(f"{session.head}.2.bias").detach()
    prevalence = session.data.train.labels.mean(axis=0)
    np.testing.assert_allclose(session.posterior(bias).numpy(), prevalence, rtol=1e-5)
