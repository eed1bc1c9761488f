"""The command line of ``train``: a preset, with single settings overridden by flags."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.settings import Config
from examples.rfmid.settings.config_file import load_config
from examples.rfmid.settings.presets import PRESETS

__all__ = ["TrainArguments", "parse_train_arguments"]

_DEFAULT_PRESET = "default"


@dataclass(frozen=True)
class TrainArguments:
    """Train a classifier. The defaults shown are those of the preset.

    Presets: default, after and before (the deck's two), cpu (photographs without a GPU), demo.
    """

    run: Path
    """Run folder: everything is written there."""
    config: Config
    """Settings."""
    preset: str | None = None
    """Where the settings start: default, after, before, cpu or demo."""
    resume: bool = False
    """Go on after the last whole epoch of the run in the folder, with its settings."""
    overwrite: bool = False
    """Delete the run in the folder."""


def parse_train_arguments(arguments: Sequence[str], prog: str) -> TrainArguments:
    """Return what ``train`` was asked for.

    A flag overrides the preset, or the stored settings of a resumed run; which of these may
    differ is for `check_claim` to say.

    Raises
    ------
    RecipeError
        If the preset is unknown, the folder holds no run to resume, or a setting is invalid.
    SystemExit
        After ``--help``, or if an argument is unknown or malformed.
    """
    return tyro.cli(
        TrainArguments,
        default=_defaults(arguments),
        args=list(arguments),
        prog=prog,
        config=(tyro.conf.OmitArgPrefixes,),
    )


def _defaults(arguments: Sequence[str]) -> TrainArguments:
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
        return TrainArguments(run=tyro.MISSING, config=load_config(folder.config))
    name = early.preset or _DEFAULT_PRESET
    if name not in PRESETS:
        raise RecipeError(f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
    preset = PRESETS[name]
    preset = replace(preset, data=replace(preset.data, folder=tyro.MISSING))
    return TrainArguments(run=tyro.MISSING, config=preset)
