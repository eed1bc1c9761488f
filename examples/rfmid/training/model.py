"""ConvNeXt classifiers, and the weights they start from."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.error import URLError

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models.convnext import CNBlock, CNBlockConfig, ConvNeXt

from examples.rfmid.errors import RecipeError

__all__ = ["build_model"]


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
_LAST_LAYER = "classifier.2."


def build_model(
    architecture: str, n_classes: int, weights: str = "none", *, seed: int = 0
) -> ConvNeXt:
    """Return a ConvNeXt whose last layer has one logit a class.

    Parameters
    ----------
    architecture : str
        ``"convnext_tiny"``, ``"convnext_small"``, ``"convnext_base"`` (torchvision's) or
        ``"convnext_demo"`` (32-64-128-256 channels, 1-1-3-1 blocks, batch normalisation between
        them).
    n_classes : int
    weights : str
        ``"none"``: random; ``"imagenet"``: torchvision's IMAGENET1K_V1, downloaded; else a file
        with a state dictionary, ``.safetensors`` or PyTorch's. Where the file's last layer is
        absent or has another size, the random one stays.
    seed : int
        Of the random weights. The global random state is left as it was.

    Raises
    ------
    RecipeError
        If the architecture is unknown, the weights can't be had, or don't fit.
    """
    if architecture not in _ARCHITECTURES:
        raise RecipeError(
            f"unknown architecture {architecture!r}; there are {', '.join(_ARCHITECTURES)}"
        )
    shape = _ARCHITECTURES[architecture]
    state = _read_weights(architecture, weights)
    settings = [
        CNBlockConfig(channels, following, blocks)
        for channels, following, blocks in zip(
            shape.channels, (*shape.channels[1:], None), shape.blocks, strict=True
        )
    ]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = ConvNeXt(
            settings,
            stochastic_depth_prob=shape.stochastic_depth,
            num_classes=n_classes,
            # One eye looks much like another. Layer normalisation keeps what they share, and a
            # random network takes long to see past it; batch normalisation removes it.
            norm_layer=nn.BatchNorm2d if shape.imagenet is None else None,
        )
        if shape.imagenet is None:
            _start_wide_awake(model)
    if state is not None:
        _load(model, state, weights)
    return model


def _start_wide_awake(model: ConvNeXt) -> None:
    """Let every block count from the first step.

    ConvNeXt's own layer scale, 1e-6, is for deep networks and 300 epochs.
    """
    for module in model.modules():
        if isinstance(module, CNBlock):
            nn.init.ones_(module.layer_scale)


def _read_weights(architecture: str, weights: str) -> Mapping[str, Tensor] | None:
    if weights == "none":
        return None
    if weights != "imagenet":
        return _read_file(Path(weights))
    imagenet = _ARCHITECTURES[architecture].imagenet
    if imagenet is None:
        raise RecipeError(f"{architecture} has no ImageNet weights; pass --weights none or a file")
    try:
        state: Mapping[str, Tensor] = imagenet.get_state_dict(check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise RecipeError(
            f"cannot download the ImageNet weights ({error}). Without a network, fetch "
            f"{imagenet.url} elsewhere and pass --weights FILE, or start from random weights "
            "with --weights none"
        ) from error
    return state


def _read_file(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise RecipeError(f"weights must be imagenet, none or a file; {path} doesn't exist")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        safetensors.SafetensorError,
    ) as error:
        # PyTorch goes on to advise loading without its safeguard, which runs what a file contains.
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise RecipeError(
            f"cannot read weights from {path}: {reason}; expected a .safetensors file, or a state "
            "dictionary saved by torch.save"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise RecipeError(f"{path} holds no state dictionary (parameter name: tensor)")
    return state


def _load(model: ConvNeXt, state: Mapping[str, Tensor], source: str) -> None:
    """Copy a state dictionary into the model, but for a last layer of another size."""
    own = model.state_dict()
    last_layer = {name for name in own if name.startswith(_LAST_LAYER)}
    fits = all(name in state and state[name].shape == own[name].shape for name in last_layer)
    skipped = set() if fits else last_layer
    missing = sorted(set(own) - set(state) - skipped)
    unexpected = sorted(set(state) - set(own))
    mismatched = sorted(
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in set(own) & set(state) - skipped
        if state[name].shape != own[name].shape
    )
    faults = [
        f"{what}: {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
        for what, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", mismatched),
        )
        if names
    ]
    if faults:
        raise RecipeError(f"the weights {source} don't fit the model: {'; '.join(faults)}")
    if skipped:
        n_classes = len(own[f"{_LAST_LAYER}bias"])
        print(f"weights {source}: the last layer is new, for {n_classes} classes")
    model.load_state_dict({**own, **{k: v for k, v in state.items() if k not in skipped}})
