"""A linear head on what a network's blocks have found, for a backbone that stays as it is.

The last layer's features were made for the task that the network was trained on; earlier blocks
hold textures and small things, which photographs of another kind are told apart by. Of each chosen
block's map the head is given every channel's mean and standard deviation over the positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import Config
from examples.rfmid.training.model import Network, build_network


class StandardisedLinear(nn.Module):
    """A linear layer on features of mean 0 and standard deviation 1.

    Until `standardise` is called, features are taken as they are.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.linear = nn.Linear(width, n_classes)

    def standardise(self, features: Tensor) -> None:
        """Take mean and standard deviation from features of shape (..., width).

        A feature that doesn't vary is only centred.
        """
        rows = features.flatten(end_dim=-2).double()
        mean, scale = rows.mean(0), rows.std(0, correction=0)
        varies = scale > 1e-6 * mean.abs()  # else it is rounding
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(varies & (scale > 0), scale, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits of shape (n, n_classes)."""
        logits: Tensor = self.linear((features - self.mean) / self.scale)
        return logits


class PooledNetwork(nn.Module):
    """A network whose head is given the pooled feature maps of some of its modules.

    Parameters
    ----------
    backbone : nn.Module
        From images to anything.
    names : sequence of str
        Of the modules, whose outputs have the shape (n, channels, height, width).
    head : nn.Module
        From features to logits.
    """

    def __init__(self, backbone: nn.Module, names: Sequence[str], head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self._names = tuple(names)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of shape (n, n_classes)."""
        logits: Tensor = self.head(pooled_features(self.backbone, self._names, images))
        return logits


def pooled_features(backbone: nn.Module, names: Sequence[str], images: Tensor) -> Tensor:
    """Return each map's means and standard deviations over positions, in order of their making."""
    pooled: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            pooled[name] = _pooled(name, output)  # at once, as what follows may change it in place

        return hook

    hooks = [backbone.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        backbone(images)
    finally:
        for hook in hooks:
            hook.remove()
    unused = [name for name in names if name not in pooled]
    if unused:
        raise RecipeError(f"the network does not use {', '.join(unused)}: nothing to pool")
    return torch.cat(list(pooled.values()), dim=1)


def _pooled(name: str, output: Any) -> Tensor:
    if not (isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1):
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise RecipeError(
            f"--features needs modules that return maps (images, channels, height, width) of more "
            f"than one position; {name} returns {shape}"
        )
    maps = output.float()
    mean = maps.mean(dim=(2, 3), keepdim=True)
    spread = (maps - mean).square().mean(dim=(2, 3)).sqrt()
    return torch.cat([mean.flatten(1), spread], dim=1)


def pooled_network(
    network: Network, patterns: Sequence[str], n_classes: int, *, image_size: int, seed: int
) -> Network:
    """Return the network with a standardised linear head on the maps of some of its modules.

    Parameters
    ----------
    network : Network
        Its own head is taken out.
    patterns : sequence of str
        Names of modules; in each part between dots, ``*`` and ``?`` stand for any characters.
    n_classes, image_size : int
    seed : int
        Of the head's weights; the global random state is left as it was.

    Raises
    ------
    RecipeError
        If a pattern names no module, or one that returns no maps.
    """
    backbone = network.model
    names = _matching(backbone, network.head, patterns)
    backbone.set_submodule(network.head, nn.Identity())
    training = backbone.training
    with torch.no_grad():
        images = torch.zeros(1, 3, image_size, image_size)
        width = pooled_features(backbone.eval(), names, images).shape[1]
    backbone.train(training)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        head = StandardisedLinear(width, n_classes)
    return Network(PooledNetwork(backbone, names, head), "head")


def _matching(model: nn.Module, head: str, patterns: Sequence[str]) -> list[str]:
    modules = [
        name
        for name, _ in model.named_modules()
        if name and name != head and not name.startswith(f"{head}.")
    ]
    found: dict[str, None] = {}
    for pattern in patterns:
        matched = [name for name in modules if _matches(name, pattern)]
        if not matched:
            listed = ", ".join(name for name in modules if name.count(".") <= 1)
            raise RecipeError(
                f"the network has no module {pattern!r} for --features; there are {listed}"
            )
        found |= dict.fromkeys(matched)
    return list(found)


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def configured_network(
    config: Config, n_classes: int, *, weights: str = "none", seed: int = 0
) -> Network:
    """Return the network that a configuration describes; see `build_network`."""
    model = config.model
    network = build_network(model.architecture, n_classes, weights, seed=seed)
    if not model.features:
        return network
    return pooled_network(
        network, model.features, n_classes, image_size=config.image.image_size, seed=seed
    )
