"""A file system of a few pages that fills up, for one process alone."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = ["SmallDisk", "mounted"]

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_REMOUNT, _PRIVATE = 32, 1 << 18 | 1 << 14  # private, and all that is below it


class SmallDisk:
    """A tmpfs that only this process and its children see; it is gone when they are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, n_bytes: int) -> None:
        """Give the disk this many bytes, in whole pages."""
        _call("mount", b"tmpfs", bytes(self.path), b"tmpfs", _REMOUNT, b"size=%d" % n_bytes)

    def leave(self, n_bytes: int) -> None:
        """Leave this many bytes free."""
        found = os.statvfs(self.path)
        self.resize((found.f_blocks - found.f_bfree) * found.f_frsize + n_bytes)


def mounted(path: Path, n_bytes: int) -> SmallDisk:
    """Make such a disk in a process with one thread.

    Raises
    ------
    OSError
        If this system doesn't let its users do so.
    """
    if sys.platform != "linux":
        raise OSError("only Linux mounts a file system for a process alone")
    user, group = os.getuid(), os.getgid()
    _call("unshare", _NEW_USER | _NEW_MOUNTS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _call("mount", None, b"/", None, _PRIVATE, None)
    path.mkdir()
    _call("mount", b"tmpfs", bytes(path), b"tmpfs", 0, b"size=%d" % n_bytes)
    return SmallDisk(path)


def _call(name: str, *arguments: object) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
