from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from examples.rfmid.errors import RecipeError
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.tune import tune
from mlthresh import (
    FileFormatError,
    InputError,
    ThresholdSet,
    find_optimal_thresholds,
    load_model,
)
from tests.rfmid.simulation import CODES, save_network, simulate_run


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return simulate_run(tmp_path / "run", n_epochs=1)


def saved(folder: RunFolder) -> ThresholdSet:
    return ThresholdSet.load(folder.path / "thresholds.json")


@pytest.mark.parametrize("strategy", ["exact", "grid"])
@pytest.mark.parametrize("min_recall", [0.3, 0.8, None])
@pytest.mark.parametrize("max_threshold", [0.7, None])
def test_tune_is_the_librarys_search(
    folder: RunFolder, strategy: str, min_recall: float | None, max_threshold: float | None
) -> None:
    found = tune(folder.path, strategy=strategy, min_recall=min_recall, max_threshold=max_threshold)
    val = Predictions.load(folder.predictions("val"))
    expected = find_optimal_thresholds(
        val.y_true,
        val.y_score,
        class_names=CODES,
        strategy=strategy,
        min_recall=min_recall,
        max_threshold=max_threshold,
    )
    for thresholds in (found, saved(folder)):
        np.testing.assert_array_equal(thresholds.thresholds, expected.thresholds)
        assert thresholds.class_names == CODES
        assert thresholds.options == expected.options


def test_fixed_is_a_half_for_every_class(folder: RunFolder) -> None:
    tune(folder.path, strategy="fixed")
    assert saved(folder).thresholds.tolist() == [0.5] * len(CODES)


def test_the_table_is_marked_apparent(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(folder.path)
    printed = capsys.readouterr().out
    assert "Apparent" in printed
    for text in (*CODES, "threshold", "positives", "status", "recall", "precision", "F1"):
        assert text in printed


def test_the_saved_model_gets_the_thresholds(folder: RunFolder) -> None:
    network = save_network(folder)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    old = load_model(folder.path, network)
    found = tune(folder.path, strategy="exact", min_recall=0.6)
    assert not np.array_equal(found.thresholds, old.thresholds.thresholds)
    new = load_model(folder.path, network)
    np.testing.assert_array_equal(new.thresholds.thresholds, found.thresholds)
    assert new.preprocessing == old.preprocessing
    assert new.metadata == old.metadata
    for name, value in new.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_predictions_of_other_classes_than_the_model_are_named(
    folder: RunFolder, tmp_path: Path
) -> None:
    save_network(folder)
    kept = saved(folder)
    other = simulate_run(tmp_path / "other", codes=("DR", "CL"), n_epochs=1)
    folder.predictions("val").write_bytes(other.predictions("val").read_bytes())
    with pytest.raises(RecipeError, match=r"CL too many, MH, ODC, CRVO, RPEC missing"):
        tune(folder.path)
    np.testing.assert_array_equal(saved(folder).thresholds, kept.thresholds)


def test_thresholds_that_are_not_the_models_are_not_covered_up(folder: RunFolder) -> None:
    network = save_network(folder)
    path = folder.path / "thresholds.json"
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    with pytest.raises(FileFormatError, match=r"thresholds\.json"):
        tune(folder.path)
    with pytest.raises(FileFormatError):
        load_model(folder.path, network)


def test_a_model_without_its_thresholds_is_not_whole(folder: RunFolder) -> None:
    save_network(folder)
    (folder.path / "thresholds.json").unlink()
    with pytest.raises(RecipeError, match="run train first"):
        tune(folder.path)


def test_missing_predictions_name_the_step(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"predictions_val\.npz.*train"):
        tune(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_truncated_predictions_change_nothing(folder: RunFolder) -> None:
    path = folder.predictions("val")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(RecipeError, match=r"predictions_val\.npz"):
        tune(folder.path)
    assert not (folder.path / "thresholds.json").exists()


@pytest.mark.parametrize(
    "options", [{"strategy": "guess"}, {"min_recall": 1.5}, {"max_threshold": float("nan")}]
)
def test_bad_options_are_refused(folder: RunFolder, options: dict) -> None:
    with pytest.raises(InputError):
        tune(folder.path, **options)
    assert not (folder.path / "thresholds.json").exists()
