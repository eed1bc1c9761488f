"""At which depth each parameter of a backbone lies: its layers, counted from the input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from torch import nn

from mlthresh._model_parts import is_norm

__all__ = ["layer_depths"]

_LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def _is_list(module: nn.Module | None) -> bool:
    # ConvNeXtStage, SwinTransformerStage, RegStage, ...: a list of blocks and what leads to them
    return isinstance(module, _LISTS) or type(module).__name__.endswith("Stage")


def layer_depths(model: nn.Module, names: Iterable[str]) -> dict[str, int]:
    """Return the depth of each named parameter: 0, 1, ... in the order of registration.

    The layers are the blocks of the backbone: the items of lists (nn.Sequential, nn.ModuleList)
    whose items are all of one class of composite modules, but not lists or stages themselves. What
    comes before the first block is a layer of its own, the stem; what lies between blocks belongs
    to the next one; what follows the last block belongs to it. A model without such lists has a
    layer for each item of its nn.Sequentials, or else for each of its children, with a norm in the
    layer that it follows.
    """
    root = _tree(model, names)
    segments = list(_blocks(root)) if root.holds_stack else list(_items_in_order(root))
    layers: list[list[str]] = []
    waiting: list[str] = []
    for kind, segment in segments:
        if kind == "before the next":
            waiting += segment
        elif kind == "after the last" and layers:
            layers[-1] += segment
        else:
            if waiting and not layers:
                layers.append(waiting)
                waiting = []
            layers.append(waiting + segment)
            waiting = []
    if not layers:
        layers.append([])
    layers[-1] += waiting
    return {name: depth for depth, layer in enumerate(layers) for name in layer}


_Segment: TypeAlias = tuple[Literal["layer", "before the next", "after the last"], list[str]]


@dataclass
class _Node:
    """A module that holds named parameters, or (without a module) one such parameter."""

    module: nn.Module | None
    names: list[str] = field(default_factory=list)
    children: dict[str, _Node] = field(default_factory=dict)
    holds_stack: bool = False

    @property
    def composite(self) -> bool:
        return any(child.module is not None for child in self.children.values())

    @property
    def stack(self) -> bool:
        """Whether this is a list of blocks."""
        items = list(self.children.values())
        return (
            isinstance(self.module, _LISTS)
            and len({type(item.module) for item in items}) == 1
            and all(item.composite and not _is_list(item.module) for item in items)
            # a list of one may just be a wrapper around the whole backbone
            and (len(items) > 1 or not items[0].holds_stack)
        )


def _tree(model: nn.Module, names: Iterable[str]) -> _Node:
    root = _Node(model)
    for name in names:
        node = root
        node.names.append(name)
        for part in name.split("."):
            # a parameter has no module of its name
            child = None if node.module is None else dict(node.module._modules).get(part)
            node = node.children.setdefault(part, _Node(child))
            node.names.append(name)
    _mark_stacks(root)
    return root


def _mark_stacks(node: _Node) -> None:
    for child in node.children.values():
        _mark_stacks(child)
    kinds = Counter(type(child.module) for child in node.children.values())
    # several of one class that are not lists are blocks themselves, with lists of their own inside
    node.holds_stack = node.stack or any(
        child.holds_stack and (_is_list(child.module) or kinds[type(child.module)] == 1)
        for child in node.children.values()
    )


def _blocks(node: _Node) -> Iterator[_Segment]:
    for child in node.children.values():
        if node.stack:
            yield "layer", child.names
        elif child.holds_stack:
            yield from _blocks(child)
        else:
            yield "before the next", child.names


def _items_in_order(root: _Node) -> Iterator[_Segment]:
    items = list(_flattened(root))
    while len(items) == 1 and items[0].composite:
        items = list(_flattened(items[0]))
    for item in items:
        if item.module is None:
            yield "before the next", item.names
        else:
            yield "after the last" if is_norm(item.module) else "layer", item.names


def _flattened(node: _Node) -> Iterator[_Node]:
    for child in node.children.values():
        if type(child.module) in _LISTS:
            yield from _flattened(child)
        else:
            yield child
