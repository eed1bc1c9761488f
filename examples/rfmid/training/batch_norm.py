"""Batch normalisation over the images of all ranks, on any device.

PyTorch's SyncBatchNorm refuses a CPU, where two processes can be tested.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


def synchronise_batch_norm(model: nn.Module) -> None:
    """Let every BatchNorm2d of the model see the images of all ranks; its state stays the same."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SynchronisedBatchNorm


class _SynchronisedBatchNorm(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # PyTorch's name
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None  # noqa: S101, PT018
        assert self.num_batches_tracked is not None and self.momentum is not None  # noqa: S101, PT018
        values = input.float()
        here = torch.cat([values.new_tensor([values[:, 0].numel()]), values.sum(dim=(0, 2, 3))])
        count, total = _Sum.apply(here).split([1, len(here) - 1])
        mean = total / count
        centred = values - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normalised: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalised.to(input.dtype)


class _Sum(torch.autograd.Function):
    """The sum over the ranks; a rank's gradient is the sum of what all of them want of it."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        values = values.clone()
        distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone()
        distributed.all_reduce(gradient)
        return gradient
