"""Peak memory of a call: what the operating system counts, libraries of all kinds included."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_RESET_PEAK = Path("/proc/self/clear_refs")


def extra_megabytes(make: Callable[[], Callable[[], Any]]) -> float | None:
    """Return by how much a call raises the peak of resident memory, None but on Linux with glibc.

    A fresh process makes the call's input and the call (`make`, which has to be picklable),
    gives back what that left behind, resets its peak, and calls once. So libraries and input
    are there before and do not count.
    """
    if not _RESET_PEAK.exists():
        return None
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, make).result()


def _measured(make: Callable[[], Callable[[], Any]]) -> float:
    call = make()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # pages kept from making the input would hide what is taken
    _RESET_PEAK.write_text("5")
    before = _kilobytes("VmRSS")
    call()
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(name: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
