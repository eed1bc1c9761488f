"""Parameter groups for fine-tuning, and a cosine schedule that keeps their ratio."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, TypeAlias

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from mlthresh._scalars import as_integer, as_number
from mlthresh.exceptions import InputError

__all__ = ["discriminative_param_groups", "ratio_cosine_schedule"]

Head: TypeAlias = str | nn.Module | Callable[[str], bool]

_NORM_TYPES = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.modules.batchnorm._NormBase,
)
# Classes that other libraries write themselves: LayerNorm2d, LlamaRMSNorm, LayerScale, ...
_NORM_TYPE_NAME = re.compile(r"(Norm|LayerScale)(\dd)?$", re.IGNORECASE)
# bias, in_proj_bias, bias_ih_l0, relative_position_bias_table; layer_scale, layer_scale_parameter;
# gamma is what some ConvNeXts call their layer scale
_NO_DECAY_NAME = re.compile(r"(^|_)(bias|layer_scale)(_|\d|$)|^gamma(_\d+)?$")


def discriminative_param_groups(
    model: nn.Module,
    *,
    lr: float,
    head: Head = "classifier",
    backbone_scale: float = 1 / 15,
    head_scale: float = 0.8,
    weight_decay: float = 1e-4,
    no_decay: Literal["none", "norm_and_bias"] = "none",
) -> list[dict[str, Any]]:
    """Split a model into optimiser groups: a slow pretrained backbone and a fast new head.

    The learning rates are ``lr * backbone_scale`` and ``lr * head_scale``. Every trainable
    parameter is in exactly one group, and no frozen one is in any.

    Parameters
    ----------
    model : torch.nn.Module
    lr : float > 0
        The rate that both scales multiply.
    head : str, torch.nn.Module or callable
        The head: the dotted path of a submodule, that submodule itself, or a predicate on the
        names that ``model.named_parameters()`` gives. The rest is the backbone.
    backbone_scale, head_scale : float > 0
    weight_decay : float >= 0
    no_decay : "none" or "norm_and_bias"
        The second takes normalisation layers, biases and layer scales out of the weight decay,
        into groups of their own. They are recognised by the type of the module (or a type name
        that ends in Norm or LayerScale) and by the parameter's own name (bias, layer_scale,
        gamma), never by the number of dimensions.

    Returns
    -------
    list of dict
        For a torch optimiser: ``params``, ``lr``, ``weight_decay`` and ``name``, one of
        "backbone", "backbone_no_decay", "head", "head_no_decay". Empty groups are left out.

    Raises
    ------
    InputError
        If the head is not found, has no trainable parameter, or shares one with the backbone; or
        if a number is outside its domain.

    Examples
    --------
    >>> model = nn.Sequential()
    >>> model.add_module("features", nn.Linear(8, 4))
    >>> model.add_module("classifier", nn.Linear(4, 2))
    >>> for group in discriminative_param_groups(model, lr=1.5e-3):
    ...     print(group["name"], len(group["params"]), f"{group['lr']:.1e}")
    backbone 2 1.0e-04
    head 2 1.2e-03
    """
    lr = as_number(lr, "lr", above=0)
    scale = {
        "backbone": as_number(backbone_scale, "backbone_scale", above=0),
        "head": as_number(head_scale, "head_scale", above=0),
    }
    weight_decay = as_number(weight_decay, "weight_decay", at_least=0)
    if no_decay not in ("none", "norm_and_bias"):
        raise InputError(f'no_decay must be "none" or "norm_and_bias", got {no_decay!r}')

    in_head = _head_predicate(model, head)
    groups: dict[str, dict[str, Any]] = {
        f"{part}{suffix}": {
            "params": [],
            "lr": lr * scale[part],
            "weight_decay": 0.0 if suffix else weight_decay,
            "name": f"{part}{suffix}",
        }
        for part in ("backbone", "head")
        for suffix in ("", "_no_decay")
    }
    for parameter, uses in _trainable_parameters(model):
        names = [name for _, name in uses]
        outside = [name for name in names if not in_head(name)]
        if outside and len(outside) < len(names):
            inside = next(name for name in names if name not in outside)
            raise InputError(
                f"{inside!r} in the head and {outside[0]!r} in the backbone are the same "
                "parameter, which can't have two learning rates"
            )
        part = "backbone" if outside else "head"
        exempt = no_decay == "norm_and_bias" and all(_is_norm_or_bias(*use) for use in uses)
        groups[f"{part}_no_decay" if exempt else part]["params"].append(parameter)
    filled = [group for group in groups.values() if group["params"]]
    if not any(group["name"].startswith("head") for group in filled):
        raise InputError(f"{_described(head)} has no trainable parameter; {_children(model)}")
    return filled


def ratio_cosine_schedule(optimizer: Optimizer, *, t_max: int, eta_min: float) -> LRScheduler:
    """Anneal by a cosine that all groups share, so that the ratio of their rates stays.

    After t steps a group's rate is its initial rate times

        f(t) = r + (1 - r) (1 + cos(pi min(t, t_max) / t_max)) / 2,    r = eta_min / lr_head

    From `t_max` on it stays at the minimum. For a single group this is torch's
    ``CosineAnnealingLR`` up to `t_max`; with several, that one takes every group down to the
    same `eta_min`, so that their ratio decays to 1, and raises the rates again after `t_max`.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    t_max : int >= 1
        Steps until the minimum; a step is whatever ``scheduler.step()`` is called for.
    eta_min : float >= 0
        The smallest rate of the head: of the group whose ``name`` is "head" or, without one, of
        the group with the largest rate.

    Returns
    -------
    torch.optim.lr_scheduler.LRScheduler
        Its state is resumed by ``load_state_dict``, as with any other; `t_max` and `eta_min` are
        those of this call.

    Raises
    ------
    InputError
        If `eta_min` is above the head's rate, or a number is outside its domain.

    Examples
    --------
    >>> import torch
    >>> weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    >>> optimizer = torch.optim.SGD(
    ...     [
    ...         {"params": weights[:1], "lr": 0.01, "name": "backbone"},
    ...         {"params": weights[1:], "lr": 0.12, "name": "head"},
    ...     ]
    ... )
    >>> scheduler = ratio_cosine_schedule(optimizer, t_max=2, eta_min=0.012)
    >>> for _ in range(4):
    ...     print([round(group["lr"], 4) for group in optimizer.param_groups])
    ...     optimizer.step()
    ...     scheduler.step()
    [0.01, 0.12]
    [0.0055, 0.066]
    [0.001, 0.012]
    [0.001, 0.012]
    """
    t_max = as_integer(t_max, "t_max", 1)
    eta_min = as_number(eta_min, "eta_min", at_least=0)
    groups = optimizer.param_groups
    head = [group for group in groups if group.get("name") == "head"] or groups
    head_lr = max(float(group.get("initial_lr", group["lr"])) for group in head)
    if eta_min > head_lr:
        raise InputError(f"eta_min={eta_min} is above the head's learning rate {head_lr}")
    floor = eta_min / head_lr if head_lr > 0 else 0.0
    return LambdaLR(optimizer, partial(_cosine_factor, t_max=t_max, floor=floor))


def _cosine_factor(step: int, *, t_max: int, floor: float) -> float:
    # sin^2, for 1 + cos cancels near the end, where the floor is small beside it
    remaining = max(t_max - step, 0) / t_max
    return floor + (1 - floor) * math.sin(math.pi / 2 * remaining) ** 2


def _trainable_parameters(
    model: nn.Module,
) -> Iterator[tuple[nn.Parameter, list[tuple[nn.Module, str]]]]:
    """Yield each trainable parameter once, with every module and full name that it has."""
    uses: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for name, parameter in module.named_parameters(
            prefix="", recurse=False, remove_duplicate=False
        ):
            if parameter.requires_grad:
                uses.setdefault(parameter, []).append((module, prefix + name))
    yield from uses.items()


def _is_norm_or_bias(module: nn.Module, name: str) -> bool:
    return (
        isinstance(module, _NORM_TYPES)
        or _NORM_TYPE_NAME.search(type(module).__name__) is not None
        or _NO_DECAY_NAME.search(name.rpartition(".")[2]) is not None
    )


def _head_predicate(model: nn.Module, head: Head) -> Callable[[str], bool]:
    if callable(head) and not isinstance(head, nn.Module):
        return head
    if isinstance(head, str):
        try:
            module = model.get_submodule(head)
        except AttributeError as error:
            raise InputError(f"the model has no submodule {head!r}; {_children(model)}") from error
    elif isinstance(head, nn.Module):
        module = head
    else:
        raise InputError(
            f"head must be a submodule's path, a submodule or a predicate, got {head!r}"
        )
    paths = [path for path, other in model.named_modules(remove_duplicate=False) if other is module]
    if not paths:
        raise InputError(f"{_described(head)} is not in the model; {_children(model)}")
    if "" in paths:
        raise InputError(f"{_described(head)} is the whole model; {_children(model)}")
    prefixes = tuple(f"{path}." for path in paths)
    return lambda name: name.startswith(prefixes)


def _described(head: Head) -> str:
    return (
        f"the head, a {type(head).__name__}," if isinstance(head, nn.Module) else f"head={head!r}"
    )


def _children(model: nn.Module) -> str:
    names = ", ".join(name for name, _ in model.named_children()) or "none"
    return f"children of the model: {names}"
