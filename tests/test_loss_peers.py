"""The loss beside the focal losses of other libraries: the same where their definitions meet."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from mlthresh import focal_loss_with_pos_weight

GAMMA, ALPHA = 2.5, 0.15
POS_WEIGHT = torch.tensor([0.5, 1.0, 10.0, 479.0])
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def peer(module: str, name: str) -> Any:
    with warnings.catch_warnings(action="ignore"):  # some warn while they are imported
        return getattr(pytest.importorskip(module, exc_type=ImportError), name)


def problem(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, 4, generator=generator).mul(3)
    y = torch.rand(200, 4, generator=generator)
    return z, y.round() if kind == "hard" else y


def ours(**changed: Any) -> Loss:
    arguments = {"gamma": GAMMA, "alpha": ALPHA, "reduction": "none", **changed}
    return lambda z, y: focal_loss_with_pos_weight(z, y, **arguments)


def value_and_gradient(loss: Loss, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    z, y = problem(kind)
    z.requires_grad_()
    value = loss(z, y)
    return value.detach(), torch.autograd.grad(value.sum(), z)[0]


def assert_same(mine: Loss, theirs: Loss, kind: str) -> None:
    close = {"rtol": 1e-4, "atol": 1e-5}  # they lose digits far out
    torch.testing.assert_close(
        value_and_gradient(mine, kind), value_and_gradient(theirs, kind), **close
    )


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("alpha", [ALPHA, None])
def test_torchvision_without_pos_weight_on_hard_targets(alpha: Any, reduction: Any) -> None:
    theirs = peer("torchvision.ops", "sigmoid_focal_loss")
    given = -1 if alpha is None else alpha
    assert_same(
        ours(alpha=alpha, reduction=reduction),
        lambda z, y: theirs(z, y, given, GAMMA, reduction),
        "hard",
    )


def test_torchvision_is_not_linear_in_soft_targets() -> None:
    # It takes the focal factor and alpha of the mixture, so a soft target is not a mean of two.
    theirs = peer("torchvision.ops", "sigmoid_focal_loss")
    z = torch.tensor([[2.0]])
    soft, one, zero = (theirs(z, torch.tensor([[y]]), ALPHA, GAMMA) for y in (0.5, 1.0, 0.0))
    assert not torch.isclose(soft, (one + zero) / 2, rtol=0.01)
    soft, one, zero = (ours()(z, torch.tensor([[y]])) for y in (0.5, 1.0, 0.0))
    torch.testing.assert_close(soft, (one + zero) / 2)


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("pos_weight", [None, POS_WEIGHT], ids=["plain", "pos_weight"])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_kornia_in_everything(kind: str, pos_weight: Any, reduction: Any) -> None:
    theirs = peer("kornia.losses", "binary_focal_loss_with_logits")
    assert_same(
        ours(pos_weight=pos_weight, reduction=reduction),
        lambda z, y: theirs(z, y, ALPHA, GAMMA, reduction, pos_weight=pos_weight),
        kind,
    )


def test_kornia_counts_ignored_entries_in_the_mean_and_ours_does_not() -> None:
    theirs = peer("kornia.losses", "binary_focal_loss_with_logits")
    z, y = problem("hard")
    y[:50] = -100
    missing = y.masked_fill(y == -100, float("nan"))
    whole = theirs(z, y, ALPHA, GAMMA, "mean")
    torch.testing.assert_close(ours(reduction="mean")(z, missing) * 0.75, whole)


@pytest.mark.parametrize("pos_weight", [None, POS_WEIGHT], ids=["plain", "pos_weight"])
def test_timm_without_clipping_and_alpha_on_hard_targets(pos_weight: Any) -> None:
    asymmetric = peer("timm.loss", "AsymmetricLossMultiLabel")
    if pos_weight is None:
        theirs = asymmetric(GAMMA, GAMMA, clip=0, reduction="none")
    else:
        theirs = asymmetric(GAMMA, GAMMA, clip=0, reduction="none", pos_weight=pos_weight)
    assert_same(ours(alpha=None, pos_weight=pos_weight), theirs, "hard")


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_monai_without_pos_weight_on_hard_targets(reduction: Any) -> None:
    theirs = peer("monai.losses", "FocalLoss")
    assert_same(
        ours(reduction=reduction), theirs(gamma=GAMMA, alpha=ALPHA, reduction=reduction), "hard"
    )
