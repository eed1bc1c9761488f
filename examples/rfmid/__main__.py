"""``python -m examples.rfmid COMMAND``: choose the step, and turn errors into one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import tyro

import examples.rfmid
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings.arguments import parse_call, takes_config
from mlthresh import MlthreshError

_PROG = "python -m examples.rfmid"

# Command -> module and function; imported when chosen, so that tuning doesn't load torchvision.
_COMMANDS = {
    "demo": ("examples.rfmid.demo", "demo"),
    "generate": ("examples.rfmid.fundus", "generate_dataset"),
    "split": ("examples.rfmid.data.new_splits", "split"),
    "prepare": ("examples.rfmid.data.prepare", "prepare"),
    "find-lr": ("examples.rfmid.training.find_lr", "find_lr"),
    "profile": ("examples.rfmid.training.profile", "profile"),
    "train": ("examples.rfmid.training.train", "train"),
    "tune": ("examples.rfmid.scoring.tune", "tune"),
    "evaluate": ("examples.rfmid.scoring.evaluate", "evaluate"),
    "report": ("examples.rfmid.reporting.report", "report"),
    "ablate": ("examples.rfmid.experiments.ablate", "ablate"),
    "crossval": ("examples.rfmid.experiments.crossval", "crossval"),
    "ensemble": ("examples.rfmid.experiments.ensemble", "ensemble"),
    "predict": ("examples.rfmid.serving.predict", "predict"),
    "explain": ("examples.rfmid.serving.explain", "explain"),
    "export": ("examples.rfmid.serving.export", "export"),
    "serve": ("examples.rfmid.serving.web.serve", "serve"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, 2 for an error, 130 if interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: {_PROG} {{{','.join(_COMMANDS)}}} [--help]\n\n{examples.rfmid.__doc__}")
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in _COMMANDS:
        print(f"unknown command {command!r}; there are {', '.join(_COMMANDS)}", file=sys.stderr)
        return 2
    try:
        _run(command, rest)
    except (RecipeError, MlthreshError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that may not be read, ...
        place = f": {error.filename}" if error.filename else ""
        print(f"error: {error.strerror or error}{place}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        hint = "; train --resume goes on after the last whole epoch" if command == "train" else ""
        print(f"interrupted{hint}", file=sys.stderr)
        return 130
    return 0


def _run(command: str, arguments: list[str]) -> None:
    function, prog = _function(command), f"{_PROG} {command}"
    if takes_config(function):
        function(**parse_call(function, arguments, prog))
    else:
        tyro.cli(function, args=arguments, prog=prog, config=(tyro.conf.OmitArgPrefixes,))


def _function(command: str) -> Callable[..., Any]:
    module, name = _COMMANDS[command]
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


if __name__ == "__main__":
    sys.exit(main())
