"""Checks of what the focal loss is given, and its parameters as the arithmetic takes them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mlthresh._focal import Parameters, TargetKind, as_rows, block_rows, compute_dtype
from mlthresh.exceptions import InputError
from mlthresh.posterior import PerClass

__all__ = ["check_sample_weight", "check_tensors", "inspect_targets", "prepare_parameters"]


def prepare_parameters(
    gamma: PerClass,
    alpha: PerClass | None,
    pos_weight: PerClass | None,
    logits: Tensor,
    divisor: int = 1,
) -> Parameters:
    """Return the parameters on the logits' device, the weights over a divisor."""
    positive: float | Tensor = 1 / divisor
    negative: float | Tensor = 1 / divisor
    if alpha is not None:
        share = _as_parameter(alpha, "alpha", logits)
        positive, negative = share * positive, (1 - share) * negative
    if pos_weight is not None:
        positive = positive * _as_parameter(pos_weight, "pos_weight", logits)
    values = (-_as_parameter(gamma, "gamma", logits), positive, negative)
    # A number is filled in, since copying it would make an accelerator wait.
    options: Any = {"dtype": compute_dtype(logits), "device": logits.device}
    return Parameters(
        *(x if isinstance(x, Tensor) else torch.full((), x, **options) for x in values)
    )


def _as_parameter(value: PerClass, name: str, logits: Tensor) -> float | Tensor:
    if isinstance(value, (int, float)):
        return float(value)
    tensor = torch.as_tensor(value, dtype=compute_dtype(logits), device=logits.device)
    if tensor.ndim and tensor.shape != logits.shape[-1:]:
        raise InputError(
            f"{name} must be a number or have one entry per class; it has shape "
            f"{tuple(tensor.shape)}, the logits have shape {tuple(logits.shape)}"
        )
    return tensor


def check_tensors(logits: Tensor, targets: Tensor, sample_weight: Tensor | None) -> None:
    given = {"logits": logits, "targets": targets, "sample_weight": sample_weight}
    for name, value in given.items():
        if not isinstance(value, Tensor) and not (name == "sample_weight" and value is None):
            raise InputError(f"{name} must be a tensor, got {type(value).__name__}")
    if not logits.is_floating_point():
        raise InputError(f"logits must be floating point, got {logits.dtype}")
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise InputError(
            f"logits must have shape (n_samples, n_classes), got {tuple(logits.shape)}"
        )
    if targets.shape != logits.shape:
        raise InputError(
            f"targets must have the shape of logits: got {tuple(targets.shape)} "
            f"and {tuple(logits.shape)}"
        )
    if sample_weight is not None and sample_weight.shape != logits.shape[:-1]:
        raise InputError(
            f"sample_weight must have one entry per row, shape {tuple(logits.shape[:-1])}; "
            f"got {tuple(sample_weight.shape)}"
        )


def check_sample_weight(sample_weight: Tensor | None) -> None:
    if sample_weight is None:
        return
    bad = ~(sample_weight.isfinite() & (sample_weight >= 0))
    if bad.any():
        value = sample_weight[bad][0].item()
        raise InputError(f"sample_weight must be finite and >= 0, got {value} in row {_first(bad)}")


def inspect_targets(targets: Tensor) -> tuple[TargetKind, int]:
    """Return what the targets are like and how many are known; raise unless all are in [0, 1]."""
    step = block_rows(targets)
    one = targets.numel() <= step * targets.shape[-1]
    blocks = (targets,) if one else torch.split(as_rows(targets), step)
    if targets.dtype == torch.bool or all(torch.equal(y, y.bool().to(y.dtype)) for y in blocks):
        return TargetKind(hard=True, missing=False), targets.numel()
    hard, n_missing = True, 0
    for y in blocks:
        missing = torch.isnan(y)
        n_missing += int(missing.sum())
        known = y.masked_fill(missing, 0)
        low, high = torch.stack(torch.aminmax(known)).tolist()
        if low < 0 or high > 1:
            bad = (targets < 0) | (targets > 1)
            value = targets[bad][0].item()
            raise InputError(
                f"targets must be in [0, 1], or NaN where unknown; got {value} at {_first(bad)}"
            )
        hard = hard and torch.equal(known, known.bool().to(y.dtype))
    return TargetKind(hard=hard, missing=n_missing > 0), targets.numel() - n_missing


def _first(mask: Tensor) -> list[int]:
    """Return the index of the first true entry."""
    index: list[int] = mask.nonzero()[0].tolist()
    return index
