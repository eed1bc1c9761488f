"""The table accounts for every parameter of the model."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from mlthresh import InputError, describe_param_groups, discriminative_param_groups


def model() -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 3), nn.Linear(3, 2))
    net[0].requires_grad_(requires_grad=False)
    return net


def test_every_parameter_is_in_one_row() -> None:
    net = model()
    groups = discriminative_param_groups(net, lr=1e-3, head="3", no_decay="norm_and_bias")
    table = describe_param_groups(net, groups[:-1])
    rows = [*table.groups, table.frozen, table.left_out]
    listed = [name for row in rows for name in row.param_names]
    assert sorted(listed) == sorted(name for name, _ in net.named_parameters())
    assert table.frozen.param_names == ("0.weight", "0.bias")
    assert table.left_out.param_names == ("3.bias",)
    assert sum(row.n_parameters for row in rows) == sum(p.numel() for p in net.parameters())
    assert [row.n_tensors for row in rows] == [1, 3, 1, 2, 1]


def test_the_table_reads_well() -> None:
    net = model()
    groups = discriminative_param_groups(net, lr=1.5e-3, head="3", no_decay="norm_and_bias")
    assert str(describe_param_groups(net, groups)).splitlines() == [
        "4 groups, 38 parameters",
        "",
        "group              names                         lr  weight decay  tensors  parameters",
        "backbone           2.weight                  0.0001        0.0001        1           9",
        "backbone_no_decay  1.weight, 1.bias, 1 more  0.0001             0        3           9",
        "head               3.weight                  0.0012        0.0001        1           6",
        "head_no_decay      3.bias                    0.0012             0        1           2",
        "(frozen)           0.weight, 0.bias               -             -        2          12",
    ]


def test_an_optimiser_is_shown_as_it_is_now() -> None:
    net = model()
    groups = discriminative_param_groups(net, lr=1.0, head="3")
    optimizer = torch.optim.SGD(groups, lr=torch.tensor(0.1))
    optimizer.param_groups[1]["lr"] = 0.25
    table = describe_param_groups(net, optimizer)
    assert [row.lr for row in table.groups] == [pytest.approx(1 / 15), 0.25]
    shown = json.loads(table.to_json())
    assert shown["groups"][1]["param_names"] == ["3.weight", "3.bias"]
    assert shown["left_out"]["n_tensors"] == 0


def test_groups_of_any_making_are_shown() -> None:
    net = model()
    stranger = nn.Parameter(torch.zeros(5))
    table = describe_param_groups(net, [{"params": iter([net[2].weight, stranger])}])
    assert table.groups[0].name == "group 0"
    assert table.groups[0].lr is None
    assert table.groups[0].param_names == ("2.weight", "?")
    with pytest.raises(InputError, match="group 0 is not a dict with params"):
        describe_param_groups(net, net.parameters())
