"""Command lines with all the settings of a run: a preset, with single ones overridden by flags."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import tyro

from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.settings import Config
from examples.rfmid.settings.config_file import load_config
from examples.rfmid.settings.presets import PRESETS

__all__ = [
    "DEFAULT_PRESET",
    "AblateArguments",
    "CrossvalArguments",
    "FindLrArguments",
    "PrepareArguments",
    "ProfileArguments",
    "TrainArguments",
    "parse_arguments",
]

DEFAULT_PRESET = "default"


@dataclass(frozen=True)
class TrainArguments:
    """Train a classifier. The defaults shown are those of the preset.

    Presets: default, after and before (the deck's two), cpu and frozen (without a GPU), demo.
    """

    run: Path
    """Run folder: everything is written there."""
    config: Config
    """Settings."""
    preset: str | None = None
    """Where the settings start: default, after, before, cpu, frozen or demo."""
    resume: bool = False
    """Go on after the last whole epoch of the run in the folder, with its settings."""
    overwrite: bool = False
    """Delete the run in the folder."""


@dataclass(frozen=True)
class PrepareArguments:
    """Decode and resize every photograph once, for runs with ``--cache disk``."""

    config: Config
    """Settings; those of the data, the images and the runtime count."""
    preset: str | None = None
    """Where the settings start: default, after, before, cpu, frozen or demo."""


@dataclass(frozen=True)
class ProfileArguments:
    """Measure where the time of a training step goes. Nothing is kept of what is learnt."""

    config: Config
    """Settings, as for train."""
    output: Path | None = None
    """JSON file for the figures."""
    preset: str | None = None
    """Where the settings start: default, after, before, cpu, frozen or demo."""
    steps: int = 50
    """Steps that are measured, after some that warm up."""


@dataclass(frozen=True)
class FindLrArguments:
    """Sweep the learning rate over some steps, on a copy, and suggest one."""

    run: Path
    """Folder for lr_finder.json and figures/lr_finder.png; nothing else in it is touched."""
    config: Config
    """Settings, as for train."""
    preset: str | None = None
    """Where the settings start: default, after, before, cpu, frozen or demo."""
    lr_min: float = 1e-7
    """First value of --lr; the parameter groups keep their ratio."""
    lr_max: float = 1.0
    """Last value."""
    steps: int = 100
    """Steps from the first value to the last, each by the same factor."""


@dataclass(frozen=True)
class AblateArguments:
    """Train the deck's two systems and others one change away, and score them alike.

    The preset and its flags set size, data and runtime; the variants set the rest. --max-minutes is
    for all trainings together; called again, the experiment goes on.
    """

    folder: Path
    """Folder of the experiment: trainings/, variants/, ablation.md, .json, .csv and .png."""
    config: Config
    """Settings, as for train."""
    preset: str | None = None
    """Where the settings start: default, after, before, cpu, frozen or demo."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds; every variant is trained with each."""
    variants: tuple[str, ...] = ()
    """Names of variants; by default all. Those that they are compared with are added."""
    jobs: int = 1
    """Trainings at once, in processes that share the cores and the GPU."""
    n_resamples: int = 1000
    """Draws of the test patients, for the intervals."""


@dataclass(frozen=True)
class CrossvalArguments:
    """Train one network a fold of training and validation images; the test images stay apart.

    --folds sets their number, else 5. --max-minutes is for all folds together; called again, the
    cross-validation goes on.
    """

    folder: Path
    """Folder of the cross-validation: fold-0, fold-1, ..., crossval.md, .json, and ensemble/."""
    config: Config
    """Settings, as for train."""
    preset: str | None = None
    """Where the settings start: default, after, before, cpu, frozen or demo."""
    jobs: int = 1
    """Trainings at once, in processes that share the cores and the GPU."""
    n_resamples: int = 1000
    """Bootstrap resamples of the patients, for the intervals."""


_Arguments = TypeVar(
    "_Arguments",
    TrainArguments,
    PrepareArguments,
    ProfileArguments,
    FindLrArguments,
    AblateArguments,
    CrossvalArguments,
)


def parse_arguments(kind: type[_Arguments], arguments: Sequence[str], prog: str) -> _Arguments:
    """Return what a command was asked for.

    A flag overrides the preset, or the stored settings of a resumed run; which of these may
    differ is for `check_claim` to say.

    Raises
    ------
    RecipeError
        If the preset is unknown, the folder holds no run to resume, or a setting is invalid.
    SystemExit
        After ``--help``, or if an argument is unknown or malformed.
    """
    required = {
        field.name: tyro.MISSING
        for field in fields(kind)
        if field.default is MISSING and field.name != "config"
    }
    return tyro.cli(
        kind,
        default=kind(config=_default_config(arguments), **required),
        args=list(arguments),
        prog=prog,
        config=(tyro.conf.OmitArgPrefixes,),
    )


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
    name = early.preset or DEFAULT_PRESET
    if name not in PRESETS:
        raise RecipeError(f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
    preset = PRESETS[name]
    return replace(preset, data=replace(preset.data, folder=tyro.MISSING))
