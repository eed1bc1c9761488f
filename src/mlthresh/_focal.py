"""The focal loss's value and derivatives by the logit, in closed form.

With q = sigmoid(-u), p = 1 - q, l = softplus(-u) and f(u) = q^gamma l, an element's loss is
a1 y f(z) + a0 (1 - y) f(-z), and

    f'(u) = -q^gamma (q + gamma p l),
    f''(u) = q^gamma p (gamma (gamma p - q) l + (2 gamma + 1) q).

Below are plain functions of whole tensors, fit for compilers and transforms, and then the same
on blocks of rows that fit a processor's cache, as autograd functions that keep their arguments
and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Parameters",
    "TargetKind",
    "as_rows",
    "composed_elements",
    "compute_dtype",
    "focal_elements",
    "focal_sum",
    "is_transformed",
    "row_blocks",
]

_BLOCK_PER_THREAD = 1 << 16  # elements of a block; its float32 temporaries share the cache
_BLOCK_ON_DEVICE = 1 << 22  # enough to fill an accelerator, little beside the arguments


class Parameters(NamedTuple):
    """The loss's parameters; the tensors have shape () or (n_classes,)."""

    gamma: float | Tensor
    positive: Tensor  # a1, (n_classes,)
    negative: Tensor  # a0, (n_classes,)


class TargetKind(NamedTuple):
    """What the targets are like."""

    hard: bool  # every known target is 0 or 1: one of the loss's two terms is enough
    missing: bool  # some targets are NaN


def is_transformed() -> bool:
    """Tell whether torch.compile, torch.export or a torch.func transform runs this code."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def compute_dtype(logits: Tensor) -> torch.dtype:
    """Return the type that all arithmetic is done in: float64 for float64, else float32."""
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _term(order: int, p: Tensor, q: Tensor, softplus: Tensor, gamma: float | Tensor) -> Tensor:
    """Return f(u), f'(u) or f''(u).

    No difference is formed of numbers that may be close, so float32 keeps its digits.
    """
    power = _power(q, gamma)
    if order == 0:
        return power * softplus
    if order == 1:
        return -power * (q + gamma * p * softplus)
    return power * p * (gamma * (gamma * p - q) * softplus + (2 * gamma + 1) * q)


def _power(q: Tensor, gamma: float | Tensor) -> Tensor:
    # Autograd of q^gamma at q = 0 is infinite for gamma < 1. Where q underflows, f is 0 anyway.
    q = q.clamp_min(torch.finfo(q.dtype).tiny)
    if isinstance(gamma, float):
        whole, rest = divmod(gamma, 1)
        if whole <= 3 and rest == 0.5:  # no logarithm: half the time of pow
            return q.pow(whole) * q.sqrt()
    return q.pow(gamma)


def _log1p_exp(p: Tensor, q: Tensor) -> Tensor:
    """Return log(1 + exp(-|u|)) = -log(max(p, q)).

    The digits that max(p, q) loses next to 1 are put back from min(p, q), which has them all.
    This is faster than log1p, on some processors by far.
    """
    large = torch.maximum(p, q).clamp_max(1 - torch.finfo(p.dtype).eps / 2)
    return torch.log(large) / (large - 1) * torch.minimum(p, q)


def _elements(
    order: int, logits: Tensor, targets: Tensor, parameters: Parameters, kind: TargetKind
) -> Tensor:
    """Return each element's loss (order 0), or its first or second derivative by the logit.

    It is 0 at missing targets, but only `composed_elements` has autograd gradients of 0 there.
    """
    gamma, positive, negative = parameters
    y = targets
    sign = 2 * y - 1
    u = sign * logits if kind.hard else logits
    minus_u = -u
    p, q = torch.sigmoid(u), torch.sigmoid(minus_u)
    rest = _log1p_exp(p, q)
    term = _term(order, p, q, torch.relu(minus_u) + rest, gamma)
    if kind.hard:
        elements = torch.lerp(negative, positive, y) * term
        if order == 1:
            elements = elements * sign
    else:
        flipped = _term(order, q, p, torch.relu(u) + rest, gamma)
        if order == 1:
            flipped = -flipped
        elements = y * positive * term + (1 - y) * negative * flipped
    return elements.masked_fill(torch.isnan(y), 0.0) if kind.missing else elements


def composed_elements(
    order: int, logits: Tensor, targets: Tensor, parameters: Parameters
) -> Tensor:
    """Return `_elements` for any targets, in a form that autograd and transforms may enter."""
    dtype = compute_dtype(logits)
    missing = torch.isnan(targets)
    z = logits.to(dtype).masked_fill(missing, 0.0)
    y = targets.to(dtype).masked_fill(missing, 0.0)
    elements = _elements(order, z, y, parameters, TargetKind(hard=False, missing=False))
    return elements.masked_fill(missing, 0.0)


def focal_elements(
    order: int,
    logits: Tensor,
    factor: Tensor | None,
    targets: Tensor,
    parameters: Parameters,
    kind: TargetKind,
) -> Tensor:
    """Return a factor times each element's loss (order 0) or its derivative by the logit."""
    if is_transformed():  # backward inside torch.vmap
        elements = composed_elements(order, logits, targets, parameters)
        return elements if factor is None else elements * factor
    result: Tensor = _Elements.apply(order, logits, factor, targets, parameters, kind)
    return result


def focal_sum(
    logits: Tensor,
    weight: Tensor | None,
    targets: Tensor,
    parameters: Parameters,
    kind: TargetKind,
) -> Tensor:
    """Return the sum of the elements' losses, times weights of shape (..., 1)."""
    result: Tensor = _Sum.apply(logits, weight, targets, parameters, kind)
    return result


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        weight: Tensor | None,
        targets: Tensor,
        parameters: Parameters,
        kind: TargetKind,
    ) -> Tensor:
        ctx.save_for_backward(logits, weight, targets)
        ctx.parameters, ctx.kind = parameters, kind
        blocks = _element_blocks(0, logits, weight, targets, parameters, kind)
        sums = [elements.sum() for _, elements in blocks]
        if not sums:
            return torch.zeros((), dtype=compute_dtype(logits), device=logits.device)
        return torch.stack(sums).sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits, weight, targets = ctx.saved_tensors
        factor = grad if weight is None else grad * weight
        by_logits = focal_elements(1, logits, factor, targets, ctx.parameters, ctx.kind)
        return by_logits, None, None, None, None


class _Elements(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        order: int,
        logits: Tensor,
        factor: Tensor | None,
        targets: Tensor,
        parameters: Parameters,
        kind: TargetKind,
    ) -> Tensor:
        ctx.save_for_backward(logits, factor, targets)
        ctx.order, ctx.parameters, ctx.kind = order, parameters, kind
        dtype = compute_dtype(logits) if order == 0 else logits.dtype  # a gradient's dtype
        result = torch.empty(logits.shape, dtype=dtype, device=logits.device)
        rows = as_rows(result)
        blocks = _element_blocks(order, logits, factor, targets, parameters, kind)
        for block, elements in blocks:
            rows[block] = elements
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits, factor, targets = ctx.saved_tensors
        rest = (targets, ctx.parameters, ctx.kind)
        by_logits = by_factor = None
        if ctx.needs_input_grad[1]:
            if ctx.order == 2:
                raise NotImplementedError("the focal loss can be differentiated twice, not thrice")
            product = grad if factor is None else grad * factor
            by_logits = focal_elements(ctx.order + 1, logits, product, *rest)
        if ctx.needs_input_grad[2]:
            by_factor = focal_elements(ctx.order, logits, grad, *rest).sum_to_size(factor.shape)
        return None, by_logits, by_factor, None, None, None


def _element_blocks(
    order: int,
    logits: Tensor,
    factor: Tensor | None,
    targets: Tensor,
    parameters: Parameters,
    kind: TargetKind,
) -> Iterator[tuple[slice, Tensor]]:
    """Yield `_elements` times the factor for one block of rows after another."""
    dtype = compute_dtype(logits)
    z, y = as_rows(logits), as_rows(targets)
    if factor is not None and factor.ndim:
        factor = as_rows(factor)
    for block in row_blocks(z):
        elements = _elements(order, z[block].to(dtype), y[block].to(dtype), parameters, kind)
        if factor is not None:
            elements = elements * (factor[block] if factor.ndim else factor)
        yield block, elements


def as_rows(tensor: Tensor) -> Tensor:
    """Return a view, or for odd strides a copy, of shape (n_rows, size of the last axis)."""
    return tensor.reshape(-1, tensor.shape[-1])


def row_blocks(rows: Tensor) -> Iterator[slice]:
    """Yield slices that cut a matrix into blocks of rows."""
    n_rows, n_columns = rows.shape
    on_cpu = rows.device.type == "cpu"
    size = _BLOCK_PER_THREAD * torch.get_num_threads() if on_cpu else _BLOCK_ON_DEVICE
    step = max(1, size // n_columns)
    return (slice(start, start + step) for start in range(0, n_rows, step))
