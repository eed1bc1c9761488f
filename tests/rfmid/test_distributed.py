"""Two processes against one, on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import multiprocessing, nn

from examples.rfmid.data.splits import load_data
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.serving.bundle import load_bundle
from examples.rfmid.settings import Config
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.training.batch_norm import synchronise_batch_norm
from examples.rfmid.training.frozen import FeatureSet
from examples.rfmid.training.loading import Loading
from examples.rfmid.training.train import train
from examples.rfmid.training.world import World, joined_world
from tests.rfmid.simulation import tiny

ROOT = Path(__file__).parents[2]
_N = 11  # odd, so that the ranks' parts differ


def in_two_processes(work: Callable[..., Any], folder: Path, *arguments: Any) -> list[Any]:
    """Return what `work(*arguments)` returns in each of two processes."""
    # Not forks: where autograd has started threads, a fork may not compute gradients.
    job = (work, folder, arguments)
    multiprocessing.start_processes(_rank, job, nprocs=2, start_method="spawn")
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def _rank(rank: int, work: Callable[..., Any], folder: Path, arguments: Sequence[Any]) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank))
    # A file instead of a port: no other test can have taken it.
    original = torch.distributed.init_process_group
    store = f"file://{folder / 'store'}"

    def by_file(backend: str, **options: Any) -> None:
        original(backend, init_method=store, rank=rank, world_size=2, **options)

    torch.distributed.init_process_group = by_file
    torch.set_num_threads(1)
    torch.save(work(*arguments), folder / f"{rank}.pt")


def in_two_ranks(work: Callable[[World], Any], folder: Path) -> list[Any]:
    """Return what `work(world)` returns on each of two ranks."""
    return in_two_processes(_in_the_world, folder, work)


def _in_the_world(work: Callable[[World], Any]) -> Any:
    with joined_world("cpu") as world:
        return work(world)


# -- the parts


def _parts(world: World) -> dict[str, Any]:
    values = torch.arange(_N * 3.0).view(_N, 3)
    own = values[list(world.part(_N))]
    with world.main_first():
        order = world.rank
    targets = torch.tensor([[1.0, 0.0], [float("nan"), 1.0]])[: world.rank + 1]
    return {
        "gathered": world.gather(own, _N),
        "agreed": world.agree({"rank": world.rank}),
        "share": world.share(targets),
        "sum": world.sum(torch.tensor(world.rank + 1.0)),
        "order": order,
    }


def test_the_ranks_see_the_same(tmp_path: Path) -> None:
    for rank, seen in enumerate(in_two_ranks(_parts, tmp_path)):
        assert torch.equal(seen["gathered"], torch.arange(_N * 3.0).view(_N, 3))
        assert seen["agreed"] == {"rank": 0}
        assert seen["sum"] == 3
        assert seen["share"] == pytest.approx(2 * (2, 3)[rank] / 5)


def test_one_process_is_a_world() -> None:
    world = World(torch.device("cpu"))
    values, model = torch.rand(5, 2), nn.Linear(2, 2)
    assert world.gather(values[list(world.part(5))], 5) is not None
    assert torch.equal(world.gather(values[list(world.part(5))], 5), values)
    assert world.agree("mine") == "mine"
    assert world.share(values) == 1.0
    assert world.parallel(model) is model
    with world.main_first():
        pass


# -- gradients and batch statistics


class _Network(nn.Sequential):
    def __init__(self) -> None:
        torch.manual_seed(3)
        layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.AdaptiveAvgPool2d(1)
        super().__init__(*layers, nn.Flatten(), nn.Linear(4, 2))


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = 3 * torch.rand((8, 3, 6, 6), generator=generator) + 1
    labels = torch.randint(0, 2, (8, 2), generator=generator).float()
    labels[[0, 2, 4], 0] = torch.nan  # all of rank 0's
    return images, labels


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    known = ~labels.isnan()
    loss = nn.functional.binary_cross_entropy_with_logits(
        logits, labels.nan_to_num(), reduction="none"
    )
    return (loss * known).sum() / known.sum()


def _learn(world: World) -> tuple[dict[str, Any], dict[str, Any], float]:
    images, labels = (part[list(world.part(8))] for part in _batch())
    model = _Network()
    network = world.parallel(model)
    loss = _loss(network(images), labels) * world.share(labels)
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return gradients, model.state_dict(), float(world.sum(loss.detach())) / world.size


def test_gradients_and_batch_norm_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    gradients, state, loss = _learn(World(torch.device("cpu")))
    for rank_gradients, rank_state, rank_loss in in_two_ranks(_learn, tmp_path):
        assert rank_loss == pytest.approx(loss, rel=1e-5)
        for name, gradient in gradients.items():
            torch.testing.assert_close(rank_gradients[name], gradient, atol=1e-6, rtol=1e-4)
        assert set(rank_state) == set(state)
        for name, value in state.items():
            torch.testing.assert_close(rank_state[name], value, atol=1e-6, rtol=1e-5)


def test_batch_norm_evaluates_as_before() -> None:
    model = _Network().eval()
    images, _ = _batch()
    expected = model(images)
    synchronise_batch_norm(model)
    assert torch.equal(model(images), expected)


# -- whole runs


def brief(data: Path) -> Config:
    return tiny(data, "cpu", cache="disk", threads=PRESETS["cpu"].runtime.threads)


def metrics_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in RunFolder(run).metrics.read_text().splitlines()]


def _train(config: Config, run: Path, resume: bool) -> None:
    train(config, run, resume=resume)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Grad strides do not match")  # of a depthwise convolution
def test_two_processes_train_as_one_and_resume(data_folder: Path, tmp_path: Path) -> None:
    labels = data_folder / "Training_Labels.csv"  # with some missing
    labels.write_text(labels.read_text("utf-8-sig").replace("\n4,1,1,0,0", "\n4,1,1,,"))
    assert np.isnan(load_data(brief(data_folder).data).train.labels).any()
    train(brief(data_folder), tmp_path / "one")

    config, run = brief(data_folder), tmp_path / "two"
    for part, options in (("first", {"max_minutes": 1e-9}), ("second", {})):
        (tmp_path / part).mkdir()
        limited = replace(config, runtime=replace(config.runtime, **options))
        in_two_processes(_train, tmp_path / part, limited, run, part == "second")
        assert len(metrics_of(run)) == (1 if part == "first" else 2)

    for ours, theirs in zip(metrics_of(run), metrics_of(tmp_path / "one"), strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-3)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=0.02)
        assert ours["lr"] == theirs["lr"]
    for split in ("val", "test"):
        mine, theirs = (
            Predictions.load(RunFolder(r).predictions(split)) for r in (run, tmp_path / "one")
        )
        assert mine.ids == theirs.ids
        np.testing.assert_allclose(mine.y_score, theirs.y_score, atol=0.02)
    assert load_bundle(run).names
    assert not list(run.glob(".*"))


def test_a_batch_that_cannot_be_split(shared_data_folder: Path) -> None:
    config = brief(shared_data_folder)
    config = replace(config, training=replace(config.training, batch_size=7))
    world = World(torch.device("cpu"), rank=0, size=2)
    with pytest.raises(RecipeError, match="a batch of 7 can't be split over 2 processes"):
        Loading(config, world, Preprocessing()).plain(FeatureSet(torch.zeros(4, 1)), range(4))


@pytest.mark.slow
def test_an_error_ends_all_processes_and_is_said_once(
    shared_data_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    arguments = ["train", "--data", str(shared_data_folder), "--run", str(tmp_path)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["--local-addr=localhost"]  # this machine's name may be unknown to its network
    result = subprocess.run(
        [*command, "-m", "--", "examples.rfmid", *arguments, "--device", "cpu"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode != 0
    assert result.stderr.count("already holds a run") == 1
