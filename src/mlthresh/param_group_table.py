"""What is in which parameter group, as a table and as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from mlthresh._model_parts import named_uses
from mlthresh._tables import Section, TabledReport
from mlthresh.exceptions import InputError

__all__ = ["ParamGroupRow", "ParamGroupTable", "describe_param_groups"]

_SHOWN_NAMES = 2


@dataclass(frozen=True)
class ParamGroupRow:
    """One group: its settings (None: not set in the group) and the parameters in it."""

    name: str
    lr: float | None
    weight_decay: float | None
    n_tensors: int
    n_parameters: int
    param_names: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class ParamGroupTable(TabledReport):
    """Where each parameter of a model is; printable. See :func:`describe_param_groups`.

    Attributes
    ----------
    groups : tuple of ParamGroupRow
        The groups, in their order.
    frozen, left_out : ParamGroupRow
        The parameters of the model that are in no group: those that need no gradient, and
        trainable ones, which would never be updated.

    Examples
    --------
    >>> model = nn.Linear(8, 2)
    >>> table = describe_param_groups(model, [{"params": [model.weight], "lr": 0.1}])
    >>> table.groups[0].n_parameters, table.left_out.param_names
    (16, ('bias',))
    """

    groups: tuple[ParamGroupRow, ...]
    frozen: ParamGroupRow
    left_out: ParamGroupRow

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values."""
        return {
            "groups": [_as_json(row) for row in self.groups],
            "frozen": _as_json(self.frozen),
            "left_out": _as_json(self.left_out),
        }

    def _sections(self) -> list[Section]:
        rows = [*self.groups, *(row for row in (self.frozen, self.left_out) if row.n_tensors)]
        cells = [
            [
                row.name,
                _some(row.param_names),
                _number(row.lr),
                _number(row.weight_decay),
                f"{row.n_tensors:,}",
                f"{row.n_parameters:,}",
            ]
            for row in rows
        ]
        title = f"{len(self.groups)} groups, {sum(row.n_parameters for row in rows):,} parameters"
        header = ("group", "names", "lr", "weight decay", "tensors", "parameters")
        return [Section(title, header, cells, n_left=2)]


def describe_param_groups(
    model: nn.Module, groups: Optimizer | Iterable[Mapping[str, Any]]
) -> ParamGroupTable:
    """List which parameters of a model are in which group, and which in none.

    Parameters
    ----------
    model : torch.nn.Module
        Gives the parameters their names.
    groups : torch.optim.Optimizer or list of dict
        An optimiser (its rates at this moment) or its groups, those of
        :func:`discriminative_param_groups` or any others.

    Returns
    -------
    ParamGroupTable
        Printable. ``left_out`` holds trainable parameters that are in no group. Parameters that
        are not the model's are listed as "?".

    Raises
    ------
    InputError
        If `groups` is neither.

    Examples
    --------
    >>> from mlthresh import discriminative_param_groups
    >>> model = nn.Sequential()
    >>> model.add_module("features", nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4)))
    >>> model.add_module("classifier", nn.Linear(4, 2))
    >>> model.features[0].requires_grad_(False)
    Linear(in_features=8, out_features=4, bias=True)
    >>> print(describe_param_groups(model, discriminative_param_groups(model, lr=1.5e-3)))
    2 groups, 66 parameters
    <BLANKLINE>
    group     names                                   lr  weight decay  tensors  parameters
    backbone  features.1.weight, features.1.bias  0.0001        0.0001        2          20
    head      classifier.weight, classifier.bias  0.0012        0.0001        2          10
    (frozen)  features.0.weight, features.0.bias       -             -        2          36
    """
    listed: list[Any] = groups.param_groups if isinstance(groups, Optimizer) else list(groups)
    for number, group in enumerate(listed):
        if not isinstance(group, Mapping) or "params" not in group:
            raise InputError(f"group {number} is not a dict with params, but {group!r:.100}")
    name_of = {parameter: uses[0][1] for parameter, uses in named_uses(model)}
    rows = []
    grouped: set[nn.Parameter] = set()
    for number, group in enumerate(listed):
        name, parameters = str(group.get("name", f"group {number}")), list(group["params"])
        grouped.update(parameters)
        rows.append(_row(name, parameters, name_of, group))
    rest = [parameter for parameter in name_of if parameter not in grouped]
    frozen = [parameter for parameter in rest if not parameter.requires_grad]
    left_out = [parameter for parameter in rest if parameter.requires_grad]
    return ParamGroupTable(
        groups=tuple(rows),
        frozen=_row("(frozen)", frozen, name_of, {}),
        left_out=_row("(in no group)", left_out, name_of, {}),
    )


def _row(
    name: str,
    parameters: Sequence[nn.Parameter],
    name_of: Mapping[nn.Parameter, str],
    settings: Mapping[str, Any],
) -> ParamGroupRow:
    def setting(key: str) -> float | None:
        return None if settings.get(key) is None else float(settings[key])  # may be a tensor

    return ParamGroupRow(
        name=name,
        lr=setting("lr"),
        weight_decay=setting("weight_decay"),
        n_tensors=len(parameters),
        n_parameters=sum(parameter.numel() for parameter in parameters),
        param_names=tuple(name_of.get(parameter, "?") for parameter in parameters),
    )


def _as_json(row: ParamGroupRow) -> dict[str, Any]:
    return {**asdict(row), "param_names": list(row.param_names)}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f", {more} more" if more > 0 else "")
