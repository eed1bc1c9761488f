from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from examples.rfmid.__main__ import main
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import Config
from examples.rfmid.training import find_lr as module
from examples.rfmid.training.find_lr import find_lr, smoothed, suggest, sweep
from examples.rfmid.training.train import train
from tests.rfmid.simulation import tiny


def test_it_leaves_its_files_and_nothing_else(
    shared_data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["find-lr", "--data", str(shared_data_folder), "--run", str(tmp_path)]
    arguments += ["--preset", "demo", "--image-size", "32", "--min-count", "1", "--threads", "1"]
    arguments += ["--device", "cpu", "--batch-size", "8", "--num-workers", "0", "--steps", "12"]
    state = torch.get_rng_state()
    assert main(arguments) == 0
    assert torch.equal(torch.get_rng_state(), state)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert written == {"lr_finder.json", "figures", "figures/lr_finder.png"}
    result = json.loads((tmp_path / "lr_finder.json").read_text())
    assert result["lr"] == pytest.approx(np.geomspace(1e-7, 1, 12)[: len(result["lr"])])
    assert len(result["loss"]) == len(result["smoothed_loss"]) == len(result["lr"])
    output = capsys.readouterr().out
    assert "where the loss falls fastest" in output
    assert "the settings' --lr is 0.002" in output

    train(tiny(shared_data_folder, epochs=1), tmp_path)  # they are no hindrance
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    find_lr(tiny(shared_data_folder, epochs=1), tmp_path, steps=10)
    after = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    changed = {path.name for path in after if before.get(path) != after[path]}
    assert changed <= {"lr_finder.json"}, "the run is as it was"
    train(tiny(shared_data_folder, epochs=1), tmp_path, overwrite=True)
    assert (tmp_path / "figures" / "lr_finder.png").exists()


class _Recorder:
    """Stands for a session; its loss is a function of the learning rate."""

    def __init__(self, loss_at: Any) -> None:
        parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
        groups = [
            {"params": [parameters[0]], "lr": 1e-4},
            {"params": [parameters[1]], "lr": 1.2e-3},
        ]
        self.optimizer = torch.optim.SGD(groups, lr=1.0)
        self.config = Config()
        self.device = torch.device("cpu")
        self.world = type("W", (), {"rank": 0, "size": 1, "sum": staticmethod(lambda x: x)})()
        self.model = torch.nn.Linear(1, 1)
        self.sampler = type("S", (), {"epoch": 0, "set_epoch": lambda self, epoch: None})()
        self.train_loader = range(7)  # shorter than the sweep
        self.loss_at, self.rates = loss_at, []

    def step(self, *_: Any) -> tuple[torch.Tensor, int]:
        self.rates.append([group["lr"] for group in self.optimizer.param_groups])
        return torch.tensor(self.loss_at(self.rates[-1][0])), 8


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(loss_at: Any, steps: int = 40) -> Any:
        recorder = _Recorder(loss_at)
        monkeypatch.setattr(module, "training_step", recorder.step)
        monkeypatch.setattr(module, "progress", lambda session, loader, description: loader)
        rates, losses = sweep(recorder, np.geomspace(1e-6, 1, steps))  # type: ignore[arg-type]
        return recorder, rates, losses

    return run


def test_the_groups_keep_their_ratio(swept: Any) -> None:
    recorder, rates, losses = swept(lambda rate: 1.0)
    assert len(rates) == len(losses) == 40
    base = Config().optimizer.lr
    np.testing.assert_allclose(np.array(recorder.rates)[:, 0], rates * 1e-4 / base)
    np.testing.assert_allclose(np.array(recorder.rates)[:, 1], rates * 1.2e-3 / base)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e6])
def test_it_stops_where_the_loss_diverges(swept: Any, bad: float) -> None:
    _, rates, losses = swept(lambda rate: bad if rate > 1e-4 else 1.0)
    assert len(rates) == len(losses) < 40
    assert rates[-1] < 1e-2
    assert np.isfinite(losses).all()


def test_smoothing_does_not_lag() -> None:
    np.testing.assert_allclose(smoothed(np.full(20, 3.0)), 3.0)
    noise = np.random.default_rng(0).normal(size=200)
    assert smoothed(noise).std() < 0.5 * noise.std()
    falling = np.linspace(9, 1, 200)
    np.testing.assert_allclose(smoothed(falling)[30:-30], falling[30:-30])
    step = np.where(np.arange(200) < 120, 1.0, 2.0)
    assert np.flatnonzero(smoothed(step) > 1.5)[0] == 120


def test_the_edge_of_divergence_is_never_the_steepest() -> None:
    rates, rng = np.geomspace(1e-7, 3, 80), np.random.default_rng(1)
    losses = 0.13 - 0.002 * np.log10(rates / 1e-7) + 0.004 * rng.normal(size=80)
    losses[rates > 0.02] += 5 * rates[rates > 0.02]
    suggestion = suggest(rates, smoothed(losses))
    assert suggestion["steepest"] is not None
    assert suggestion["steepest"] < 0.01


def test_suggestions() -> None:
    rates = np.geomspace(1e-6, 1, 121)
    logs = np.log10(rates)
    curve = 1 - 0.8 / (1 + np.exp(-3 * (logs + 3.5))) + np.exp(4 * (logs + 1))
    suggestion = suggest(rates, curve)
    assert suggestion["steepest"] == pytest.approx(10**-3.5, rel=0.2)
    assert suggestion["minimum_tenth"] == pytest.approx(rates[curve.argmin()] / 10)
    assert suggest(rates, np.linspace(1, 2, 121)) == {"steepest": None, "minimum_tenth": None}


@pytest.mark.parametrize("options", [{"lr_min": 0.0}, {"lr_max": 1e-9}, {"steps": 3}])
def test_bad_ranges(options: dict[str, Any], shared_data_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="0 < lr_min < lr_max and at least 10 steps"):
        find_lr(tiny(shared_data_folder, epochs=1), tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
