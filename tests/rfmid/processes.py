"""Work in processes of their own, which may be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Not forks of this process: where autograd has started threads, a fork may not compute gradients.
# The server has imported what takes long, and has computed nothing.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "tests.rfmid.test_survival"])


def in_a_process(work: Callable[[], Any], kill_after: float | None = None) -> int:
    """Run some work, which can be pickled, and kill it after a time; return the exit status."""
    process = _CONTEXT.Process(target=work)
    process.start()
    process.join(kill_after)
    if process.is_alive():
        process.kill()
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def die_at_replacement(n: int, work: Callable[[], Any]) -> None:
    """Do the work, killed right before the n-th half of a file's taking its name, or after."""
    original, calls = Path.replace, 0

    def counted(path: Path, target: Path) -> Any:
        nonlocal calls
        calls += 1
        if calls == n // 2 and n % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(path, target)
        if calls == n // 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Path.replace = counted  # type: ignore[method-assign,assignment]
    work()
