"""The focal loss's value and its derivative by the logit, in closed form.

With q = sigmoid(v), p = sigmoid(-v), l = softplus(v) and s = softplus(-v), a mistake of margin v
costs q^gamma l, and the derivative of that is q^gamma (q + gamma p l). A negative label has
v = z, a positive one v = -z. The power is exp(-gamma s), whose relative error in float32 stays
below 1e-5 for every gamma, where that of pow grows with gamma.

The formulas are written once, fit for compilers, transforms and autograd; below them an autograd
function evaluates them on blocks of rows that fit a processor's cache. What compilers are given
stands in `_focal_compiled`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "Parameters",
    "TargetKind",
    "as_rows",
    "block_rows",
    "composed_elements",
    "compute_dtype",
    "finish",
    "focal_loss",
    "is_transformed",
    "make_terms",
]

_FEW = 1 << 12  # elements up to which the number of calls costs more than the arithmetic
_BLOCK_PER_THREAD = 1 << 16  # elements of a block; its float32 temporaries share the cache
_BLOCK_ON_DEVICE = 1 << 22  # enough to fill an accelerator, little beside the arguments


class Parameters(NamedTuple):
    """The loss's parameters, tensors of shape () or (n_classes,)."""

    minus_gamma: Tensor
    positive: Tensor  # a1
    negative: Tensor  # a0


class TargetKind(NamedTuple):
    """What the targets are like."""

    hard: bool  # every known target is 0 or 1: one of the loss's two terms is enough
    missing: bool  # some targets are NaN


class _Term(NamedTuple):
    """A weight times q^gamma softplus(v)."""

    power: Tensor  # the weight times q^gamma
    q: Tensor
    p: Tensor
    softplus: Tensor
    minus_gamma: Tensor

    def value(self) -> Tensor:
        return self.power * self.softplus

    def slope(self) -> Tensor:
        """Return the derivative by v: no difference of close numbers, so all digits count."""
        return self.power * torch.addcmul(
            self.q, self.minus_gamma * self.p, self.softplus, value=-1
        )


class Terms(NamedTuple):
    """What each element's loss is made of."""

    at_z: _Term  # v = z, or v = direction z
    at_minus_z: _Term | None
    direction: Tensor | int  # 1 or -1

    def value(self) -> Tensor:
        value = self.at_z.value()
        return value if self.at_minus_z is None else value + self.at_minus_z.value()

    def slope(self) -> Tensor:
        """Return the derivative by z."""
        slope = self.at_z.slope()
        if self.at_minus_z is None:
            return slope * self.direction
        return slope - self.at_minus_z.slope()


def is_transformed() -> bool:
    """Tell whether torch.compile, torch.export or a torch.func transform runs this code."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def compute_dtype(logits: Tensor) -> torch.dtype:
    """Return the type that all arithmetic is done in: float64 for float64, else float32."""
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def make_terms(
    z: Tensor, y: Tensor, parameters: Parameters, *, hard: bool, differentiable: bool
) -> Terms:
    """Return the terms, at less cost where neither autograd nor a transform has to enter them."""
    minus_gamma, positive, negative = parameters
    direction = torch.rsub(y, 1, alpha=2) if hard else None
    v = z if direction is None else direction * z
    u = -v
    q, p = torch.sigmoid(v), torch.sigmoid(u)
    if differentiable:
        of_v, of_u = (functional.softplus(x, threshold=40.0) for x in (v, u))
    else:
        rest = _log1p_exp(p, q)
        of_v, of_u = torch.relu(v) + rest, torch.relu(u) + rest
    power = torch.exp(minus_gamma * of_u)
    if direction is not None:
        weight = torch.lerp(negative, positive, y)
        return Terms(_Term(weight * power, q, p, of_v, minus_gamma), None, direction)
    mirrored = torch.exp(minus_gamma * of_v)
    return Terms(
        _Term((1 - y) * negative * power, q, p, of_v, minus_gamma),
        _Term(y * positive * mirrored, p, q, of_u, minus_gamma),
        1,
    )


def _log1p_exp(p: Tensor, q: Tensor) -> Tensor:
    """Return log(1 + exp(-|v|)) = -log(max(p, q)).

    The digits that max(p, q) loses next to 1 are put back from min(p, q), which has them all.
    This is faster than log1p, on some processors by far.
    """
    large = torch.maximum(p, q).clamp_max(1 - torch.finfo(p.dtype).eps / 2)
    return torch.log(large) / (large - 1) * torch.minimum(p, q)


def composed_elements(
    logits: Tensor, weight: Tensor | None, targets: Tensor, parameters: Parameters
) -> Tensor:
    """Return each element's loss, in a form that autograd and transforms may enter."""
    missing, terms = _composed_terms(logits, targets, parameters)
    return finish(terms.value(), missing, weight)


def _composed_terms(
    logits: Tensor, targets: Tensor, parameters: Parameters
) -> tuple[Tensor, Terms]:
    dtype = compute_dtype(logits)
    missing = torch.isnan(targets)
    z, y = (x.to(dtype).masked_fill(missing, 0.0) for x in (logits, targets))
    return missing, make_terms(z, y, parameters, hard=False, differentiable=True)


def focal_loss(
    logits: Tensor,
    weight: Tensor | None,
    targets: Tensor,
    parameters: Parameters,
    kind: TargetKind,
    *,
    add: bool,
) -> Tensor:
    """Return the elements' losses times weights of shape (..., 1), or the sum of that.

    Autograd reaches the logits alone, any number of times.
    """
    result: Tensor = _Focal.apply(logits, weight, targets, parameters, kind, add)
    return result


class _Focal(torch.autograd.Function):
    """Value and slope share their arithmetic, so forward prepares what backward will ask for."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        weight: Tensor | None,
        targets: Tensor,
        parameters: Parameters,
        kind: TargetKind,
        add: bool,  # noqa: FBT001 (autograd functions take no keywords)
    ) -> Tensor:
        ctx.save_for_backward(logits, weight, targets)
        ctx.parameters, ctx.kind = parameters, kind
        # Rounded to half precision before they are scaled, slopes could underflow.
        prepare = ctx.needs_input_grad[0] and logits.dtype == compute_dtype(logits)
        wanted = _Wanted("sum" if add else "elements", slopes=prepare)
        value, ctx.slopes = _evaluate(logits, weight, targets, parameters, kind, wanted)
        result: Tensor = value
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits, weight, targets = ctx.saved_tensors
        slopes, ctx.slopes = ctx.slopes, None  # handed over: another backward computes its own
        if torch.is_grad_enabled() or is_transformed():  # a second derivative, or vmap
            missing, terms = _composed_terms(logits, targets, ctx.parameters)
            slopes = finish(terms.slope(), missing, weight) * grad
        elif slopes is not None:
            slopes.mul_(grad)
        else:
            factor = grad if weight is None else grad * weight
            wanted = _Wanted("nothing", slopes=True)
            slopes = _evaluate(logits, factor, targets, ctx.parameters, ctx.kind, wanted)[1]
        return slopes.to(logits.dtype), None, None, None, None, None


class _Wanted(NamedTuple):
    value: Literal["elements", "sum", "nothing"]
    slopes: bool


def _evaluate(
    logits: Tensor,
    factor: Tensor | None,
    targets: Tensor,
    parameters: Parameters,
    kind: TargetKind,
    wanted: _Wanted,
) -> tuple[Any, Any]:
    """Return the losses or their sum, and the slopes, times a factor, a block at a time."""
    dtype, step = compute_dtype(logits), block_rows(logits)

    def on_block(z: Tensor, y: Tensor, factor: Tensor | None) -> tuple[Any, Any]:
        y, few = y.to(dtype), z.numel() <= _FEW
        terms = make_terms(z.to(dtype), y, parameters, hard=kind.hard, differentiable=few)
        missing = torch.isnan(y) if kind.missing else None
        value = None if wanted.value == "nothing" else finish(terms.value(), missing, factor)
        slopes = finish(terms.slope(), missing, factor) if wanted.slopes else None
        return (value.sum() if value is not None and wanted.value == "sum" else value), slopes

    if logits.numel() <= step * logits.shape[-1]:
        return on_block(logits, targets, factor)

    values, slopes = (
        torch.empty(logits.shape, dtype=kept, device=logits.device) if is_wanted else None
        for kept, is_wanted in (
            (dtype, wanted.value == "elements"),
            (logits.dtype, wanted.slopes),
        )
    )
    total = torch.zeros((), dtype=dtype, device=logits.device)
    for *block, value_block, slope_block in zip(
        *(_split(x, step) for x in (logits, targets, factor, values, slopes)), strict=False
    ):
        value, slope = on_block(*block)
        if value_block is not None:
            value_block.copy_(value)
        elif value is not None:
            total += value
        if slope_block is not None:
            slope_block.copy_(slope)
    return (total if values is None else values), slopes


def _split(tensor: Tensor | None, step: int) -> Iterable[Tensor | None]:
    """Return blocks of rows; what has none goes to every block as it is."""
    return (
        repeat(tensor) if tensor is None or tensor.ndim == 0 else torch.split(as_rows(tensor), step)
    )


def finish(elements: Tensor, missing: Tensor | None, factor: Tensor | None) -> Tensor:
    """Return the elements times the factor, and 0 where they are missing."""
    if missing is not None:
        elements = elements.masked_fill(missing, 0.0)
    return elements if factor is None else elements * factor


def as_rows(tensor: Tensor) -> Tensor:
    """Return a view, or for odd strides a copy, of shape (n_rows, size of the last axis)."""
    return tensor.reshape(-1, tensor.shape[-1])


def block_rows(logits: Tensor) -> int:
    """Return how many rows of the last axis make up a block."""
    on_cpu = logits.device.type == "cpu"
    size = _BLOCK_PER_THREAD * torch.get_num_threads() if on_cpu else _BLOCK_ON_DEVICE
    return max(1, size // logits.shape[-1])
