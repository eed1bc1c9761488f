"""A run that is killed, runs out of disk or loses a worker is resumed to the same end."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import examples.rfmid.training.train as training
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import replacing, write_json
from examples.rfmid.locks import locked
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.tune import tune
from examples.rfmid.serving.bundle import load_bundle
from examples.rfmid.settings import Config
from examples.rfmid.training.step import loading_errors
from examples.rfmid.training.train import train
from tests.rfmid.processes import die_at_replacement, in_a_process
from tests.rfmid.simulation import tiny

ROOT = Path(__file__).parents[2]

# CPython 3.12 warns of any fork in a process with threads; PyTorch forks to load images.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def brief(data: Path, **runtime: Any) -> Config:
    return tiny(data, cache="none", **runtime)


@pytest.fixture(scope="module")
def whole(shared_data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(brief(shared_data_folder), folder)
    return folder


def check_same_end(run: Path, whole: Path) -> None:
    """The same metrics, scores, thresholds and weights; nothing half-written lies about."""
    for name in ("thresholds.json", "model.safetensors", "model.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    for split in ("val", "test"):
        one, other = (Predictions.load(RunFolder(r).predictions(split)) for r in (run, whole))
        np.testing.assert_array_equal(one.y_score, other.y_score)
    assert metrics_of(run) == metrics_of(whole)
    assert not list(run.glob(".*"))


def metrics_of(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in RunFolder(run).metrics.read_text().splitlines()]
    times = ("seconds", "images_per_second")
    return [{k: v for k, v in line.items() if k not in times} for line in lines]


def go_on(config: Config, run: Path) -> None:
    train(config, run, resume=RunFolder(run).config.is_file())


# -- kill -9


@pytest.mark.slow
def test_killed_at_each_file_that_takes_its_name(
    whole: Path, shared_data_folder: Path, tmp_path: Path
) -> None:
    """Killed again and again, each time one file further on than the last time."""
    work = partial(go_on, brief(shared_data_folder), tmp_path)
    status, n = -signal.SIGKILL, 2
    while status == -signal.SIGKILL:
        assert n < 60, "the run gets on"
        status = in_a_process(partial(die_at_replacement, n, work))
        n += 1
    assert status == 0
    assert n > 10
    check_same_end(tmp_path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_time(
    seed: int, whole: Path, shared_data_folder: Path, tmp_path: Path
) -> None:
    run, draw = tmp_path / "run", random.Random(seed)  # noqa: S311
    work = partial(go_on, brief(shared_data_folder), run)
    kills, longest = 0, 0.5
    while kills < 4:
        if in_a_process(work, draw.uniform(0, longest)) != 0:
            kills += 1
        elif kills:
            break
        else:  # this machine is too fast
            longest /= 2
            shutil.rmtree(run)
    assert in_a_process(work) == 0
    check_same_end(run, whole)


@pytest.mark.slow
def test_killed_while_thresholds_are_replaced(
    whole: Path, shared_data_folder: Path, tmp_path: Path
) -> None:
    for n in range(2, 10):
        run = shutil.copytree(whole, tmp_path / str(n))
        retune = partial(tune, run, strategy="exact")
        killed = in_a_process(partial(die_at_replacement, n, retune))
        assert in_a_process(partial(go_on, brief(shared_data_folder), run)) == 0
        assert load_bundle(run).names, "the model is whole"
        assert not list(run.glob(".*"))
        before = (run / "thresholds.json").read_bytes()
        assert (before == (whole / "thresholds.json").read_bytes()) or killed == 0 or n > 6
        tune(run, strategy="exact")
        load_bundle(run)


@pytest.mark.slow
def test_a_killed_command_is_resumed(whole: Path, shared_data_folder: Path, tmp_path: Path) -> None:
    """The command itself, with worker processes, killed once its first epoch is written."""
    config = brief(shared_data_folder)
    command = [sys.executable, "-m", "examples.rfmid", "train", "--run", str(tmp_path)]
    settings = ["--data", str(shared_data_folder), "--preset", "demo", "--min-count", "1"]
    settings += ["--certify-share", "0", "--image-size", "32", "--epochs", "2"]
    settings += ["--batch-size", "8", "--device", "cpu", "--num-workers", "2", "--cache", "none"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, *settings], cwd=ROOT, env=environment)
    checkpoint, deadline = RunFolder(tmp_path).checkpoint, time.monotonic() + 300
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    train(config, tmp_path, resume=True)  # at once: the killed run's workers hold nothing
    check_same_end(tmp_path, whole)


# -- the disk


def with_message(work: Callable[[], Any], message: Path) -> None:
    """Do the work, and keep the error that it raises."""
    try:
        work()
    except RecipeError as error:
        message.write_text(str(error))


def with_small_files(work: Callable[[], Any], message: Path) -> None:
    """Do the work where no file may be larger than 200 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    with_message(work, message)


def test_a_full_disk_loses_nothing(whole: Path, shared_data_folder: Path, tmp_path: Path) -> None:
    run, messages = tmp_path / "run", tmp_path / "messages"
    config = brief(shared_data_folder)
    train(brief(shared_data_folder, max_minutes=1e-9), run)
    kept = RunFolder(run).checkpoint.read_bytes()
    assert len(kept) > 200_000
    in_a_process(partial(with_small_files, partial(go_on, config, run), messages))
    message = messages.read_text()
    assert "cannot write" in message
    assert "checkpoint.pt: File too large; 1 whole epoch is kept for --resume" in message
    assert RunFolder(run).checkpoint.read_bytes() == kept
    assert not list(run.glob(".*"))
    train(config, run, resume=True)
    check_same_end(run, whole)


def test_a_full_disk_at_the_end(whole: Path, shared_data_folder: Path, tmp_path: Path) -> None:
    run, messages = shutil.copytree(whole, tmp_path / "run"), tmp_path / "messages"
    RunFolder(run).manifest.unlink()
    config = brief(shared_data_folder)
    in_a_process(partial(with_small_files, partial(go_on, config, run), messages))
    assert "model.safetensors: File too large; 2 whole epochs are kept for" in messages.read_text()
    train(config, run, resume=True)
    check_same_end(run, whole)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    write_json(path, {"old": 1})

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ha")
            raise OSError(28, "No space left on device")

    with pytest.raises(RecipeError, match=r"cannot write .*it.json: No space left on device"):
        fail()
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


# -- the photographs and the processes that load them


@pytest.fixture
def after_an_epoch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that arranges for something to happen after the first epoch."""
    original = training.report_epoch
    return lambda event: monkeypatch.setattr(
        training, "report_epoch", partial(report_and, event, original)
    )


def report_and(
    event: Callable[[], Any],
    report: Callable[..., Any],
    metrics: dict[str, Any],
    *args: Any,
    **options: Any,
) -> None:
    report(metrics, *args, **options)
    if metrics["epoch"] == 1:
        event()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_image_that_becomes_unreadable(
    num_workers: int, whole: Path, data_folder: Path, tmp_path: Path, after_an_epoch: Any
) -> None:
    config = brief(data_folder)
    config = replace(config, runtime=replace(config.runtime, num_workers=num_workers))
    image = data_folder / "Validation" / "105.png"
    content = image.read_bytes()
    after_an_epoch(lambda: image.write_bytes(content[:40]))
    with pytest.raises(RecipeError) as raised:
        train(config, tmp_path / "run")
    message = str(raised.value)
    assert message.startswith(f"cannot read the image {image}:")
    assert message.endswith("; 1 whole epoch is kept for --resume")
    assert "\n" not in message
    image.write_bytes(content)
    after_an_epoch(lambda: None)
    train(config, tmp_path / "run", resume=True)
    assert metrics_of(tmp_path / "run") == metrics_of(whole)


def kill_a_worker() -> None:
    """Kill a loading process: PyTorch raises it here, or where a batch is asked for."""
    worker = multiprocessing.active_children()[0]
    worker.kill()
    worker.join()


def train_and_lose_a_worker(config: Config, run: Path, message: Path) -> None:
    training.report_epoch = partial(report_and, kill_a_worker, training.report_epoch)
    with_message(partial(train, config, run), message)


def test_a_worker_that_dies(whole: Path, shared_data_folder: Path, tmp_path: Path) -> None:
    config, run, message = brief(shared_data_folder), tmp_path / "run", tmp_path / "message"
    with_workers = replace(config, runtime=replace(config.runtime, num_workers=1))
    in_a_process(partial(train_and_lose_a_worker, with_workers, run, message))
    assert message.read_text().startswith("a process that loads images died")
    assert message.read_text().endswith("; 1 whole epoch is kept for --resume")
    train(config, run, resume=True)
    check_same_end(run, whole)


def test_a_second_worker_that_dies_while_the_first_is_reported() -> None:
    deaths = iter(["DataLoader worker (pid 2) is killed by signal: Killed."])

    def kept() -> str:
        for death in deaths:
            raise RuntimeError(death)
        return "1 whole epoch is kept for --resume"

    with (
        pytest.raises(RecipeError, match=r"died \(DataLoader worker \(pid 2\).*; 1 whole epoch is"),
        loading_errors(kept),
        loading_errors(kept),
    ):
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")


# -- two at once


def test_one_process_trains_in_a_folder(shared_data_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    message = tmp_path / "message"
    with locked(RunFolder(run).lock, refusal="?"):
        attempt = partial(train, brief(shared_data_folder), run)
        in_a_process(partial(with_message, attempt, message))
    assert message.read_text() == f"another process is training in {run}"
    assert not list(run.iterdir())
