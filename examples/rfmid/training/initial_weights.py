"""The weights that a network starts from: read from a file, and loaded where they fit."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from examples.rfmid.errors import RecipeError


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a state dictionary, ``.safetensors`` or PyTorch's, without unpickling code."""
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


def load_backbone(model: nn.Module, head: str, state: Mapping[str, Tensor], source: str) -> None:
    """Copy a state dictionary into a model, but for a last layer of another size.

    The last layer is the last parameters of the submodule `head`. Where the file's is absent or
    has another size, the one that is there stays.
    """
    own = model.state_dict()
    last = last_layer(model, head)
    fits = all(name in state and state[name].shape == own[name].shape for name in last)
    skipped = set() if fits else last
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
        n_classes = len(own[min(skipped)])
        print(f"weights {source}: the last layer is new, for {n_classes} classes")
    model.load_state_dict({**own, **{k: v for k, v in state.items() if k not in skipped}})


def last_layer(model: nn.Module, head: str) -> set[str]:
    """Return the names of the parameters of the head's last module that has any."""
    owners = [
        name
        for name, module in model.get_submodule(head).named_modules(prefix=head)
        if any(True for _ in module.parameters(recurse=False))
    ]
    last = model.get_submodule(owners[-1]) if owners else nn.Module()
    return {f"{owners[-1]}.{name}" for name, _ in last.named_parameters(recurse=False)}
