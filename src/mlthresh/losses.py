r"""The focal loss with class weights, exact in value and gradient at the cost of plain BCE.

With z a logit, y in [0, 1] its target, w = pos_weight, a1 = alpha w and a0 = 1 - alpha (w and 1
without alpha), an element's loss is

    L = y a1 f(z) + (1 - y) a0 f(-z),    f(u) = sigmoid(-u)^gamma softplus(-u).

The focal factor is that of the plain probability; weights never enter it.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from mlthresh._focal import (
    Parameters,
    TargetKind,
    as_rows,
    composed_elements,
    compute_dtype,
    focal_elements,
    focal_sum,
    is_transformed,
    row_blocks,
)
from mlthresh.exceptions import InputError
from mlthresh.posterior import PerClass, check_parameters, focal_posterior, focal_posterior_logits

__all__ = ["FocalLossWithPosWeight", "focal_loss_with_pos_weight"]

Reduction: TypeAlias = Literal["none", "mean", "sum"]


def focal_loss_with_pos_weight(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: PerClass,
    alpha: PerClass | None,
    pos_weight: PerClass | None = None,
    sample_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Compute the focal loss of multi-label logits, with alpha and pos_weight.

    .. math::

        L = y\,a_1\,\sigma(-z)^\gamma\,\mathrm{softplus}(-z)
          + (1 - y)\,a_0\,\sigma(z)^\gamma\,\mathrm{softplus}(z)

    with :math:`a_1 = \alpha w, a_0 = 1 - \alpha` for pos_weight w, or w and 1 without alpha.
    ``gamma=0, alpha=None`` is binary cross-entropy with pos_weight.

    Parameters
    ----------
    logits : Tensor, shape (..., n_classes)
        Floating point. float16 and bfloat16 are computed in float32.
    targets : Tensor, shape of logits
        In [0, 1]; soft targets are allowed. NaN marks an unknown label: the entry counts in
        neither the sum nor the mean, whatever its logit.
    gamma : float or shape (n_classes,)
        Focusing exponent, >= 0.
    alpha : float or shape (n_classes,), or None
        Weight of positives in (0, 1); negatives get 1 - alpha. None leaves both at 1.
    pos_weight : float or shape (n_classes,), optional
        Further weight of positives, > 0.
    sample_weight : Tensor, shape (...,), optional
        Finite weight of each row, >= 0. It multiplies the row's losses but does not enter the
        denominator of "mean", so that importance weights leave the mean unbiased.
    reduction : {"mean", "sum", "none"}
        "mean" divides by the number of known targets, and is 0 if there are none. To average over
        several processes, take "sum" and divide by their common count. "none" has 0 at unknown
        targets.

    Returns
    -------
    Tensor
        A scalar, or the shape of `logits` for "none"; float64 for float64 logits, else float32.

    Raises
    ------
    InputError
        If shapes differ, a parameter is out of its domain, or a target is neither in [0, 1] nor
        NaN. Values are not checked under `torch.compile` and `torch.func` transforms.

    Notes
    -----
    It can be differentiated twice. Gradients with respect to targets, weights and parameters are
    supported, at the speed and memory of composed operations, and so are `torch.compile`,
    `torch.vmap` and the other transforms of `torch.func`.

    References
    ----------
    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár, "Focal Loss for Dense Object Detection",
    ICCV 2017.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    >>> targets = torch.tensor([[1.0, 0.0], [float("nan"), 0.0]])
    >>> focal_loss_with_pos_weight(logits, targets, gamma=2.0, alpha=0.25)
    tensor(0.6974)
    """
    if not is_transformed():
        check_parameters(gamma, alpha, pos_weight)
    _check_reduction(reduction)
    return _focal_loss(logits, targets, gamma, alpha, pos_weight, sample_weight, reduction)


class FocalLossWithPosWeight(nn.Module):
    """The focal loss of multi-label logits, with alpha and pos_weight, as a module.

    Parameters
    ----------
    gamma : float or shape (n_classes,)
        Focusing exponent, >= 0.
    alpha : float or shape (n_classes,), or None
        Weight of positives in (0, 1); negatives get 1 - alpha. None leaves both at 1.
    pos_weight : float or shape (n_classes,), optional
        Further weight of positives, > 0.
    reduction : {"mean", "sum", "none"}
        As for `focal_loss_with_pos_weight`, which has the definition.

    Raises
    ------
    InputError
        If a parameter is out of its domain or requires a gradient, or two of them disagree on the
        number of classes.

    Notes
    -----
    Parameters given as tensors, arrays or lists are buffers: they follow the module's device and
    are in its `state_dict`.

    Examples
    --------
    >>> import torch
    >>> loss = FocalLossWithPosWeight(gamma=2.5, alpha=0.15, pos_weight=torch.tensor([4.0, 10.0]))
    >>> logits = torch.tensor([[2.0, -1.0], [0.5, -3.0]], requires_grad=True)
    >>> loss(logits, torch.tensor([[1.0, 0.0], [0.0, 1.0]])).backward()
    >>> logits.grad
    tensor([[-2.9339e-04,  6.7072e-03],
            [ 1.0016e-01, -4.3640e-01]])
    >>> loss.posterior(logits.detach())
    tensor([[9.9875e-01, 2.3676e-02],
            [8.7238e-01, 3.8908e-05]])
    """

    gamma: PerClass
    alpha: PerClass | None
    pos_weight: PerClass | None

    def __init__(
        self,
        gamma: PerClass = 2.5,
        alpha: PerClass | None = 0.15,
        pos_weight: PerClass | None = None,
        *,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_parameters(gamma, alpha, pos_weight)
        _check_reduction(reduction)
        self.reduction: Reduction = reduction
        for name, value in (("gamma", gamma), ("alpha", alpha), ("pos_weight", pos_weight)):
            if value is None or isinstance(value, (int, float)):
                setattr(self, name, value)
            else:
                tensor = torch.as_tensor(value)
                if tensor.requires_grad:
                    raise InputError(
                        f"{name} requires a gradient, but a module keeps copies; "
                        "call focal_loss_with_pos_weight instead"
                    )
                self.register_buffer(name, tensor.clone())

    def forward(
        self, logits: Tensor, targets: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Compute the loss; shapes and errors as for `focal_loss_with_pos_weight`."""
        return _focal_loss(
            logits,
            targets,
            self.gamma,
            self.alpha,
            self.pos_weight,
            sample_weight,
            self.reduction,
        )

    def posterior(self, logits: Tensor) -> Tensor:
        """Return the probability of a positive label; see `mlthresh.posterior.focal_posterior`."""
        return focal_posterior(
            logits, gamma=self.gamma, alpha=self.alpha, pos_weight=self.pos_weight
        )

    def posterior_logits(self, logits: Tensor) -> Tensor:
        """Return its log-odds; see `mlthresh.posterior.focal_posterior_logits`."""
        return focal_posterior_logits(
            logits, gamma=self.gamma, alpha=self.alpha, pos_weight=self.pos_weight
        )

    def extra_repr(self) -> str:  # noqa: D102 (a hook of nn.Module)
        values = (f"{name}={getattr(self, name)}" for name in ("gamma", "alpha", "pos_weight"))
        return f"{', '.join(values)}, reduction={self.reduction!r}"


def _focal_loss(
    logits: Tensor,
    targets: Tensor,
    gamma: PerClass,
    alpha: PerClass | None,
    pos_weight: PerClass | None,
    sample_weight: Tensor | None,
    reduction: Reduction,
) -> Tensor:
    _check_tensors(logits, targets, sample_weight)
    parameters = _prepare_parameters(gamma, alpha, pos_weight, logits)
    dtype = compute_dtype(logits)
    weight = None if sample_weight is None else sample_weight.to(dtype).unsqueeze(-1)

    n_known: int | Tensor
    transformed = is_transformed()  # then values cannot be looked at
    if transformed:
        n_known = (~targets.isnan()).sum()
    else:
        _check_sample_weight(sample_weight)
        kind, n_known = _inspect_targets(targets, dtype)

    others = (targets, weight, *parameters)
    if transformed or any(isinstance(x, Tensor) and x.requires_grad for x in others):
        element = composed_elements(0, logits, targets, parameters)
        element = element if weight is None else element * weight
        if reduction == "none":
            return element
        total = element.sum()
    elif reduction == "none":
        return focal_elements(0, logits, weight, targets, parameters, kind)
    else:
        total = focal_sum(logits, weight, targets, parameters, kind)

    if reduction == "sum":
        return total
    return total / (n_known.clamp_min(1) if isinstance(n_known, Tensor) else max(1, n_known))


def _prepare_parameters(
    gamma: PerClass, alpha: PerClass | None, pos_weight: PerClass | None, logits: Tensor
) -> Parameters:
    ones = torch.ones(logits.shape[-1:], dtype=compute_dtype(logits), device=logits.device)
    positive, negative = ones, ones
    if pos_weight is not None:
        positive = positive * _as_parameter(pos_weight, "pos_weight", logits)
    if alpha is not None:
        share = _as_parameter(alpha, "alpha", logits)
        positive, negative = positive * share, negative * (1 - share)
    return Parameters(_as_parameter(gamma, "gamma", logits), positive, negative)


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


def _check_reduction(reduction: str) -> None:
    if reduction not in get_args(Reduction):
        raise InputError(f"reduction must be one of {get_args(Reduction)}, got {reduction!r}")


def _check_tensors(logits: Tensor, targets: Tensor, sample_weight: Tensor | None) -> None:
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


def _check_sample_weight(sample_weight: Tensor | None) -> None:
    if sample_weight is None:
        return
    bad = ~(sample_weight.isfinite() & (sample_weight >= 0))
    if bad.any():
        value = sample_weight[bad][0].item()
        raise InputError(f"sample_weight must be finite and >= 0, got {value} in row {_first(bad)}")


def _inspect_targets(targets: Tensor, dtype: torch.dtype) -> tuple[TargetKind, int]:
    """Return what the targets are like and how many are known; raise unless all are in [0, 1]."""
    hard, n_missing = True, 0
    rows = as_rows(targets)
    for block in row_blocks(rows):
        y = rows[block].to(dtype)
        excess = y * (y - 1)  # 0 at 0 and 1, negative between them, positive outside, NaN at NaN
        low, high = (bound.item() for bound in torch.aminmax(excess))
        if math.isnan(high):
            n_missing += int(torch.isnan(y).sum())
            known = torch.nan_to_num(excess, nan=0.0)
            low, high = (bound.item() for bound in torch.aminmax(known))
        if high > 0:
            bad = (targets < 0) | (targets > 1)
            value = targets[bad][0].item()
            raise InputError(
                f"targets must be in [0, 1], or NaN where unknown; got {value} at {_first(bad)}"
            )
        hard = hard and low == 0
    return TargetKind(hard, n_missing > 0), targets.numel() - n_missing


def _first(mask: Tensor) -> list[int]:
    """Return the index of the first true entry."""
    index: list[int] = mask.nonzero()[0].tolist()
    return index
