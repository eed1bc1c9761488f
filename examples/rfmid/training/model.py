"""The network: one of torchvision's ConvNeXts, or whatever a factory returns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.convnext import CNBlock, CNBlockConfig, ConvNeXt

from examples.rfmid.errors import RecipeError
from examples.rfmid.training.initial_weights import load_backbone, read_weights


class Network(NamedTuple):
    """A network and the dotted name of its head, the submodule that ends in the logits."""

    model: nn.Module
    head: str


class _Architecture(NamedTuple):
    channels: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    stochastic_depth: float
    imagenet: models.WeightsEnum | None


# Stochastic depth as in torchvision; convnext_demo is too small to need it.
_ARCHITECTURES = MappingProxyType(
    {
        "convnext_tiny": _Architecture(
            (96, 192, 384, 768), (3, 3, 9, 3), 0.1, models.ConvNeXt_Tiny_Weights.IMAGENET1K_V1
        ),
        "convnext_small": _Architecture(
            (96, 192, 384, 768), (3, 3, 27, 3), 0.4, models.ConvNeXt_Small_Weights.IMAGENET1K_V1
        ),
        "convnext_base": _Architecture(
            (128, 256, 512, 1024), (3, 3, 27, 3), 0.5, models.ConvNeXt_Base_Weights.IMAGENET1K_V1
        ),
        "convnext_demo": _Architecture((32, 64, 128, 256), (1, 1, 3, 1), 0.0, None),
    }
)


def build_network(
    architecture: str, n_classes: int, weights: str = "none", *, seed: int = 0
) -> Network:
    """Return a network whose last layer has one logit a class.

    Parameters
    ----------
    architecture : str
        ``"convnext_tiny"``, ``"convnext_small"``, ``"convnext_base"`` (torchvision's),
        ``"convnext_demo"`` (32-64-128-256 channels, 1-1-3-1 blocks, batch normalisation between
        them), or a factory ``"package.module:function"``, called as
        ``function(n_classes, pretrained)``, which returns a module and the name of its head.
    n_classes : int
    weights : str
        ``"none"``: random; ``"imagenet"``: torchvision's IMAGENET1K_V1, downloaded, or what the
        factory calls pretrained; else a file with a state dictionary, ``.safetensors`` or
        PyTorch's. Where the file's last layer is absent or has another size, the random one stays.
    seed : int
        Of the random weights. The global random state is left as it was.
    """
    if ":" not in architecture and architecture not in _ARCHITECTURES:
        raise RecipeError(
            f"unknown architecture {architecture!r}; there are {', '.join(_ARCHITECTURES)}, and "
            "factories, package.module:function"
        )
    state = None if weights in ("none", "imagenet") else read_weights(Path(weights))
    if ":" not in architecture and weights == "imagenet":
        state = _imagenet(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if ":" in architecture:
            network = _made_by(architecture, n_classes, pretrained=weights == "imagenet")
        else:
            network = Network(_convnext(_ARCHITECTURES[architecture], n_classes), "classifier")
    if state is not None:
        load_backbone(network.model, network.head, state, weights)
    return network


def _convnext(shape: _Architecture, n_classes: int) -> ConvNeXt:
    settings = [
        CNBlockConfig(channels, following, blocks)
        for channels, following, blocks in zip(
            shape.channels, (*shape.channels[1:], None), shape.blocks, strict=True
        )
    ]
    model = ConvNeXt(
        settings,
        stochastic_depth_prob=shape.stochastic_depth,
        num_classes=n_classes,
        # One eye looks much like another. Layer normalisation keeps what they share, and a
        # random network takes long to see past it; batch normalisation removes it.
        norm_layer=nn.BatchNorm2d if shape.imagenet is None else None,
    )
    if shape.imagenet is None:
        # Let every block count from the first step: ConvNeXt's own layer scale, 1e-6, is for deep
        # networks and 300 epochs.
        for module in model.modules():
            if isinstance(module, CNBlock):
                nn.init.ones_(module.layer_scale)
    return model


def _imagenet(architecture: str) -> Mapping[str, Tensor]:
    imagenet = _ARCHITECTURES[architecture].imagenet
    if imagenet is None:
        raise RecipeError(f"{architecture} has no ImageNet weights; pass --weights none or a file")
    try:
        state: Mapping[str, Tensor] = imagenet.get_state_dict(check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        raise RecipeError(
            f"cannot download the ImageNet weights ({error}). Without a network, fetch "
            f"{imagenet.url} elsewhere and pass --weights FILE, or start from random weights "
            "with --weights none"
        ) from error
    return state


def _made_by(factory: str, n_classes: int, *, pretrained: bool) -> Network:
    """Call a factory, and check what it returns before anything is trained."""
    try:
        made = _function(factory)(n_classes, pretrained)
    except RecipeError:
        raise
    except Exception as error:
        raise RecipeError(
            f"the factory {factory} failed with n_classes={n_classes}, pretrained={pretrained}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[0], nn.Module):
        raise RecipeError(
            f"the factory {factory} must return a module and the name of its head, got {made!r:.80}"
        )
    model, head = made
    names = {name for name, _ in model.named_modules() if name}
    if head not in names:
        children = ", ".join(name for name, _ in model.named_children())
        raise RecipeError(
            f"the factory {factory} calls its head {head!r}, but its modules are {children}"
        )
    return Network(model, head)


def _function(factory: str) -> Callable[[int, bool], Any]:
    module, _, name = factory.partition(":")
    if str(Path.cwd()) not in sys.path:  # so that a factory may lie where one works
        sys.path.append(str(Path.cwd()))
    try:
        function: Callable[[int, bool], Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecipeError(f"cannot import the factory {factory}: {error}") from error
    return function
