"""Parameter groups for fine-tuning: a slow backbone, layer by layer if wanted, and a fast head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

from torch import nn

from mlthresh._layer_depth import layer_depths
from mlthresh._model_parts import escapes_decay, named_uses
from mlthresh._scalars import as_integer, as_number
from mlthresh.exceptions import InputError

__all__ = ["discriminative_param_groups"]

Head: TypeAlias = str | nn.Module | Callable[[str], bool]


def discriminative_param_groups(
    model: nn.Module,
    *,
    lr: float,
    head: Head = "classifier",
    backbone_scale: float = 1 / 15,
    head_scale: float = 0.8,
    weight_decay: float = 1e-4,
    no_decay: Literal["none", "norm_and_bias"] = "none",
    layer_decay: float | None = None,
    layer_of: Callable[[str], int] | None = None,
) -> list[dict[str, Any]]:
    """Split a model into optimiser groups: a slow pretrained backbone and a fast new head.

    The head's learning rate is ``lr * head_scale``. The backbone's is ``lr * backbone_scale`` or,
    with `layer_decay`, in layer d of 0, 1, ..., D from the input on [1]_ [2]_,

        lr * backbone_scale * layer_decay ** (D - d)

    Every trainable parameter is in exactly one group, and no frozen one is in any;
    :func:`describe_param_groups` shows where each went.

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
        The second takes out of the weight decay, into groups of their own, what the training
        recipes of ViT, Swin and ConvNeXt do: normalisation layers, biases, layer scales, class
        and other tokens, position embeddings and position biases. They are recognised by the
        type of the module (or a type name that ends in Norm or LayerScale) and by name (bias,
        layer_scale, gamma, logit_scale, class_token, pos_embedding, ...), never by the number
        of dimensions.
    layer_decay : float in (0, 1], optional
        How much slower each layer of the backbone is than the next. The layers are its blocks:
        the items of lists (nn.Sequential, nn.ModuleList) whose items are all of one class of
        composite modules, but for lists and stages (a type name that ends in Stage) themselves;
        frozen ones too. What comes before the first block is a layer, the
        stem; what lies between blocks (downsampling) belongs to the next one; what follows the
        last belongs to it. A model without such lists has a layer for each item of its
        nn.Sequentials, or else for each child, a norm counted to the item before it. For
        torchvision's and timm's ResNet, ViT, Swin, ConvNeXt and EfficientNet these are the layers
        of timm's ``param_groups_layer_decay``, and with
        ``backbone_scale=layer_decay, head_scale=1`` its learning rates.
    layer_of : callable, optional
        Gives the layer of each parameter of the backbone by its name, instead: 0 at the input.
        Only with `layer_decay`.

    Returns
    -------
    list of dict
        For a torch optimiser: ``params``, ``lr``, ``weight_decay`` and ``name``, one of
        "backbone" (with `layer_decay` "backbone_0", "backbone_1", ...) and "head", each also
        with "_no_decay". Empty groups are left out.

    Raises
    ------
    InputError
        If the head is not found, has no trainable parameter, or shares one with the backbone; if
        layers share one; if the backbone has a single layer to decay over; or if a number is
        outside its domain.

    References
    ----------
    .. [1] Clark, Luong, Le, Manning (2020), "ELECTRA: pre-training text encoders as discriminators
       rather than generators", ICLR.
    .. [2] Bao, Dong, Piao, Wei (2022), "BEiT: BERT pre-training of image transformers", ICLR.

    Examples
    --------
    >>> model = nn.Sequential()
    >>> model.add_module("features", nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4)))
    >>> model.add_module("classifier", nn.Linear(4, 2))
    >>> for group in discriminative_param_groups(model, lr=1.5e-3):
    ...     print(group["name"], len(group["params"]), f"{group['lr']:.1e}")
    backbone 4 1.0e-04
    head 2 1.2e-03
    >>> for group in discriminative_param_groups(model, lr=1.5e-3, layer_decay=0.7):
    ...     print(group["name"], len(group["params"]), f"{group['lr']:.1e}")
    backbone_0 2 7.0e-05
    backbone_1 2 1.0e-04
    head 2 1.2e-03
    """
    lr = as_number(lr, "lr", above=0)
    backbone_scale = as_number(backbone_scale, "backbone_scale", above=0)
    head_scale = as_number(head_scale, "head_scale", above=0)
    weight_decay = as_number(weight_decay, "weight_decay", at_least=0)
    if no_decay not in ("none", "norm_and_bias"):
        raise InputError(f'no_decay must be "none" or "norm_and_bias", got {no_decay!r}')

    in_head = _head_predicate(model, head)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    backbone = [name for name in names if not in_head(name)]
    depth = _depths(model, backbone, layer_decay, layer_of)
    last = max(depth.values(), default=0)
    place = dict.fromkeys(names, _Place(last + 1, "head", head_scale))
    for name in backbone:
        layer = "backbone" if layer_decay is None else f"backbone_{depth[name]}"
        scale = backbone_scale * (layer_decay or 1.0) ** (last - depth[name])
        place[name] = _Place(depth[name], layer, scale)

    groups: dict[tuple[_Place, bool], list[nn.Parameter]] = {}
    for parameter, uses in named_uses(model):
        if parameter.requires_grad:
            where = _only_place({name: place[name] for _, name in uses})
            exempt = no_decay == "norm_and_bias" and all(escapes_decay(*use) for use in uses)
            groups.setdefault((where, exempt), []).append(parameter)
    if not any(where.name == "head" for where, _ in groups):
        raise InputError(f"{_described(head)} has no trainable parameter; {_children(model)}")
    return [
        {
            "params": groups[where, exempt],
            "lr": lr * where.scale,
            "weight_decay": 0.0 if exempt else weight_decay,
            "name": f"{where.name}_no_decay" if exempt else where.name,
        }
        for where, exempt in sorted(groups)
    ]


class _Place(NamedTuple):
    order: int
    name: str
    scale: float


def _depths(
    model: nn.Module,
    backbone: Iterable[str],
    layer_decay: float | None,
    layer_of: Callable[[str], int] | None,
) -> dict[str, int]:
    """Return the layer of each backbone parameter; all 0 without `layer_decay`."""
    if layer_decay is None:
        if layer_of is not None:
            raise InputError("layer_of applies with layer_decay only")
        return dict.fromkeys(backbone, 0)
    if as_number(layer_decay, "layer_decay", above=0) > 1:
        raise InputError(f"layer_decay must be at most 1, got {layer_decay!r}")
    if layer_of is not None:
        return {name: as_integer(layer_of(name), f"layer_of({name!r})", 0) for name in backbone}
    depth = layer_depths(model, backbone)
    if len(set(depth.values())) < 2:
        raise InputError(
            "the backbone has a single layer, over which layer_decay can't decay; "
            f"give layer_of; {_children(model)}"
        )
    return depth


def _only_place(place: dict[str, _Place]) -> _Place:
    """Return the one place of a parameter's names."""
    (first, one), *others = sorted(place.items(), key=lambda item: -item[1].order)
    for second, other in others:
        if other != one:
            raise InputError(
                f"{first!r} in the {one.name} and {second!r} in the {other.name} are the same "
                "parameter, which can't have two learning rates"
            )
    return one


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
