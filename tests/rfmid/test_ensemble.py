from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from examples.rfmid.__main__ import main
from examples.rfmid.errors import RecipeError
from examples.rfmid.experiments.ensemble import ensemble
from examples.rfmid.predictions import Predictions
from examples.rfmid.reporting.report import report
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.evaluate import evaluate
from examples.rfmid.scoring.selection import choose_thresholds
from examples.rfmid.scoring.tune import tune
from examples.rfmid.serving.explain import explain
from examples.rfmid.serving.export import export
from examples.rfmid.serving.predict import predict
from examples.rfmid.settings import Config, DataConfig
from examples.rfmid.settings.arguments import parse_call
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.training.train import train
from mlthresh import ThresholdSet


def tiny(data: Path, seed: int, size: int = 32, min_count: int = 1) -> Config:
    demo = PRESETS["demo"]
    return replace(
        demo,
        data=DataConfig(folder=data, min_count=min_count),
        image=replace(demo.image, image_size=size),
        training=replace(demo.training, epochs=1, batch_size=8, seed=seed),
        runtime=replace(demo.runtime, device="cpu", threads=1, num_workers=0),
    )


@pytest.fixture(scope="module")
def runs(shared_data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds, the second at another image size, and one that knows fewer classes."""
    root = tmp_path_factory.mktemp("members")
    settings = [(0, 32, 1), (1, 40, 1), (0, 32, 4)]
    for n, (seed, size, min_count) in enumerate(settings):
        train(tiny(shared_data_folder, seed, size, min_count), root / f"run-{n}")
    return [root / f"run-{n}" for n in range(len(settings))]


@pytest.fixture
def made(runs: list[Path], tmp_path: Path) -> Path:
    """Members and their ensemble, to change."""
    for path in runs[:2]:
        shutil.copytree(path, tmp_path / path.name)
    ensemble(
        tmp_path / "mean", runs=tuple(tmp_path / path.name for path in runs[:2]), n_resamples=10
    )
    return tmp_path


def test_members_that_share_validation_images_tune_on_their_mean(made: Path) -> None:
    folder = RunFolder(made / "mean")
    for split in ("val", "test"):
        found = Predictions.load(folder.predictions(split))
        one, other = (
            Predictions.load(RunFolder(made / f"run-{n}").predictions(split)) for n in (0, 1)
        )
        assert found.ids == one.ids
        assert abs(one.y_score - other.y_score).max() > 1e-3, "they differ"
        np.testing.assert_allclose(found.y_score, (one.y_score + other.y_score) / 2, rtol=1e-12)
        assert found.y_logit is None
    val = Predictions.load(folder.predictions("val"))
    expected = choose_thresholds(PRESETS["demo"].thresholds, val)
    thresholds = ThresholdSet.load(folder.path / "thresholds.json")
    np.testing.assert_array_equal(thresholds.thresholds, expected.thresholds)
    members = json.loads(folder.ensemble.read_text())["members"]
    assert [member["run"] for member in members] == ["../run-0", "../run-1"]
    assert [member["seed"] for member in members] == [0, 1]
    assert members[1]["other_settings"] == ["image.image_size", "training.seed"]
    evaluation = json.loads((folder.path / "evaluation.json").read_text())
    assert evaluation["certified"]["why_not"] is not None


def test_each_member_prepares_a_photograph_in_its_own_way(
    made: Path, shared_data_folder: Path
) -> None:
    image = shared_data_folder / "Test" / "202.png"
    (mean,) = predict((image,), run=made / "mean", output=made / "out.csv")
    one, other = (predict((image,), run=made / f"run-{n}")[0].probabilities for n in (0, 1))
    for code, probability in mean.probabilities.items():
        assert probability == pytest.approx((one[code] + other[code]) / 2)
    assert (made / "out.csv").is_file()


def test_it_moves_with_its_members_and_has_thresholds_of_its_own(
    made: Path, shared_data_folder: Path, tmp_path: Path
) -> None:
    tune(made / "run-0", strategy="fixed")  # a member's thresholds don't count
    tune(made / "mean", strategy="exact")
    evaluate(made / "mean", n_resamples=10)
    moved = made.rename(tmp_path.parent / f"{tmp_path.name}-moved")
    image = shared_data_folder / "Test" / "202.png"
    (mean,) = predict((image,), run=moved / "mean")
    thresholds = ThresholdSet.load(moved / "mean" / "thresholds.json").thresholds
    decided = [p >= t for p, t in zip(mean.probabilities.values(), thresholds, strict=True)]
    assert decided == list(mean.decisions.values())


@pytest.fixture
def clinic(tmp_path: Path, write: Callable[..., None], rows_of: Callable[..., list]) -> Path:
    write(tmp_path / "clinic" / "images", tmp_path / "clinic" / "labels.csv", rows_of(12, 901))
    return tmp_path / "clinic"


def test_it_is_scored_on_other_data_by_the_mean(made: Path, clinic: Path) -> None:
    for run in ("run-0", "run-1", "mean"):
        evaluate(made / run, external=clinic, n_resamples=5)
    one, other, mean = (
        Predictions.load(made / run / "predictions_external_clinic.npz")
        for run in ("run-0", "run-1", "mean")
    )
    assert abs(one.y_score - other.y_score).max() > 1e-3, "they differ"
    np.testing.assert_allclose(mean.y_score, (one.y_score + other.y_score) / 2, rtol=1e-12)
    assert mean.y_logit is None
    found = json.loads((made / "mean" / "evaluation_external_clinic.json").read_text())
    assert found["inputs"]["thresholds.json"]
    assert "On other data: `clinic`" in report(made / "mean").read_text()


def test_it_is_not_tested_on_what_a_member_learnt_from(made: Path, clinic: Path) -> None:
    path = made / "run-1" / "data.json"
    data = json.loads(path.read_text())
    data["extra_data"] = [{"label_files": [str(clinic / "labels.csv")]}]
    path.write_text(json.dumps(data))
    evaluate(made / "run-0", external=clinic, n_resamples=5)
    with pytest.raises(RecipeError, match="has learnt from every part"):
        evaluate(made / "mean", external=clinic, n_resamples=5)


def test_what_needs_one_network_names_the_members(made: Path, shared_data_folder: Path) -> None:
    image = shared_data_folder / "Test" / "202.png"
    for refuse in (partial(export, made / "mean"), partial(explain, made / "mean", (image,))):
        with pytest.raises(RecipeError, match="is an ensemble.*run-0, .*run-1$"):
            refuse()


def test_a_member_that_is_another_or_gone_is_noticed(made: Path, runs: list[Path]) -> None:
    shutil.rmtree(made / "run-1")
    with pytest.raises(RecipeError, match="holds no whole model"):
        predict((made / "x.png",), run=made / "mean")
    shutil.copytree(runs[0], made / "run-1")
    with pytest.raises(RecipeError, match="has changed since the ensemble"):
        predict((made / "x.png",), run=made / "mean")


def test_refusals(made: Path, runs: list[Path], tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(RecipeError, match="at least two runs"):
        ensemble(new, runs=(runs[0],))
    with pytest.raises(RecipeError, match="named twice"):
        ensemble(new, runs=(runs[0], runs[0]))
    with pytest.raises(RecipeError, match="other classes.*BRVO; DR, MH"):
        ensemble(new, runs=(runs[0], runs[2]))
    with pytest.raises(RecipeError, match="run train first"):
        ensemble(new, runs=(runs[0], tmp_path))
    with pytest.raises(RecipeError, match="already holds config.json"):
        ensemble(runs[0], runs=tuple(runs[:2]), overwrite=True)
    with pytest.raises(RecipeError, match="or --overwrite"):
        ensemble(made / "mean", runs=tuple(runs[:2]))
    assert not new.exists()

    path = RunFolder(made / "run-1").predictions("val")
    val = Predictions.load(path)
    val.rows(np.arange(4)).save(path)
    with pytest.raises(RecipeError, match="other validation images"):
        ensemble(new, runs=(made / "run-0", made / "run-1"))
    folds = json.loads((made / "run-1" / "config.json").read_text())
    folds["data"]["folds"] = 3
    (made / "run-1" / "config.json").write_text(json.dumps(folds))
    with pytest.raises(RecipeError, match="other folds"):
        ensemble(new, runs=(made / "run-0", made / "run-1"))


def test_the_command_line(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(made / "run-0"), str(made / "run-1")]
    assert main(["ensemble", "--run", str(made / "mean"), "--runs", *runs, "--overwrite"]) == 0
    assert "2 members" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["convnext_small", "convnext_base"])
def test_larger_networks_are_a_flag(name: str) -> None:
    arguments = ["--run", "r", "--data", "d", "--preset", "after", "--architecture", name]
    assert parse_call(train, arguments, "train")["config"].model.architecture == name
