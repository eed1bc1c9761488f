"""Several trainings, one after the other or some at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import examples
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json_lines
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.selection import is_better
from examples.rfmid.settings import Config
from examples.rfmid.settings.config_file import save_config
from examples.rfmid.training.device import choose_device, default_workers
from examples.rfmid.training.resume import check_claim
from examples.rfmid.training.train import train

_LOG, _PLAN = "training.log", "plan.json"
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """A run to train: its name, its folder and its settings."""

    name: str
    folder: RunFolder
    config: Config


@dataclass(frozen=True)
class Outcome:
    """What became of the jobs: those that time cut off, and why others failed."""

    unfinished: tuple[str, ...]
    failed: Mapping[str, str]


def is_trained(job: Job) -> bool:
    """Tell whether a run has ended, other than by ``--max-minutes``, and saved what it found."""
    if not job.folder.manifest.is_file():
        return False
    history, settings = read_json_lines(job.folder.metrics), job.config.training
    best = 0
    for epoch in range(1, len(history)):
        if is_better(settings.selection, history[epoch], history[best]):
            best = epoch
    return len(history) == settings.epochs or len(history) - 1 - best >= settings.patience


def train_or_resume(job: Job) -> None:
    """Train a run, from its last whole epoch if there is one.

    The checkpoint of a run that has ended is deleted: it is four times the network.
    """
    if not is_trained(job):
        train(job.config, job.folder.path, resume=job.folder.config.is_file())
    if is_trained(job):
        job.folder.checkpoint.unlink(missing_ok=True)


def train_all(jobs: Sequence[Job], *, at_once: int, max_minutes: float | None) -> Outcome:
    """Train what has not ended, in this order; one that fails doesn't keep the others back.

    Parameters
    ----------
    jobs
    at_once
        One trains in this process, several in processes of their own, whose output is in
        ``training.log`` of their folders. They share the CPU's cores and the GPU.
    max_minutes
        For all of them. A process is ended in the middle of its epoch; this one, after it.

    Raises
    ------
    RecipeError
        If one of the folders holds a run with other settings.
    """
    for job in jobs:
        if job.folder.config.is_file():
            check_claim(job.folder, job.config, resume=True, overwrite=False)
    waiting = [job for job in jobs if not is_trained(job)]
    deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    if at_once == 1:
        return _train_here(waiting, deadline)
    return _train_in_processes(waiting, at_once, deadline)


def _train_here(jobs: Sequence[Job], deadline: float | None) -> Outcome:
    unfinished, failed = [], {}
    for n, job in enumerate(jobs, 1):
        left = None if deadline is None else (deadline - time.monotonic()) / 60
        if left is not None and left <= 0:
            unfinished.append(job.name)
            continue
        print(f"\n[{n} of {len(jobs)}] {job.name}", flush=True)
        try:
            runtime = replace(job.config.runtime, max_minutes=left)
            train_or_resume(replace(job, config=replace(job.config, runtime=runtime)))
        except RecipeError as error:
            failed[job.name] = str(error)
            print(f"failed: {error}", file=sys.stderr)
        if job.name not in failed and not is_trained(job):
            unfinished.append(job.name)
    return Outcome(tuple(unfinished), failed)


def _train_in_processes(jobs: Sequence[Job], at_once: int, deadline: float | None) -> Outcome:
    waiting, unfinished, failed = list(jobs), [], {}
    running: dict[str, tuple[Job, subprocess.Popen[bytes], float]] = {}
    n_done = 0
    try:
        while waiting or running:
            late = deadline is not None and time.monotonic() > deadline
            if late:
                unfinished += [*running, *(job.name for job in waiting)]
                break
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                running[job.name] = (job, _start(job, at_once), time.monotonic())
            for name, (job, process, started) in list(running.items()):
                if process.poll() is None:
                    continue
                process.communicate()  # closes its standard input
                del running[name]
                n_done += 1
                seconds = time.monotonic() - started
                if process.returncode:
                    failed[name] = f"{_last_line(job)} (see {job.folder.path / _LOG})"
                how = f"failed: {failed[name]}" if name in failed else f"{seconds:.0f} s"
                print(f"[{n_done} of {len(jobs)}] {name}: {how}", flush=True)
            time.sleep(_POLL_SECONDS)
    finally:
        for _, process, _ in running.values():
            process.kill()
        for _, process, _ in running.values():
            process.communicate()
    return Outcome(tuple(unfinished), failed)


def _start(job: Job, at_once: int) -> subprocess.Popen[bytes]:
    """Start a process that trains until its standard input, held by this process, is closed."""
    job.folder.create()
    plan = job.folder.path / _PLAN
    save_config(plan, _sharing(job.config, at_once))
    root = str(Path(examples.__file__).parents[1])
    search = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    with (job.folder.path / _LOG).open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # this interpreter and our own module
            [sys.executable, "-m", "examples.rfmid.experiments.worker", str(plan)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
        )


def _sharing(config: Config, at_once: int) -> Config:
    """Give a run its part of the cores, as far as its settings leave that open."""
    runtime, cores = config.runtime, max(1, (os.cpu_count() or 1) // at_once)
    if runtime.threads is None:
        runtime = replace(runtime, threads=cores)
    if runtime.num_workers is None:
        workers = default_workers(None, choose_device(runtime.device))
        runtime = replace(runtime, num_workers=min(workers, max(1, cores - 1)))
    return replace(config, runtime=replace(runtime, max_minutes=None))


def _last_line(job: Job) -> str:
    lines = (job.folder.path / _LOG).read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"
