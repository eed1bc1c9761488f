"""The loss forward and backward: BCE, torchvision's focal loss, composed operations, ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torchvision.ops import sigmoid_focal_loss

from benchmarks.timing import median_cpu_seconds, table
from mlthresh import focal_loss_with_pos_weight

OURS = "mlthresh"
GAMMA, ALPHA = 2.5, 0.15


def composed(logits: torch.Tensor, targets: torch.Tensor, pos_weight: torch.Tensor) -> torch.Tensor:
    """Return the loss as one would write it from torch's operations."""
    bce = F.binary_cross_entropy_with_logits(
        logits, targets, pos_weight=pos_weight, reduction="none"
    )
    p = torch.sigmoid(logits)
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    return (alpha_t * (1 - p_t) ** GAMMA * bce).mean()


def contestants(shape: tuple[int, int]) -> dict[str, Callable[[], None]]:
    """Return each loss with its gradient, on the same logits."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator).requires_grad_()
    targets = (torch.rand(shape, generator=generator) < 0.1).float()
    pos_weight = torch.linspace(1, 10, shape[1])
    losses: dict[str, Callable[[], torch.Tensor]] = {
        "BCE with pos_weight": lambda: F.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=pos_weight
        ),
        "torchvision sigmoid_focal_loss (no pos_weight)": lambda: sigmoid_focal_loss(
            logits, targets, ALPHA, GAMMA, "mean"
        ),
        "composed operations": lambda: composed(logits, targets, pos_weight),
        OURS: lambda: focal_loss_with_pos_weight(
            logits, targets, gamma=GAMMA, alpha=ALPHA, pos_weight=pos_weight
        ),
    }

    def differentiated(loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
        def call() -> None:
            logits.grad = None
            loss().backward()

        return call

    return {name: differentiated(loss) for name, loss in losses.items()}


def run() -> Iterator[str]:
    """Yield one table a size."""
    torch.set_num_threads(1)
    for shape, rounds in (((64, 16), 9), ((4096, 80), 9), ((65536, 256), 3)):
        seconds = median_cpu_seconds(contestants(shape), rounds=rounds)
        yield table(f"Loss and gradient, {shape[0]:,} x {shape[1]}", seconds, ours=OURS)
