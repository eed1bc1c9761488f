"""One process at a time, also across machines that share the folder, and also after ``kill -9``.

The lock is the operating system's, on an open file: it ends with the process. Where there is no
``fcntl`` (Windows), nothing is locked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.rfmid.errors import RecipeError

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path, *, refusal: str | None = None) -> Iterator[None]:
    """Hold the lock file `path` for the length of a block.

    Parameters
    ----------
    path : Path
        Made and deleted here, in a folder that is there.
    refusal : str, optional
        The error if another process holds the lock; by default its end is waited for.
    """
    if fcntl is None:
        yield
        return
    # A record lock (lockf): unlike flock's it isn't inherited by worker processes, which may
    # outlive a killed run by some seconds.
    flags = fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0)
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RecipeError(f"cannot write to {path.parent}: {error}") from error
        try:
            fcntl.lockf(handle, flags)
            if _is_still(path, handle):
                break
        except (BlockingIOError, PermissionError) as error:
            os.close(handle)
            raise RecipeError(refusal or str(error)) from error
        os.close(handle)  # its holder deleted it in between
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
