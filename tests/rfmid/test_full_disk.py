"""Each command on a disk that is really full: one line, nothing half-written, and again later."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from examples.rfmid.__main__ import main
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.evaluate import evaluate
from tests.rfmid.conftest import write_image
from tests.rfmid.processes import in_a_process
from tests.rfmid.simulation import (
    CODES,
    save_network,
    simulate_run,
    tiny_network,
    with_tiny_network,
)
from tests.rfmid.small_disk import SmallDisk, mounted

TRAIN = (
    *("--preset", "demo", "--min-count", "1", "--certify-share", "0", "--image-size", "32"),
    *("--epochs", "2", "--batch-size", "8", "--threads", "1", "--num-workers", "0"),
    *("--device", "cpu", "--cache", "none"),
)


def on_a_small_disk(work: Callable[[SmallDisk], Any], folder: Path) -> None:
    """Do some work in a process that has such a disk; skip where there is none to be had."""
    why_not = folder / "why_not"
    assert in_a_process(partial(_mount_and, work, folder / "disk", why_not)) == 0
    if why_not.exists():
        pytest.skip(f"no file system of its own for a process: {why_not.read_text()}")


def _mount_and(work: Callable[[SmallDisk], Any], path: Path, why_not: Path) -> None:
    try:
        disk = mounted(path, 10**8)
    except OSError as error:
        why_not.write_text(str(error))
        return
    work(disk)


def outcome(command: Sequence[object]) -> tuple[int, str]:
    """Return the exit status of a command, and what it says of its failure."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        status = main([str(part) for part in command])
    return status, errors.getvalue()


def check_refusal(status: int, said: str) -> None:
    assert status == 2
    assert said.startswith("error: "), said
    assert "No space left on device" in said, said
    assert said.count("\n") == 1, said


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# -- a training


def _train_as_the_disk_grows(data: Path, whole: Path, disk: SmallDisk) -> None:
    run = RunFolder(disk.path / "run")
    command = ["train", "--data", data, "--run", run.path, *TRAIN]
    again = ["train", "--run", run.path, "--resume"]
    sizes = {path.name: path.stat().st_size for path in whole.iterdir() if path.is_file()}
    checkpoint = sizes["checkpoint.pt"]
    said = []
    for room in (4096, checkpoint // 2, 3 * checkpoint // 2, 5 * checkpoint // 2):
        disk.resize(room)
        status, last = outcome(again if run.config.is_file() else command)
        if status == 0:
            break
        check_refusal(status, last)
        assert not [name for name in files_of(disk.path) if "/." in name], "leftovers"
        assert not run.manifest.exists(), "no whole model yet"
        said.append(last)
    assert len(said) >= 3
    assert any("1 whole epoch is kept for --resume" in line for line in said), said
    disk.resize(10**8)
    status, last = outcome(again)
    assert (status, last) == (0, "")
    for name in ("model.safetensors", "thresholds.json", "model.json"):
        assert (run.path / name).read_bytes() == (whole / name).read_bytes()
    assert _metrics(run.path) == _metrics(whole)


def _metrics(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in RunFolder(run).metrics.read_text().splitlines()]
    times = ("seconds", "images_per_second")
    return [{k: v for k, v in line.items() if k not in times} for line in lines]


@pytest.mark.slow
def test_a_training_goes_on_where_there_is_room_again(
    shared_data_folder: Path, tmp_path: Path
) -> None:
    train = ["train", "--data", shared_data_folder, "--run", tmp_path / "whole", *TRAIN]
    assert in_a_process(partial(outcome, train)) == 0
    work = partial(_train_as_the_disk_grows, shared_data_folder, tmp_path / "whole")
    on_a_small_disk(work, tmp_path)


# -- the photographs


def _prepare(data: Path, disk: SmallDisk) -> None:
    command = ["prepare", "--data", data, "--preset", "demo", "--min-count", "1"]
    command += ["--image-size", "32", "--threads", "1", "--cache-folder"]
    cached = disk.path / "cache"
    for room in (8192, 150_000):  # in the first split, and in another
        disk.resize(room)
        check_refusal(*outcome([*command, cached]))
    disk.resize(10**7)
    assert outcome([*command, cached]) == (0, "")
    assert outcome([*command, disk.path / "other"]) == (0, "")
    assert sorted(files_of(cached)) == sorted(files_of(disk.path / "other"))
    assert [path.stat().st_size for path in sorted(cached.iterdir())] == [
        path.stat().st_size for path in sorted((disk.path / "other").iterdir())
    ]


def test_a_cache_is_whole_or_not_there(shared_data_folder: Path, tmp_path: Path) -> None:
    on_a_small_disk(partial(_prepare, shared_data_folder), tmp_path)


def _split(data: Path, disk: SmallDisk) -> None:
    command = ["split", "--labels", data / "Training_Labels.csv", "--images", data / "Training"]
    command += ["--output", disk.path / "splits"]
    disk.leave(4096)
    check_refusal(*outcome(command))
    assert files_of(disk.path) == {}
    disk.resize(10**6)
    assert outcome(command) == (0, "")


def _generate(disk: SmallDisk) -> None:
    command = ["generate", "--root", disk.path / "data", "--n-train", 4, "--n-validation", 4]
    command += ["--n-test", 4, "--size", 64, "--workers", 1, "--no-progress"]
    disk.leave(12_000)
    check_refusal(*outcome(command))
    assert files_of(disk.path) == {}
    disk.resize(10**7)
    assert outcome(command) == (0, "")


def test_label_files_are_all_there_or_none(shared_data_folder: Path, tmp_path: Path) -> None:
    on_a_small_disk(partial(_split, shared_data_folder), tmp_path)


def test_drawings_are_all_there_or_none(tmp_path: Path) -> None:
    on_a_small_disk(_generate, tmp_path)


# -- a run that has ended


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two evaluated runs and a photograph."""
    root = tmp_path_factory.mktemp("ended")
    for name in ("run", "other"):
        folder = simulate_run(root / name, config=with_tiny_network())
        save_network(folder, network=tiny_network(len(CODES))[0])
        evaluate(folder.path, n_resamples=5)
    write_image(root / "eye.png")
    return root


# What is left free, in bytes.
COMMANDS = {
    "tune": (0, ["tune", "--run", "run", "--strategy", "exact"]),
    "evaluate": (0, ["evaluate", "--run", "run", "--n-resamples", "5"]),
    "report": (0, ["report", "--run", "run"]),
    "report, later": (100_000, ["report", "--run", "run"]),
    "onnx": (0, ["export", "--run", "run", "--n-images", "2"]),
    "program": (0, ["export", "--run", "run", "--format", "program", "--n-images", "2"]),
    "predict": (0, ["predict", "--run", "run", "--images", "eye.png", "--output", "found.csv"]),
    "explain": (0, ["explain", "--run", "run", "--images", "eye.png"]),
    "ensemble": (8192, ["ensemble", "--run", "mean", "--runs", "run", "other"]),
}


def _refuse_and_go_on(ended: Path, name: str, disk: SmallDisk) -> None:
    shutil.copytree(ended, disk.path / "here")
    room, command = COMMANDS[name]
    with contextlib.chdir(disk.path / "here"):
        before = files_of(Path())
        disk.leave(room)
        check_refusal(*outcome(command))
        after = files_of(Path())
        assert {path: after.get(path) for path in before} == before, "what was there is kept"
        new = set(after) - set(before)
        assert not [path for path in new if Path(path).name.startswith(".")], "leftovers"
        assert not {Path(path).name for path in new} & {"report.md", "ensemble.json"}
        disk.resize(10**8)
        status, said = outcome(command)
        assert (status, said) == (0, ""), said


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_stays_as_it_was(name: str, ended: Path, tmp_path: Path) -> None:
    if name == "onnx" and any(find_spec(p) is None for p in ("onnx", "onnxruntime", "onnxscript")):
        pytest.skip("needs ONNX")
    on_a_small_disk(partial(_refuse_and_go_on, ended, name), tmp_path)
