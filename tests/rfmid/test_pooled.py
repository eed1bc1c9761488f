from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import resnet18

from examples.rfmid.errors import RecipeError
from examples.rfmid.training.model import Network, build_network
from examples.rfmid.training.pooled import (
    PooledNetwork,
    StandardisedLinear,
    pooled_features,
    pooled_network,
)


def resnet(seed: int = 0) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network(resnet18(num_classes=4).eval(), "fc")


@given(
    rows=st.integers(1, 30),
    width=st.integers(1, 5),
    centre=st.floats(-1e3, 1e3),
    views=st.integers(1, 2),
)
@settings(max_examples=50, deadline=None)
def test_standardised_features_have_mean_0_and_deviation_1(
    rows: int, width: int, centre: float, views: int
) -> None:
    rng = np.random.default_rng(rows)
    features = torch.from_numpy(rng.normal(centre, 1.0, (views, rows, width))).float()
    features[..., 0] = centre  # which doesn't vary
    head = StandardisedLinear(width, 2)
    head.standardise(features)
    seen = ((features - head.mean) / head.scale).double().flatten(end_dim=1)
    np.testing.assert_allclose(seen.mean(0), 0, atol=2e-3)
    expected = np.where((np.arange(width) > 0) & (views * rows > 1), 1.0, 0.0)
    np.testing.assert_allclose(seen.std(0, correction=0), expected, atol=2e-3)
    expected_logits = seen.float() @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(head(features.flatten(end_dim=1)), expected_logits)


def test_a_head_that_saw_nothing_takes_features_as_they_are() -> None:
    head, x = StandardisedLinear(3, 2), torch.randn(5, 3, generator=torch.Generator())
    torch.testing.assert_close(head(x), head.linear(x))


def test_features_are_the_means_and_deviations_of_the_maps() -> None:
    model = resnet().model
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        stem = model.maxpool(model.relu(model.bn1(model.conv1(x))))
        one = model.layer1(stem)
        two = model.layer2(one)
        found = pooled_features(model, ["layer2", "layer1"], x)
    expected = [
        part
        for maps in (one, two)  # in the order they are made
        for part in (maps.mean((2, 3)), maps.std((2, 3), correction=0))
    ]
    torch.testing.assert_close(found, torch.cat(expected, dim=1))
    assert not any(module._forward_hooks for module in model.modules())


def test_patterns_name_modules_part_by_part() -> None:
    widths = {}
    for pattern in ("layer1", "layer?", "layer1.*", "layer[12].1"):
        network = pooled_network(resnet(), [pattern], 3, image_size=64, seed=0)
        widths[pattern] = network.model.get_submodule(network.head).linear.in_features // 2
    assert widths == {
        "layer1": 64,
        "layer?": 64 + 128 + 256 + 512,
        "layer1.*": 128,
        "layer[12].1": 64 + 128,
    }
    network = pooled_network(resnet(), ["layer1", "layer?"], 3, image_size=64, seed=0)
    assert network.model.get_submodule("head").linear.in_features == 2 * 960, "none twice"


def test_the_network_is_its_head_on_its_features_and_copies() -> None:
    model, head = pooled_network(resnet(), ["layer?"], 3, image_size=64, seed=5)
    assert (head, type(model)) == ("head", PooledNetwork)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    given_to_head: list[Tensor] = []
    hook = model.get_submodule(head).register_forward_pre_hook(
        lambda _, arguments: given_to_head.append(arguments[0])
    )
    with torch.inference_mode():
        logits = model.eval()(x)
        hook.remove()
        torch.testing.assert_close(model.get_submodule(head)(given_to_head[0]), logits)
        torch.testing.assert_close(copy.deepcopy(model)(x), logits)


def test_the_seed_decides_the_head_and_the_global_random_state_stays() -> None:
    state = torch.get_rng_state()
    weights = [
        pooled_network(resnet(), ["layer1"], 3, image_size=64, seed=seed).model.state_dict()
        for seed in (1, 1, 2)
    ]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(weights[0]["head.linear.weight"], weights[1]["head.linear.weight"])
    assert not torch.equal(weights[0]["head.linear.weight"], weights[2]["head.linear.weight"])


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("blocks.*", r"no module 'blocks\.\*' for --features; there are conv1, bn1, .*layer4\.1"),
        ("fc", "no module 'fc'"),
        ("avgpool", r"more than one position; avgpool returns \(1, 512, 1, 1\)"),
    ],
)
def test_what_is_no_map_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        pooled_network(resnet(), [pattern], 3, image_size=64, seed=0)


def test_a_module_that_is_not_used_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 14 * 14, 3))
    model.get_submodule("0").add_module("spare", nn.Conv2d(1, 1, 1))
    with pytest.raises(RecipeError, match=r"does not use 0\.spare"):
        pooled_network(Network(model, "2"), ["0", "0.spare"], 3, image_size=16, seed=0)


def test_the_preset_fits_the_recipe_s_network() -> None:
    from examples.rfmid.settings.presets import PRESETS

    names = PRESETS["frozen"].model.features
    network = build_network("convnext_tiny", 3)
    model, _ = pooled_network(network, names, 3, image_size=64, seed=0)
    assert model.get_submodule("head").linear.in_features == 2 * (96 + 192 + 384 + 768)
