"""Parameter groups partition the model."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mlthresh import discriminative_param_groups
from mlthresh.exceptions import InputError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Conv2d(4, 4, 1))
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.LayerNorm(4), nn.Flatten(), nn.Linear(4, 2))


def names_by_group(model: nn.Module, **options: Any) -> dict[str, set[str]]:
    name_of = {parameter: name for name, parameter in model.named_parameters()}
    groups = discriminative_param_groups(model, **{"lr": 1.0, **options})
    named = {group["name"]: {name_of[p] for p in group["params"]} for group in groups}
    assert sum(map(len, named.values())) == sum(len(group["params"]) for group in groups)
    return named


# --- groups ------------------------------------------------------------------------------------


def test_rates_and_decay_of_the_groups() -> None:
    groups = discriminative_param_groups(Net(), lr=2e-3)
    assert [group["name"] for group in groups] == ["backbone", "head"]
    assert [group["lr"] for group in groups] == [2e-3 / 15, 1.6e-3]
    assert [group["weight_decay"] for group in groups] == [1e-4, 1e-4]
    groups = discriminative_param_groups(
        Net(), lr=1.0, backbone_scale=0.5, head_scale=2, weight_decay=0.1, no_decay="norm_and_bias"
    )
    assert [(group["name"], group["lr"], group["weight_decay"]) for group in groups] == [
        ("backbone", 0.5, 0.1),
        ("backbone_no_decay", 0.5, 0.0),
        ("head", 2.0, 0.1),
        ("head_no_decay", 2.0, 0.0),
    ]


def test_an_optimiser_takes_the_groups() -> None:
    model = Net()
    optimizer = torch.optim.AdamW(discriminative_param_groups(model, lr=1e-3))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    x = model.pool(model.features(torch.ones(2, 3, 8, 8))).permute(0, 2, 3, 1)
    model.classifier(x).square().sum().backward()
    optimizer.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2


@pytest.mark.parametrize("form", ["path", "module", "predicate"])
def test_the_head_can_be_given_in_three_forms(form: str) -> None:
    model = Net()
    head = {
        "path": "classifier.2",
        "module": model.classifier[2],
        "predicate": lambda name: name.startswith("classifier.2."),
    }[form]
    groups = names_by_group(model, head=head)
    assert groups["head"] == {"classifier.2.weight", "classifier.2.bias"}
    assert groups["backbone"] == {n for n, _ in model.named_parameters()} - groups["head"]


def test_a_path_is_not_a_prefix_of_another_name() -> None:
    model = nn.ModuleDict({"fc": nn.Linear(2, 2), "fc2": nn.Linear(2, 2)})
    assert names_by_group(model, head="fc")["head"] == {"fc.weight", "fc.bias"}


@given(
    frozen=st.lists(st.booleans(), min_size=10, max_size=10),
    head=st.sampled_from(["features", "features.2", "classifier", "classifier.0"]),
    no_decay=st.sampled_from(["none", "norm_and_bias"]),
)
def test_the_groups_partition_the_trainable_parameters(
    frozen: list[bool], head: str, no_decay: str
) -> None:
    model = Net()
    for parameter, is_frozen in zip(model.parameters(), frozen, strict=True):
        parameter.requires_grad_(not is_frozen)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    in_head = {name for name in trainable if name.startswith(f"{head}.")}
    if not in_head:
        with pytest.raises(InputError, match=f"'{head}' has no trainable parameter"):
            names_by_group(model, head=head, no_decay=no_decay)
        return
    groups = names_by_group(model, head=head, no_decay=no_decay)
    assert set().union(*groups.values()) == trainable
    assert sum(map(len, groups.values())) == len(trainable)
    assert groups.get("head", set()) | groups.get("head_no_decay", set()) == in_head
    plain = {n for n in trainable if n.endswith("weight") and n[:-7] not in NET_NORMS}
    exempt = groups.get("head_no_decay", set()) | groups.get("backbone_no_decay", set())
    assert exempt == (trainable - plain if no_decay == "norm_and_bias" else set())


NET_NORMS = ("features.1", "classifier.0")


def test_a_frozen_backbone_leaves_the_head_alone() -> None:
    model = Net()
    model.features.requires_grad_(requires_grad=False)
    assert list(names_by_group(model)) == ["head"]


def test_a_parameter_tied_inside_one_part_counts_once() -> None:
    model = Net()
    model.features[0].bias = model.features[2][0].bias
    groups = names_by_group(model)
    assert sum(map(len, groups.values())) == len(list(model.parameters()))
    model.alias = model.classifier  # one module under two names is still the head
    assert names_by_group(model)["head"] == {
        name for name, _ in model.classifier.named_parameters(prefix="classifier")
    }


def test_a_parameter_tied_between_head_and_backbone_raises_with_both_names() -> None:
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 3), "classifier": nn.Linear(3, 5)})
    model["classifier"].weight = model["embedding"].weight
    with pytest.raises(InputError, match=r"'classifier\.weight'.*'embedding\.weight'"):
        discriminative_param_groups(model, lr=1.0)
    model["embedding"].weight.requires_grad_(requires_grad=False)
    assert names_by_group(model) == {"head": {"classifier.bias"}}


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("fc", r"no submodule 'fc'; children of the model: features, pool, classifier"),
        ("features.9", r"no submodule 'features\.9'"),
        ("pool", r"head='pool' has no trainable parameter; children of the model: features, pool"),
        ("", "is the whole model"),
        (nn.Linear(4, 2), "the head, a Linear, is not in the model"),
        (lambda _: False, "has no trainable parameter"),
        (3, "got 3"),
    ],
)
def test_a_head_that_is_not_there_raises(head: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        discriminative_param_groups(Net(), lr=1.0, head=head)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0},
        {"lr": math.nan},
        {"lr": 1, "backbone_scale": 0},
        {"lr": 1, "head_scale": -1},
        {"lr": 1, "weight_decay": -1e-4},
        {"lr": 1, "no_decay": "bias"},
        {"lr": 1, "layer_decay": 0},
        {"lr": 1, "layer_decay": 1.01},
        {"lr": 1, "layer_of": len},
    ],
)
def test_options_of_groups_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=list(options)[-1]):
        discriminative_param_groups(Net(), **options)


def test_convnext_s_layer_scale_and_norms_are_not_decayed() -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        model = models.convnext_tiny(weights=None)
    groups = names_by_group(model, no_decay="norm_and_bias")
    kernels = {
        f"{path}.weight"
        for path, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    assert groups["backbone"] | groups["head"] == kernels
    assert groups["head"] == {"classifier.2.weight"}
    scales = {name for name in groups["backbone_no_decay"] if name.endswith("layer_scale")}
    assert len(scales) == 18
    assert model.get_parameter(min(scales)).ndim == 3


def test_no_decay_goes_by_module_and_name_never_by_dimensions() -> None:
    class LlamaRMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1, 4))

    class NormalisedLinear(nn.Linear):
        pass

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, add_bias_kv=True)
            self.recurrent = nn.LSTM(4, 4)
            self.norms = nn.ModuleList(
                [nn.GroupNorm(1, 4), nn.InstanceNorm2d(4, affine=True), nn.RMSNorm(4)]
            )
            self.custom = LlamaRMSNorm()
            self.linear = NormalisedLinear(4, 4)
            self.layer_scale_1 = nn.Parameter(torch.ones(4))
            self.gamma = nn.Parameter(torch.ones(4))
            self.query = nn.Parameter(torch.ones(4))
            self.unbiased = nn.Parameter(torch.ones(4))
            self.class_token = nn.Parameter(torch.ones(4))
            self.position_embeddings = nn.Embedding(4, 4)
            self.positions = nn.Parameter(torch.ones(4))
            self.cpb_mlp = nn.Linear(4, 4)
            self.logit_scale = nn.Parameter(torch.ones(1))
            self.classifier = nn.Linear(4, 2)

    groups = names_by_group(Block(), no_decay="norm_and_bias")
    assert groups["backbone"] == {
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "recurrent.weight_ih_l0",
        "recurrent.weight_hh_l0",
        "linear.weight",
        "query",
        "unbiased",
        "positions",
    }
    assert "custom.scale" in groups["backbone_no_decay"]
    assert groups["head_no_decay"] == {"classifier.bias"}
