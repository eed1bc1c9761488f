"""Files that are whole or absent: written to a temporary name, then renamed."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from mlthresh.exceptions import FileFormatError

__all__ = ["read_versioned_json", "strict_json", "write_text_atomically"]


def read_versioned_json(path: str | os.PathLike[str], kind: str, version: int) -> dict[str, Any]:
    """Read a JSON object whose ``format`` and ``version`` are these; another raises."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FileFormatError(f"{path}: not a whole JSON file: {error}") from error
    if not isinstance(content, dict) or content.get("format") != kind:
        raise FileFormatError(f"{path}: not a file of the format {kind!r}")
    if content.get("version") != version:
        raise FileFormatError(
            f"{path}: {kind} file of version {content.get('version')!r}; "
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
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)  # mkstemp makes private files
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
