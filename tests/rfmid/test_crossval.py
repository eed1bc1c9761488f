from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.rfmid.__main__ import main
from examples.rfmid.data.dataset import ImageFiles, open_images
from examples.rfmid.data.splits import load_data
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.experiments.crossval import crossval
from examples.rfmid.predictions import Predictions
from examples.rfmid.reporting.report import report
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.selection import choose_thresholds
from examples.rfmid.serving.predict import predict
from examples.rfmid.settings import Config, DataConfig
from mlthresh import ThresholdSet, multilabel_report
from tests.rfmid.simulation import tiny


def tiny_folds(data: Path, **settings: object) -> Config:
    return tiny(data, **{"certify_share": 0.25, "folds": 2, **settings})


@pytest.fixture(scope="module")
def folds(shared_data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crossval") / "folds"
    crossval(folder, tiny_folds(shared_data_folder), n_resamples=20)
    return folder


# -- the folds


def test_each_image_validates_once_and_trains_in_the_other_folds(shared_data_folder: Path) -> None:
    whole = load_data(DataConfig(folder=shared_data_folder, min_count=1, certify_share=0.25))
    parts = [load_data(tiny_folds(shared_data_folder, folds=3, fold=k).data) for k in range(3)]
    everything = {*whole.train.paths, *whole.val.paths}
    validating = [path for part in parts for path in part.val.paths]
    assert len(validating) == len(set(validating)) == len(everything)
    assert set(validating) == everything
    labels = dict(zip(whole.train.paths, whole.train.labels, strict=True))
    for part in parts:
        assert {*part.train.paths, *part.val.paths} == everything
        assert not set(part.train.paths) & set(part.val.paths)
        assert len(set(part.train.ids) | set(part.val.ids)) == len(everything), "ids are unique"
        assert part.class_names == whole.class_names
        assert (part.test.ids, part.certify.ids) == (whole.test.ids, whole.certify.ids)
        assert (part.val.labels == 1).sum(axis=0).min() >= 1, "every class is in every fold"
        for path, row in zip(part.train.paths, part.train.labels, strict=True):
            if path in labels:
                np.testing.assert_array_equal(row, labels[path])


def test_patients_stay_together(
    tmp_path: Path, write: Callable[..., None], rows_of: Callable[..., list[dict[str, int]]]
) -> None:
    for name, n, first in (("Training", 24, 1), ("Validation", 16, 101), ("Test", 16, 201)):
        rows = [{**row, "Patient": row["ID"] // 3 + first * 1000} for row in rows_of(n, first)]
        write(tmp_path / name, tmp_path / f"{name}_Labels.csv", rows)
    for k in range(4):
        data = load_data(DataConfig(folder=tmp_path, min_count=1, folds=4, fold=k))
        assert not set(data.train.patients) & set(data.val.patients)
        assert data.folds is not None
        assert data.folds.n_split_groups == 0


def test_other_data_sets_only_train(
    shared_data_folder: Path,
    tmp_path: Path,
    write: Callable[..., None],
    rows_of: Callable[..., list],
) -> None:
    for name, n, first in (("Training", 8, 501), ("Validation", 8, 601), ("Test", 8, 701)):
        write(tmp_path / name, tmp_path / f"{name}_Labels.csv", rows_of(n, first))
    own = [load_data(tiny_folds(shared_data_folder, fold=k).data) for k in range(2)]
    with_extra = [
        load_data(tiny_folds(shared_data_folder, fold=k, extra_data=(str(tmp_path),)).data)
        for k in range(2)
    ]
    for one, other in zip(own, with_extra, strict=True):
        assert set(one.val.paths) == set(other.val.paths)
        extra = set(other.train.paths) - set(one.train.paths)
        assert extra
        assert all(tmp_path in path.parents for path in extra)


def test_folds_share_a_cache(shared_data_folder: Path, tmp_path: Path) -> None:
    caches = []
    for k in range(2):
        config = tiny_folds(shared_data_folder, fold=k)
        config = replace(
            config, runtime=replace(config.runtime, cache="disk", cache_folder=tmp_path)
        )
        data = load_data(config.data)
        caches += [
            (split, open_images(config, split, name))
            for name, split in (("train", data.train), ("val", data.val))
        ]
    assert len(list(tmp_path.glob("*.images"))) == 2, "one of each folder"
    preprocessing = Preprocessing.from_config(config.image)
    for split, cache in caches:
        again = pickle.loads(pickle.dumps(cache))  # noqa: S301  # as a worker process gets it
        files = ImageFiles(split.paths, preprocessing)
        assert len(cache) == len(files)
        for i in range(len(files)):
            assert torch.equal(cache[i], files[i])
            assert torch.equal(again[i], files[i])


# -- what is written


def test_out_of_fold_scores_are_those_of_the_network_that_had_not_learnt(folds: Path) -> None:
    gathered = Predictions.load(folds / "predictions_out_of_fold.npz")
    singles = [Predictions.load(RunFolder(folds / f"fold-{k}").predictions("val")) for k in (0, 1)]
    assert gathered.ids == singles[0].ids + singles[1].ids
    np.testing.assert_array_equal(
        gathered.y_score, np.concatenate([one.y_score for one in singles])
    )
    np.testing.assert_array_equal(gathered.y_true, np.concatenate([one.y_true for one in singles]))
    assert gathered.y_logit is None

    config = tiny_folds(folds).thresholds
    alarms = np.concatenate(
        [
            choose_thresholds(config, other).predict(one.y_score)
            for one, other in (singles, singles[::-1])
        ]
    )
    expected = multilabel_report(gathered.y_true, alarms.astype(float), 0.5, n_resamples=0)
    found = json.loads((folds / "crossval.json").read_text())
    assert found["pooled"]["decisions"]["macro_f1"] == pytest.approx(expected.macro_f1)
    assert [one["n_images"] for one in found["by_fold"]] == [len(one.ids) for one in singles]
    assert sum(found["folds"]["n_rows"]) == len(gathered.ids)
    text = (folds / "crossval.md").read_text()
    assert "don't certify" in text
    assert "positives" in text


def test_the_ensemble_of_the_folds(folds: Path, shared_data_folder: Path) -> None:
    together = RunFolder(folds / "ensemble")
    test = Predictions.load(together.predictions("test"))
    singles = [Predictions.load(RunFolder(folds / f"fold-{k}").predictions("test")) for k in (0, 1)]
    np.testing.assert_allclose(
        test.y_score, (singles[0].y_score + singles[1].y_score) / 2, rtol=1e-12
    )
    gathered = Predictions.load(folds / "predictions_out_of_fold.npz")
    expected = choose_thresholds(tiny_folds(folds).thresholds, gathered)
    found = ThresholdSet.load(together.path / "thresholds.json")
    np.testing.assert_array_equal(found.thresholds, expected.thresholds)
    evaluation = json.loads((together.path / "evaluation.json").read_text())
    assert evaluation["certified"]["why_not"] is None, "all folds have set the same aside"

    report(together.path)
    text = (together.path / "report.md").read_text()
    assert "An ensemble of 2" in text
    assert "an ensemble has no training of its own" in text

    image = shared_data_folder / "Test" / "203.png"
    (mean,) = predict((image,), run=together.path)
    said = [predict((image,), run=folds / f"fold-{k}")[0].probabilities for k in (0, 1)]
    row = test.ids.index("203")
    for c, code in enumerate(test.class_names):
        assert mean.probabilities[code] == pytest.approx((said[0][code] + said[1][code]) / 2)
        assert mean.probabilities[code] == pytest.approx(test.y_score[row, c], abs=1e-5)
        assert mean.decisions[code] == (mean.probabilities[code] >= found.thresholds[c])


def test_what_has_ended_is_not_trained_again(
    folds: Path, shared_data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.rfmid.experiments.pool.train", None)
    before = (folds / "crossval.json").read_bytes()
    crossval(folds, tiny_folds(shared_data_folder), n_resamples=20)
    assert (folds / "crossval.json").read_bytes() == before


def test_time_runs_out(shared_data_folder: Path, tmp_path: Path) -> None:
    config = tiny_folds(shared_data_folder)
    short = replace(config, runtime=replace(config.runtime, max_minutes=1e-9))
    with pytest.raises(RecipeError, match="0 of 2 folds ended in --max-minutes"):
        crossval(tmp_path, short)


# -- refusals


def test_refusals(shared_data_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="leave out --fold"):
        crossval(tmp_path, tiny_folds(shared_data_folder, fold=1))
    with pytest.raises(RecipeError, match="folds must be 0 or at least 2, got 1"):
        DataConfig(folds=1)
    with pytest.raises(RecipeError, match="below folds, 3: 3"):
        DataConfig(folds=3, fold=3)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--folder", str(tmp_path / "x"), "--data", str(tmp_path / "none")]
    assert main(["crossval", *arguments, "--folds", "100000"]) == 2
    assert "none" in capsys.readouterr().err
