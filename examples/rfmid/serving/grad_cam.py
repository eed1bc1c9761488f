"""Grad-CAM (Selvaraju et al., 2017): where an image's features raise a class's logit.

A map is the last feature map, its channels weighted by the mean gradient of the logit, summed, and
cut at 0. The ``grad-cam`` package does the same, but brings OpenCV and a second plotting stack;
hooks on the modules are all that is needed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from examples.rfmid.errors import RecipeError


def grad_cam(
    network: nn.Module, head: str, inputs: Tensor, columns: Sequence[int]
) -> tuple[npt.NDArray[np.float32], str]:
    """Return a map for each of some classes, and the name of the layer they come from.

    The layer is the last module outside the head whose output has the shape (1, channels, height,
    width) with more than one position, and that the logits depend on.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; returns logits of shape (1, n_classes).
    head : str
        Dotted name of the submodule that ends in the logits.
    inputs : Tensor of shape (1, 3, H, W)
    columns : sequence of int

    Returns
    -------
    maps : float32 ndarray of shape (n_columns, height, width)
        0 or more, in units of the logit; all 0 where no position raises the logit.
    layer : str
    """
    found: list[tuple[str, Tensor]] = []

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
                found.append((name, output))

        return hook

    hooks = [
        module.register_forward_hook(keep(name))
        for name, module in network.named_modules()
        if name and name != head and not name.startswith(f"{head}.")
    ]
    try:
        with torch.enable_grad():  # of the inputs, should every weight be frozen
            logits = network(inputs.detach().clone().requires_grad_())
            name, features = _last_used(logits, found)
            if features is None:
                raise RecipeError(
                    "Grad-CAM needs a layer with feature maps (images, channels, height, width) "
                    f"before the head {head!r}; the network has none"
                )
            maps = []
            for column in columns:
                (slope,) = torch.autograd.grad(logits[0, column], features, retain_graph=True)
                weights = slope.mean(dim=(2, 3), keepdim=True)
                maps.append(torch.relu((weights * features).sum(dim=1))[0])
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(maps).detach().float().numpy(), name


def _last_used(logits: Tensor, found: Sequence[tuple[str, Tensor]]) -> tuple[str, Tensor | None]:
    """Return the last map that the logits depend on; None without any."""
    for name, features in reversed(found):
        (slope,) = torch.autograd.grad(logits.sum(), features, retain_graph=True, allow_unused=True)
        if slope is not None:
            return name, features
    return "", None
