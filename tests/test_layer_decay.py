"""Layer-wise learning rates: which layer each parameter is in, on models that people fine-tune."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

from mlthresh import InputError, discriminative_param_groups
from mlthresh._layer_depth import layer_depths


def layers(model: nn.Module, **options: Any) -> dict[str, float]:
    """Return n of each parameter's rate 0.5 ** n; the head has 0, the last layer 1."""
    groups = discriminative_param_groups(
        model, **{"lr": 1.0, "backbone_scale": 0.5, "head_scale": 1, "layer_decay": 0.5, **options}
    )
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in groups)
    named = {name: rate[id(p)] for name, p in model.named_parameters() if id(p) in rate}
    assert len(named) == len(rate)
    return {
        name: -torch.log2(torch.tensor(r, dtype=torch.float64)).item() for name, r in named.items()
    }


# What timm 1.0.31's param_groups_layer_decay gives for the same architecture, in its own names:
# the power of the decay in the stem, and which parameters share a block with its neighbours.
TORCHVISION = {
    "convnext_tiny": ("classifier", 19, {
        "features.0.0.weight": 19,
        "features.1.0.layer_scale": 18,
        "features.1.2.block.0.weight": 16,
        "features.2.1.weight": 15,  # downsampling belongs to the block that it feeds
        "features.3.0.block.0.weight": 15,
        "features.7.2.block.5.bias": 1,
        "classifier.0.weight": 0,
    }),
    "resnet18": ("fc", 9, {
        "conv1.weight": 9,
        "bn1.bias": 9,
        "layer1.0.conv1.weight": 8,
        "layer2.0.downsample.0.weight": 6,
        "layer4.1.bn2.weight": 1,
        "fc.bias": 0,
    }),
    "vit_b_16": ("heads", 13, {
        "class_token": 13,
        "conv_proj.weight": 13,
        "encoder.pos_embedding": 13,
        "encoder.layers.encoder_layer_0.ln_1.weight": 12,
        "encoder.layers.encoder_layer_11.mlp.0.weight": 1,
        "encoder.ln.weight": 1,
        "heads.head.weight": 0,
    }),
    "swin_t": ("head", 13, {
        "features.0.0.weight": 13,
        "features.0.2.weight": 13,
        "features.1.0.attn.relative_position_bias_table": 12,
        "features.2.reduction.weight": 10,
        "features.3.0.mlp.0.weight": 10,
        "features.7.1.norm1.weight": 1,
        "norm.weight": 1,
        "head.weight": 0,
    }),
    "efficientnet_b0": ("classifier", 17, {
        "features.0.1.weight": 17,
        "features.1.0.block.0.0.weight": 16,
        "features.2.0.block.0.0.weight": 15,
        "features.7.0.block.0.0.weight": 1,
        "features.8.0.weight": 1,
        "classifier.1.weight": 0,
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_s_layers_are_timm_s(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    head, deepest, expected = TORCHVISION[name]
    with torch.device("meta"):
        model = getattr(models, name)(weights=None)
    found = layers(model, head=head)
    assert {parameter: found[parameter] for parameter in expected} == expected
    assert set(found.values()) == set(range(deepest + 1))
    assert list(found) == [name for name, _ in model.named_parameters()]


def test_the_rates_by_hand() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 1))
    groups = discriminative_param_groups(
        model, lr=3.0, head="3", backbone_scale=0.1, head_scale=2, layer_decay=0.7
    )
    assert [(g["name"], g["lr"]) for g in groups] == [
        ("backbone_0", pytest.approx(0.21)),
        ("backbone_1", pytest.approx(0.3)),
        ("head", 6.0),
    ]
    split = discriminative_param_groups(
        model, lr=3.0, head="3", layer_decay=1, no_decay="norm_and_bias"
    )
    assert [(g["name"], g["weight_decay"]) for g in split] == [
        ("backbone_0", 1e-4), ("backbone_0_no_decay", 0.0),
        ("backbone_1", 1e-4), ("backbone_1_no_decay", 0.0),
        ("head", 1e-4), ("head_no_decay", 0.0),
    ]  # fmt: skip
    assert len({group["lr"] for group in split[:4]}) == 1


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([Expert() for _ in range(2)])  # side by side, not in a row
        self.linear = nn.Linear(2, 2)


class Expert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)


class Encoder(nn.Module):
    def __init__(self, n_blocks: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(2))
        self.blocks = nn.ModuleList([Block() for _ in range(n_blocks)])
        self.norm = nn.LayerNorm(2)


class PlainStage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Linear(2, 2)
        self.blocks = nn.Sequential(Block(), Block())


def conv_norm(*_: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU())


SEQUENTIALS = {
    "items": ([nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)], [0, 0, 1, 1]),
    "a norm belongs to what it follows": ([*conv_norm(), *conv_norm()], [0] * 4 + [1] * 4),
    "nested": ([conv_norm(), nn.MaxPool2d(2), conv_norm()], [0] * 4 + [1] * 4),
    "wrapped twice": (
        [nn.Sequential(nn.Sequential(*conv_norm(), *conv_norm()))],
        [0] * 4 + [1] * 4,
    ),
    "blocks hold what is in them": ([Block(), Block()], [0] * 6 + [1] * 6),
    "stem, blocks, norm": (
        [nn.Linear(2, 2), nn.Sequential(Block(), Block()), nn.LayerNorm(2)],
        [0] * 2 + [1] * 6 + [2] * 8,
    ),
    "stages": (
        [nn.Linear(2, 2), nn.Sequential(PlainStage(), PlainStage())],
        [0] * 4 + [1] * 6 + [2] * 6 + [3] * 8 + [4] * 6,
    ),
    "a module around the blocks": ([nn.Linear(2, 2), Encoder(2)], [0] * 3 + [1] * 6 + [2] * 8),
}


@pytest.mark.parametrize("case", SEQUENTIALS)
def test_layers_of_any_sequential(case: str) -> None:
    items, expected = SEQUENTIALS[case]
    model = nn.Sequential(*items, nn.Linear(2, 1))
    found = layers(model, head=str(len(items)))
    assert list(found.values()) == [max(expected) + 1 - depth for depth in expected] + [0, 0]


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(2))
        self.first = nn.Linear(2, 2)
        self.norm = nn.LayerNorm(2)
        self.scale = nn.Parameter(torch.zeros(2))
        self.second = nn.Linear(2, 2)
        self.last = nn.Parameter(torch.zeros(2))


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner


@pytest.mark.parametrize("times", [0, 1, 2])
def test_parameters_without_a_module_lie_with_their_neighbours(times: int) -> None:
    model: nn.Module = Bare()
    for _ in range(times):
        model = Wrapper(model)
    names = ["token", "first.weight", "norm.weight", "scale", "second.bias", "last"]
    prefix = "inner." * times
    found = layer_depths(model, [prefix + name for name in names])
    assert {name.removeprefix(prefix): depth for name, depth in found.items()} == dict(
        zip(names, (0, 1, 1, 2, 2, 2), strict=True)
    )
    assert layer_depths(model, [prefix + "token", prefix + "last"]) == {
        prefix + "token": 0,
        prefix + "last": 0,
    }


def test_freezing_does_not_move_the_layers() -> None:
    model = nn.Sequential(*[Block() for _ in range(4)], nn.Linear(2, 1))
    free = layers(model, head="4")
    model[0].requires_grad_(requires_grad=False)
    model[2].linear.requires_grad_(requires_grad=False)
    frozen = layers(model, head="4")
    assert len(frozen) == len(free) - 8
    assert frozen == {name: free[name] for name in frozen}


def test_the_caller_can_say_which_layer() -> None:
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(4)], nn.Linear(2, 1))
    found = layers(model, head="4", layer_of=lambda name: int(name[0]) // 2)
    assert Counter(found.values()) == {2.0: 4, 1.0: 4, 0.0: 2}
    with pytest.raises(InputError, match=r"layer_of\('0\.weight'\) must be an integer >= 0"):
        layers(model, head="4", layer_of=lambda _: -1)


def test_layers_that_share_a_parameter_raise_with_both_names() -> None:
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(3)], nn.Linear(2, 1))
    model[2].weight = model[0].weight
    with pytest.raises(InputError, match=r"'2\.weight' in the backbone_2 and '0\.weight' in the b"):
        layers(model, head="3")
    assert layers(model, head="3", layer_of=lambda _: 0)["0.weight"] == 1


def test_a_parameter_shared_inside_a_layer_counts_once() -> None:
    model = nn.Sequential(Block(), Block(), nn.Linear(2, 1))
    model[0].heads[1].inner.weight = model[0].heads[0].inner.weight
    assert len(layers(model, head="2")) == 13


def test_a_backbone_of_one_layer_raises() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    with pytest.raises(InputError, match="single layer, over which layer_decay can't decay"):
        layers(model, head="1")
    assert layers(model, head="1", layer_of=lambda _: 0)["0.weight"] == 1
