"""The focal loss as torch.compile is given it: value and slope in one loop over the elements.

Compiled code can't look at the targets, so each element has both of its terms; in one loop, which
reads and writes each element once, they cost less than the eager blocks do with one. The slope is
given in closed form, since autograd's takes more operations, and they more memory.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from mlthresh._focal import (
    Parameters,
    Terms,
    composed_elements,
    compute_dtype,
    finish,
    make_terms,
)

__all__ = ["traced_elements"]


def traced_elements(
    logits: Tensor, weight: Tensor | None, targets: Tensor, parameters: Parameters
) -> Tensor:
    """Return each element's loss times its row's weight, in the form that suits what traces it."""
    # Autograd may enter an exported program. (To PyTorch 2.9, every compilation is an export.)
    compiled = torch.compiler.is_dynamo_compiling() and not torch.compiler.is_exporting()
    if (
        not compiled
        or torch._C._are_functorch_transforms_active()
        or any(x is not None and x.requires_grad for x in (targets, weight, *parameters))
    ):
        return composed_elements(logits, weight, targets, parameters)
    elements: Tensor = _Fused.apply(logits, weight, targets, *parameters)
    return elements


class _Fused(torch.autograd.Function):
    """Backward's arithmetic is forward's, which compilers notice: it is done once."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        weight: Tensor | None,
        targets: Tensor,
        minus_gamma: Tensor,
        positive: Tensor,
        negative: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(logits, weight, targets, minus_gamma, positive, negative)
        missing, terms = _prepare(*ctx.saved_tensors)
        return finish(terms.value(), missing, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits, weight, *_ = ctx.saved_tensors
        missing, terms = _prepare(*ctx.saved_tensors)
        slopes = finish(terms.slope(), missing, weight) * grad
        return slopes.to(logits.dtype), None, None, None, None, None


def _prepare(
    logits: Tensor, weight: Tensor | None, targets: Tensor, *parameters: Tensor
) -> tuple[Tensor, Terms]:
    dtype = compute_dtype(logits)
    y = targets.to(dtype)
    missing = y.ne(y)  # isnan is not vectorised by every compiler
    # What stands in for a missing element's logit counts nowhere. It is made of all that varies by
    # class or row, so that no part of the arithmetic sees the elements as one flat axis: the C++
    # compiler of PyTorch 2.14 would put such parts into loops and buffers of their own.
    stand_in = reduce(torch.add, parameters if weight is None else (*parameters, weight))
    z = torch.where(missing, stand_in, logits.to(dtype))
    return missing, make_terms(z, y, Parameters(*parameters), hard=False, differentiable=False)
