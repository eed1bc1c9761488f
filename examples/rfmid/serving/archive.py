"""Refuse a ``.pt2`` file that holds more than tensors and a graph of known operators.

`torch.export.load` trusts what it reads: it falls back to unpickling, evaluates expressions and
loads compiled code. A program that `export` wrote needs none of that; a file that does is not read.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from examples.rfmid.errors import RecipeError

_MEMBERS = re.compile(
    r"(models/model\.json|data/weights/(weight_\d+|\w+_config\.json)"
    r"|data/constants/(tensor_\d+|\w+_config\.json)"
    r"|data/(weights|constants|sample_inputs)/model\.pt"  # weights and constants: older PyTorch
    r"|extra/mlthresh\.json|archive_format|archive_version|byteorder|version"
    r"|\.data/(version|serialization_id)|\.format_version|\.storage_alignment)"
)
_OPERATOR = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|_operator\.(getitem|add|sub|mul|floordiv|mod|neg|eq|ne|lt|le|gt|ge)"
)
# What sizes are written with: Symbol('s1', positive=True, integer=True), 2*s1 + 1
_EXPRESSION = re.compile(
    r"(Symbol\('s\d+'(, (positive|integer|nonnegative)=(True|False))*\)"
    r"|(Add|Mul|Integer)\(|s\d+|\d+|[-+*(), ])*"
)


def check_archive(path: Path, content: bytes) -> None:
    """Look through the file without loading it."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            parts = {name.partition("/")[2]: archive.read(name) for name in names}
        if len(parts) < len(names) or len({name.partition("/")[0] for name in names}) != 1:
            raise RecipeError(f"{path}: an archive with parts of the same name")
        for name, part in parts.items():
            if not _MEMBERS.fullmatch(name):
                raise RecipeError(f"{path}: unexpected part {name!r}: not written by export")
            if name.startswith("models/") or name.endswith("_config.json"):
                _check_json(path, json.loads(part))
            if name.endswith(".pt"):
                _check_tensors(path, name, part)
    # zipfile raises NotImplementedError for a compression that it doesn't know.
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise RecipeError(f"{path} is no whole .pt2 file: {error}") from error


def _check_tensors(path: Path, name: str, content: bytes) -> None:
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # whatever makes PyTorch fall back to unpickling
        raise RecipeError(f"{path}: {name} holds more than tensors") from error


def _check_json(path: Path, content: Any) -> None:
    for key, value in _entries(content):
        problem = (
            (key == "use_pickle" and value is not False)
            or (key == "target" and not (isinstance(value, str) and _OPERATOR.fullmatch(value)))
            or (key == "expr_str" and not (isinstance(value, str) and _EXPRESSION.fullmatch(value)))
            or (key == "guards_code" and value != [])
        )
        if problem:
            raise RecipeError(f"{path}: {key} is {str(value)[:80]!r}: not written by export")


def _entries(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield each key of each object, with its value, at any depth."""
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
