"""Files that are written whole or not at all, and JSON in them."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from examples.rfmid.errors import RecipeError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one line what the system refused, as when the disk is full."""
    try:
        yield
    except OSError as error:
        raise RecipeError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; it takes the place of `path` if nothing is raised.

    Raises
    ------
    RecipeError
        If the system refuses to write; `path` is then as it was.
    """
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            _flush_to_disk(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    """Wait until the content would survive a loss of power: renaming doesn't wait for it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def remove_leftovers(folder: Path, *names: str) -> None:
    """Delete what `replacing` left of these files when its process was killed.

    No other process must be writing them.
    """
    for name in names:
        for path in folder.glob(f".{glob.escape(name)}.????????"):
            path.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a text (UTF-8) or bytes, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a readable JSON object."""
    write_whole(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_json_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSON object a line."""
    write_whole(path, "".join(json.dumps(record, allow_nan=False) + "\n" for record in records))


def digests(*paths: Path) -> dict[str, str]:
    """Return name -> digest of the content, of those files that are there."""
    return {
        path.name: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        for path in paths
        if path.is_file()
    }


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecipeError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object a line."""
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecipeError(f"cannot read {path}: {error}") from error
