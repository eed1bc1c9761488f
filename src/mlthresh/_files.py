"""Files that are whole or absent: written to a temporary name, then renamed."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlthresh.exceptions import FileFormatError

__all__ = [
    "check_versioned",
    "read_versioned_json",
    "replacing",
    "strict_json",
    "write_text_atomically",
]


def read_versioned_json(path: str | os.PathLike[str], kind: str, version: int) -> dict[str, Any]:
    """Read a JSON object whose ``format`` and ``version`` are these; another raises."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FileFormatError(f"{path}: not a whole JSON file: {error}") from error
    return check_versioned(content, path, kind, version)


def check_versioned(content: Any, source: object, kind: str, version: int) -> dict[str, Any]:
    """Return a JSON object whose ``format`` and ``version`` are these; another raises."""
    if not isinstance(content, dict) or content.get("format") != kind:
        raise FileFormatError(f"{source}: not a file of the format {kind!r}")
    if content.get("version") != version:
        raise FileFormatError(
            f"{source}: {kind} file of version {content.get('version')!r}; "
            f"this release reads version {version}"
        )
    return content


def strict_json(content: Any) -> str:
    """Write plain Python values as JSON; NaN, which it lacks, as null and infinity as "inf"."""
    return json.dumps(_json_value(content), indent=2, allow_nan=False) + "\n"


def _json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the new one, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside `path`, which takes its place if nothing is raised."""
    target = Path(path)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
