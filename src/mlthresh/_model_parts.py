"""The parameters of a model by name, and which of them weight decay should leave alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

__all__ = ["escapes_decay", "is_norm", "named_uses"]

_NORM_TYPES = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.modules.batchnorm._NormBase,
)
# Classes that other libraries write themselves: LayerNorm2d, LlamaRMSNorm, LayerScale, ...
_NORM_TYPE_NAME = re.compile(r"(Norm|LayerScale)(\dd)?$", re.IGNORECASE)
# bias, in_proj_bias, bias_ih_l0, relative_position_bias_table; layer_scale, layer_scale_parameter;
# gamma is what some ConvNeXts call their layer scale; logit_scale is Swin V2's temperature
_NO_DECAY_NAME = re.compile(
    r"(^|_)(bias|layer_scale)(_|\d|$)|^gamma(_\d+)?$|^logit_scale$"
    r"|(^|_)(cls|class|dist|distillation|reg|register|mask)_tokens?$"
)
# a parameter or a module of that name; cpb_mlp makes Swin V2's position bias, the rest are MViT's
_POSITION_NAME = re.compile(
    r"(^|_)pos(ition|itional)?_(emb|embed|embedding|embeddings)$|^cpb_mlp$"
    r"|^rel_pos_[hwt]$|^(spatial|temporal|class)_pos$"
)

Use = tuple[nn.Module, str]


def named_uses(model: nn.Module) -> Iterator[tuple[nn.Parameter, list[Use]]]:
    """Yield each parameter once, with every module and full name that it has."""
    uses: dict[nn.Parameter, list[Use]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for name, parameter in module.named_parameters(
            prefix="", recurse=False, remove_duplicate=False
        ):
            uses.setdefault(parameter, []).append((module, prefix + name))
    yield from uses.items()


def is_norm(module: nn.Module) -> bool:
    """Tell whether a module normalises or only scales, by its type or its type's name."""
    return (
        isinstance(module, _NORM_TYPES) or _NORM_TYPE_NAME.search(type(module).__name__) is not None
    )


def escapes_decay(module: nn.Module, name: str) -> bool:
    """Tell whether the literature keeps the parameter of this module and full name undecayed."""
    parts = name.split(".")
    return (
        is_norm(module)
        or _NO_DECAY_NAME.search(parts[-1]) is not None
        or any(_POSITION_NAME.search(part) for part in parts)
    )
