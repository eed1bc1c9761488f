"""The losses that are timed: plain BCE, the focal losses of other libraries, and ours.

A library that isn't installed gives a message in place of a call.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

from mlthresh import FocalLossWithPosWeight, focal_loss_with_pos_weight

BCE = "BCE with pos_weight"
OURS = "mlthresh, module"
OURS_COMPILED = "mlthresh, compiled"
GAMMA, ALPHA = 2.5, 0.15

Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def composed(logits: torch.Tensor, targets: torch.Tensor, pos_weight: torch.Tensor) -> torch.Tensor:
    """Return the loss as one would write it from torch's operations."""
    bce = F.binary_cross_entropy_with_logits(
        logits, targets, pos_weight=pos_weight, reduction="none"
    )
    p = torch.sigmoid(logits)
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    return (alpha_t * (1 - p_t) ** GAMMA * bce).mean()


def losses(pos_weight: torch.Tensor) -> dict[str, Loss | str]:
    """Return each loss of logits and targets, or why it can't be had."""

    def torchvision() -> Loss:
        from torchvision.ops import sigmoid_focal_loss

        return lambda z, y: sigmoid_focal_loss(z, y, ALPHA, GAMMA, "mean")

    def kornia() -> Loss:
        from kornia.losses import binary_focal_loss_with_logits

        return lambda z, y: binary_focal_loss_with_logits(
            z, y, ALPHA, GAMMA, "mean", pos_weight=pos_weight
        )

    def timm() -> Loss:
        from timm.loss import AsymmetricLossMultiLabel

        return AsymmetricLossMultiLabel(
            GAMMA, GAMMA, clip=0, reduction="mean", pos_weight=pos_weight
        )

    def monai() -> Loss:
        from monai.losses import FocalLoss

        return FocalLoss(gamma=GAMMA, alpha=ALPHA)

    module = FocalLossWithPosWeight(GAMMA, ALPHA, pos_weight)
    return {
        BCE: lambda z, y: F.binary_cross_entropy_with_logits(z, y, pos_weight=pos_weight),
        "torchvision sigmoid_focal_loss (no pos_weight)": _loaded(torchvision),
        "kornia binary_focal_loss_with_logits": _loaded(kornia),
        "timm AsymmetricLossMultiLabel (no alpha)": _loaded(timm),
        "MONAI FocalLoss (no pos_weight)": _loaded(monai),
        "composed operations": lambda z, y: composed(z, y, pos_weight),
        "composed operations, compiled": _compiled(lambda z, y: composed(z, y, pos_weight)),
        "mlthresh, function": lambda z, y: focal_loss_with_pos_weight(
            z, y, gamma=GAMMA, alpha=ALPHA, pos_weight=pos_weight
        ),
        OURS: module,
        "mlthresh, module, boolean targets": lambda z, y: module(z, y.bool()),
        OURS_COMPILED: _compiled(module),
    }


def _loaded(load: Callable[[], Loss]) -> Loss | str:
    # Some of them print while they are imported.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return load()
        except ImportError as error:
            return f"not installed: {error}"
        except TypeError as error:
            return f"another version: {error}"


def _compiled(loss: Loss) -> Loss:
    return torch.compile(loss, fullgraph=True, dynamic=False)
