"""Mutants tried one after another in forks of a process that has collected the tests.

A fork takes over the mutated code of one function and runs the tests that reach the changed line,
quickest first, until one fails. Nothing is imported or collected twice, and no file is written.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import coverage
import pytest
from _pytest.runner import runtestprotocol

from benchmarks.mutation.mutants import Mutant

_MEMORY = 6 << 30  # bytes that a mutant may ask for beside what the tests have


class Reach:
    """Which tests reach which line, and how many CPU seconds each takes."""

    def __init__(self, seconds: dict[str, float], tests: dict[str, dict[str, list[str]]]) -> None:
        self.seconds, self._tests = seconds, tests

    @classmethod
    def measure(cls, items: Sequence[pytest.Item], modules: dict[str, ModuleType]) -> Reach:
        """Run every test once under coverage."""
        files = {name: str(module.__file__) for name, module in modules.items()}
        tracer = coverage.Coverage(data_file=None, config_file=False, include=[*files.values()])
        seconds = {}
        tracer.start()
        for item, following in _with_next(items):
            tracer.switch_context(item.nodeid)
            start = time.process_time()
            if _fails(item, following):
                raise RuntimeError(f"{item.nodeid} fails without any mutant")
            seconds[item.nodeid] = time.process_time() - start
        tracer.stop()
        found = tracer.get_data()
        tests = {
            name: {
                str(line): sorted(set(nodes) - {""})
                for line, nodes in found.contexts_by_lineno(file).items()
            }
            for name, file in files.items()
        }
        return cls(seconds, tests)

    @classmethod
    def read(cls, path: Path) -> Reach:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """Write to a file."""
        path.write_text(json.dumps({"seconds": self.seconds, "tests": self._tests}), "utf-8")

    def of(self, mutant: Mutant) -> set[str]:
        """Return the tests that run the mutated statement."""
        lines = self._tests[mutant.module]
        span = range(mutant.line, mutant.end_line + 1)
        return {test for line in span for test in lines.get(str(line), [])}


class Trial:
    """A pytest plugin that tries mutants instead of running the tests."""

    def __init__(
        self,
        mutants: Sequence[Mutant],
        report: Callable[[Mutant, str, int], None],
        reach_file: Path,
    ) -> None:
        self._mutants, self._report, self._file = mutants, report, reach_file

    def pytest_collection(self) -> None:
        """Let hypothesis stop at the first failing example; which one that is doesn't matter."""
        from hypothesis import Phase, settings  # pytest must load it first

        settings.register_profile(
            "mutation", settings(), phases=(Phase.explicit, Phase.reuse, Phase.generate)
        )
        settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every mutant."""
        names = sorted({mutant.module for mutant in self._mutants})
        modules = {name: importlib.import_module(f"mlthresh.{name}") for name in names}
        if not self._file.exists():
            _in_fork(lambda: self._measure(session.items, modules), cpu_seconds=3600)
        reach = Reach.read(self._file)
        for mutant in self._mutants:
            names_of = reach.of(mutant)
            items = [item for item in session.items if item.nodeid in names_of]
            items.sort(key=lambda item: reach.seconds[item.nodeid])
            budget = 10 + 10 * sum(reach.seconds[item.nodeid] for item in items)
            module = modules[mutant.module]
            said = _in_fork(lambda m=mutant, i=items, o=module: _try(m, o, i), int(budget))
            self._report(mutant, said, len(items))
        return True

    def _measure(self, items: Sequence[pytest.Item], modules: dict[str, ModuleType]) -> str:
        Reach.measure(items, modules).write(self._file)
        return "measured"


def _in_fork(work: Callable[[], str], cpu_seconds: int) -> str:
    """Return what the work returns in a forked process, or which signal ended that."""
    answer, question = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            # CPU seconds mean the same on a busy machine; the clock's are for deadlocks.
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
            signal.alarm(60 * cpu_seconds)
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            memory = pages * resource.getpagesize() + _MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            os.write(question, work().encode())
        except BaseException:  # the process must not go on as pytest
            os.write(question, f"error {traceback.format_exc()}".encode()[-4000:])
        os._exit(0)
    os.close(question)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.set_blocking(answer, False)  # processes that tests left behind may hold the other end
    try:
        said = os.read(answer, 1 << 16).decode()
    except BlockingIOError:
        said = ""
    os.close(answer)
    if said.startswith("error"):
        raise RuntimeError(said)
    if status < 0:
        late = -status in (signal.SIGXCPU, signal.SIGALRM)
        return "timeout" if late else f"killed by signal {-status}"
    return said


def _try(mutant: Mutant, module: ModuleType, items: Sequence[pytest.Item]) -> str:
    file = str(module.__file__)
    code = _code_of(compile(mutant.tree, file, "exec"), mutant.function)
    functions = [
        found
        for found in gc.get_objects()
        if type(found) is FunctionType  # isinstance asks objects, and some of torch's then warn
        and found.__code__.co_filename == file
        and found.__code__.co_qualname == mutant.function
    ]
    if not functions:
        raise RuntimeError(f"{mutant.function} isn't loaded")
    for function in functions:
        function.__code__ = code
    for item, following in _with_next(items):
        if _fails(item, following):
            return f"killed by {item.nodeid}"
    return "survived"


def _code_of(code: CodeType, name: str) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == name:
                return constant
            if name.startswith(f"{constant.co_qualname}."):
                return _code_of(constant, name)
    raise LookupError(name)


def _fails(item: pytest.Item, following: pytest.Item | None) -> bool:
    reports = runtestprotocol(item, nextitem=following, log=False)
    return any(report.failed for report in reports)


def _with_next(items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(items, [*items[1:], None], strict=True)
