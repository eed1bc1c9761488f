"""The cosine keeps the ratio of the groups' rates; every torch scheduler takes the groups."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import CosineAnnealingLR

from mlthresh import InputError, discriminative_param_groups, ratio_cosine_schedule


def net() -> nn.Module:
    model = nn.Sequential()
    model.add_module("features", nn.Sequential(*[nn.Linear(3, 3) for _ in range(3)]))
    model.add_module("classifier", nn.Linear(3, 2))
    return model


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
        return torch.optim.SGD(discriminative_param_groups(net(), lr=2e-3))

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
        optimizer = torch.optim.SGD(discriminative_param_groups(net(), lr=2e-3))
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
    optimizer = torch.optim.SGD(discriminative_param_groups(net(), lr=2e-3))
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


def test_a_head_of_norms_alone_is_still_the_head() -> None:
    optimizer = optimizer_of({"lr": 1.0, "name": "head_no_decay"}, {"lr": 4.0, "name": "new"})
    assert rates(optimizer, ratio_cosine_schedule(optimizer, t_max=1, eta_min=0.5), 1)[-1][0] == 0.5


# --- other schedulers --------------------------------------------------------------------------

SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(
        o, max_lr=[group["lr"] for group in o.param_groups], total_steps=8
    ),
    "CosineAnnealingLR": lambda o: CosineAnnealingLR(o, 8),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 8),
    "warm-up, then our cosine": lambda o: lr_scheduler.SequentialLR(
        o,
        [
            lr_scheduler.LinearLR(o, 0.1, total_iters=3),
            ratio_cosine_schedule(o, t_max=4, eta_min=1e-5),
        ],
        milestones=[3],
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_torch_s_schedulers_move_every_group_by_the_same_factor(name: str) -> None:
    groups = discriminative_param_groups(net(), lr=1e-2, layer_decay=0.5)
    optimizer = torch.optim.AdamW(groups)
    start = torch.tensor([group["lr"] for group in groups])
    assert torch.allclose(start, torch.tensor([1 / 60, 1 / 30, 1 / 15, 0.8]) * 1e-2)
    seen = torch.tensor(rates(optimizer, SCHEDULERS[name](optimizer), 6))
    factor = seen / start
    assert torch.allclose(factor, factor[:, -1:].expand_as(factor), rtol=1e-5, atol=1e-12)
    assert len(set(seen[:, 0].tolist())) > 2


def test_reduce_on_plateau_moves_every_group() -> None:
    groups = discriminative_param_groups(net(), lr=1e-2, layer_decay=0.5)
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    start = [group["lr"] for group in groups]
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.1)
    for _ in range(3):
        optimizer.step()
        scheduler.step(1.0)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([x * 0.01 for x in start])
