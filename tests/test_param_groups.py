"""Parameter groups partition the model; the schedule keeps the ratio of their rates."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from mlthresh.exceptions import InputError
from mlthresh.param_groups import discriminative_param_groups, ratio_cosine_schedule


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
    }
    assert "custom.scale" in groups["backbone_no_decay"]
    assert groups["head_no_decay"] == {"classifier.bias"}


# --- schedule ----------------------------------------------------------------------------------


def optimizer_of(*groups: dict[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], **g} for g in groups])


def rates(optimizer: torch.optim.Optimizer, scheduler: Any, steps: int) -> list[list[float]]:
    seen = [[group["lr"] for group in optimizer.param_groups]]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        seen.append([group["lr"] for group in optimizer.param_groups])
    return seen


@pytest.mark.parametrize("t_max", [1, 2, 7, 50])
@pytest.mark.parametrize("eta_min", [0.0, 1e-7, 1e-3, 2e-3])
def test_a_single_rate_follows_torch_s_cosine(t_max: int, eta_min: float) -> None:
    ours, theirs = optimizer_of({"lr": 2e-3}), optimizer_of({"lr": 2e-3})
    ours_seen = rates(ours, ratio_cosine_schedule(ours, t_max=t_max, eta_min=eta_min), t_max)
    theirs_seen = rates(theirs, CosineAnnealingLR(theirs, t_max, eta_min=eta_min), t_max)
    for (mine,), (torch_s,) in zip(ours_seen, theirs_seen, strict=True):
        assert mine == pytest.approx(torch_s, rel=1e-12, abs=1e-18)
    assert ours_seen[-1] == pytest.approx([eta_min], rel=1e-15)


@given(
    backbone_lr=st.floats(1e-6, 1.0),
    head_lr=st.floats(1e-6, 1.0),
    share=st.floats(0, 1),
    t_max=st.integers(1, 30),
)
def test_all_groups_keep_their_ratio_and_hold_at_the_minimum(
    backbone_lr: float, head_lr: float, share: float, t_max: int
) -> None:
    optimizer = optimizer_of(
        {"lr": backbone_lr, "name": "backbone"}, {"lr": head_lr, "name": "head"}
    )
    eta_min = share * head_lr
    scheduler = ratio_cosine_schedule(optimizer, t_max=t_max, eta_min=eta_min)
    seen = rates(optimizer, scheduler, t_max + 5)
    for step, (backbone, head) in enumerate(seen):
        cosine = (1 + math.cos(math.pi * min(step, t_max) / t_max)) / 2
        assert head == pytest.approx(eta_min + (head_lr - eta_min) * cosine, rel=1e-9, abs=1e-15)
        assert backbone == pytest.approx(head * backbone_lr / head_lr, rel=1e-12, abs=1e-300)
    assert seen[t_max:] == [seen[t_max]] * 6
    assert all(later[1] <= earlier[1] for earlier, later in pairwise(seen))


def test_a_shared_minimum_would_lose_the_ratio() -> None:
    def groups() -> torch.optim.Optimizer:
        return torch.optim.SGD(discriminative_param_groups(Net(), lr=2e-3))

    ours, theirs = groups(), groups()
    ours_end = rates(ours, ratio_cosine_schedule(ours, t_max=50, eta_min=1e-7), 50)[-1]
    theirs_end = rates(theirs, CosineAnnealingLR(theirs, 50, eta_min=1e-7), 50)[-1]
    assert ours_end == pytest.approx([1e-7 / 12, 1e-7], rel=1e-12)
    assert theirs_end == pytest.approx([1e-7, 1e-7], rel=1e-9)


def test_the_minimum_is_the_head_s_else_the_largest_rate_s() -> None:
    named = optimizer_of({"lr": 1.0, "name": "head"}, {"lr": 4.0, "name": "new"})
    assert rates(named, ratio_cosine_schedule(named, t_max=1, eta_min=0.5), 1)[-1] == [0.5, 2.0]
    unnamed = optimizer_of({"lr": 1.0}, {"lr": 4.0})
    seen = rates(unnamed, ratio_cosine_schedule(unnamed, t_max=1, eta_min=0.5), 1)
    assert seen[-1] == [0.125, 0.5]


def test_a_schedule_resumes_from_safe_files(tmp_path: Any) -> None:
    def build() -> tuple[torch.optim.Optimizer, Any]:
        optimizer = torch.optim.SGD(discriminative_param_groups(Net(), lr=2e-3))
        return optimizer, ratio_cosine_schedule(optimizer, t_max=10, eta_min=1e-6)

    optimizer, scheduler = build()
    rates(optimizer, scheduler, 4)
    states = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    torch.save(states, tmp_path / "states.pt")
    expected = rates(optimizer, scheduler, 10)

    optimizer, scheduler = build()
    states = torch.load(tmp_path / "states.pt", weights_only=True)
    optimizer.load_state_dict(states["optimizer"])
    scheduler.load_state_dict(states["scheduler"])
    assert rates(optimizer, scheduler, 10) == expected

    # the other order: a schedule made after the optimiser's state has come back
    optimizer = torch.optim.SGD(discriminative_param_groups(Net(), lr=2e-3))
    optimizer.load_state_dict(states["optimizer"])
    scheduler = ratio_cosine_schedule(optimizer, t_max=10, eta_min=1e-6)
    optimizer.load_state_dict(states["optimizer"])
    scheduler.load_state_dict(states["scheduler"])
    assert rates(optimizer, scheduler, 10) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t_max": 10, "eta_min": 0.6}, r"eta_min=0\.6 is above the head's learning rate 0\.5"),
        ({"t_max": 10, "eta_min": -1e-9}, "eta_min"),
        ({"t_max": 10, "eta_min": math.nan}, "eta_min"),
        ({"t_max": 0, "eta_min": 0}, "t_max must be an integer >= 1"),
        ({"t_max": 1.5, "eta_min": 0}, "t_max"),
    ],
)
def test_options_of_the_schedule_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ratio_cosine_schedule(optimizer_of({"lr": 0.5}), **options)
