"""Command lines with all the settings of a run: a preset, with single ones overridden by flags."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro

from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.settings import Config
from examples.rfmid.settings.config_file import load_config
from examples.rfmid.settings.presets import PRESETS

_PRESET = Annotated[
    str,
    tyro.conf.arg(
        help="Where the settings start: default, after, before, cpu, frozen or demo. "
        "The defaults shown are the preset's."
    ),
]


def takes_config(function: Callable[..., Any]) -> bool:
    """Tell whether a command takes all the settings of a run."""
    return "config" in inspect.signature(function).parameters


def parse_call(function: Callable[..., Any], arguments: Sequence[str], prog: str) -> dict[str, Any]:
    """Return what a command line calls a function with, which has a parameter ``config: Config``.

    Its other parameters are flags as they are, and each setting is one: it overrides the preset, or
    the stored settings of a resumed run; which of these may differ is for `check_claim` to say.

    Raises
    ------
    RecipeError
        If the preset is unknown, the folder holds no run to resume, or a setting is invalid.
    SystemExit
        After ``--help``, or if an argument is unknown or malformed.
    """
    own = inspect.signature(function).parameters
    defaults = {name: one.default for name, one in own.items()}
    defaults |= {"config": _default_config(arguments), "preset": "default"}

    def asked(**values: Any) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name in own}

    # What tyro reads of a function.
    asked.__doc__ = function.__doc__
    asked.__annotations__ = get_type_hints(function, include_extras=True) | {"preset": _PRESET}
    asked.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
            for name, default in defaults.items()
        ]
    )
    return tyro.cli(asked, args=list(arguments), prog=prog, config=(tyro.conf.OmitArgPrefixes,))


def _default_config(arguments: Sequence[str]) -> Config:
    """Return the defaults of all settings, which depend on three of the flags."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--preset")
    first.add_argument("--run", type=Path)
    first.add_argument("--resume", action="store_true")
    try:
        early, _ = first.parse_known_args(arguments)
    except argparse.ArgumentError as error:  # tyro says the same, with its help
        raise RecipeError(str(error)) from error
    if early.resume and early.run is not None:
        if early.preset is not None:
            raise RecipeError("a resumed run keeps its settings; leave out --preset")
        folder = RunFolder(early.run)
        if not folder.config.is_file():
            raise RecipeError(f"{early.run} holds no run to resume")
        return load_config(folder.config)
    name = early.preset or "default"
    if name not in PRESETS:
        raise RecipeError(f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
    preset = PRESETS[name]
    return replace(preset, data=replace(preset.data, folder=tyro.MISSING))
