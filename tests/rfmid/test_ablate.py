from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.rfmid.__main__ import main
from examples.rfmid.errors import RecipeError
from examples.rfmid.experiments.ablate import ablate
from examples.rfmid.experiments.compare import compared, drawn_patients, score, summarised
from examples.rfmid.experiments.variants import (
    VARIANTS,
    training_config,
    training_name,
    variant_config,
)
from examples.rfmid.files import read_json_lines
from examples.rfmid.locks import locked
from examples.rfmid.predictions import Predictions
from examples.rfmid.reporting.report import report
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.evaluate import evaluate
from examples.rfmid.scoring.selection import choose_thresholds
from examples.rfmid.scoring.tune import tune
from examples.rfmid.settings import Config, ThresholdConfig
from examples.rfmid.settings.config_file import differences
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.training.train import train
from mlthresh import multilabel_report
from tests.rfmid.simulation import simulate_labels, simulate_scores, tiny

VARIANT_NAMES = ("before+threshold", "after+ours")
FLAGS = {
    "--min-count": 4, "--certify-share": 0, "--image-size": 32, "--epochs": 3, "--patience": 1,
    "--batch-size": 8,
    "--device": "cpu", "--threads": 1, "--num-workers": 0,
}  # fmt: skip


def brief(data: Path) -> Config:
    """Settings for seconds; BRVO, with three training images, is left out of "after"."""
    return tiny(data, min_count=4, epochs=3, patience=1)


@pytest.fixture(scope="module")
def experiment(shared_data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiments") / "ablation"
    ablate(folder, brief(shared_data_folder), preset="demo", seeds=(0,), variants=VARIANT_NAMES)
    return folder


def systems(folder: Path) -> dict[str, Any]:
    return {
        one["name"]: one for one in json.loads((folder / "ablation.json").read_text())["systems"]
    }


# -- the variants


def test_the_deck_s_systems_are_the_presets() -> None:
    for name in ("before", "after"):
        config = variant_config(VARIANTS[name], PRESETS["default"], 0)
        assert differences(config, PRESETS[name]) == {}


def test_each_change_alone_and_all_of_them_lead_from_before_to_after() -> None:
    before, after = (
        variant_config(VARIANTS[name], PRESETS["cpu"], 0) for name in ("before", "after")
    )
    changed = [
        differences(before, variant_config(one, PRESETS["cpu"], 0))
        for one in VARIANTS.values()
        if one.name.startswith("before+")
    ]
    assert all(changed)
    assert {name: pair for one in changed for name, pair in one.items()} == differences(
        before, after
    )
    assert sum(map(len, changed)) == len(differences(before, after)), "no setting twice"


def test_variants_of_one_training_differ_only_in_what_can_be_read_off() -> None:
    may_differ = ("training.selection", "training.epochs", "training.patience", "loss.link",
                  "thresholds.strategy", "training.keep_epoch_predictions")  # fmt: skip
    names = set()
    for variant in VARIANTS.values():
        config = variant_config(variant, PRESETS["demo"], 3)
        taken_from = training_config(variant, PRESETS["demo"], 3)
        assert set(differences(config, taken_from)) <= set(may_differ)
        names.add(training_name(variant, PRESETS["demo"]))
    assert names == {"before", "before+classes", "before+gamma", "before+alpha",
                     "before+pos_weight", "after", "after-sampler", "after+importance",
                     "after-focal", "after-sampler-focal"}  # fmt: skip


# -- what is written


@pytest.mark.parametrize("name", ["before+threshold", "after", "after+ours"])
def test_a_variant_is_what_its_own_training_would_have_been(
    experiment: Path, shared_data_folder: Path, tmp_path: Path, name: str
) -> None:
    config = variant_config(VARIANTS[name], brief(shared_data_folder), 0)
    train(config, tmp_path)
    trained, read_off = RunFolder(tmp_path), RunFolder(experiment / "variants" / f"{name}-0")
    drop = ("seconds", "images_per_second")
    one, other = (
        [
            {k: v for k, v in epoch.items() if k not in drop}
            for epoch in read_json_lines(run.metrics)
        ]
        for run in (trained, read_off)
    )
    assert one == other
    for split in ("val", "test"):
        one, other = (Predictions.load(run.predictions(split)) for run in (trained, read_off))
        assert (one.ids, one.class_names) == (other.ids, other.class_names)
        np.testing.assert_array_equal(one.y_logit, other.y_logit)
        np.testing.assert_allclose(one.y_score, other.y_score, rtol=1e-6)
    assert (tmp_path / "thresholds.json").is_file()


def test_the_table_is_scored_on_the_classes_of_after(experiment: Path) -> None:
    found = json.loads((experiment / "ablation.json").read_text())
    assert found["classes"] == ["DR", "MH"]
    assert [one["name"] for one in found["systems"]] == [
        "before", "before+threshold", "after", "after+ours",
    ]  # fmt: skip
    folder = RunFolder(experiment / "variants" / "before-0")
    test = Predictions.load(folder.predictions("test"))
    assert test.class_names == ("DR", "MH", "BRVO")
    expected = multilabel_report(test.y_true[:, :2], test.y_score[:, :2], 0.5)
    before = systems(experiment)["before"]
    assert before["macro_f1"] == pytest.approx(expected.macro_f1)
    assert before["macro_auroc"] == pytest.approx(expected.macro_auroc)
    assert found["macro_f1_all_positive"] == pytest.approx(expected.macro_f1_all_positive)
    assert (before["base"], before["against_base"]) == (None, None)

    rows = list(csv.DictReader((experiment / "ablation.csv").read_text().splitlines()))
    assert [float(row["macro_f1"]) for row in rows] == [one["macro_f1"] for one in found["systems"]]
    text = (experiment / "ablation.md").read_text()
    assert '"+10-15 % F1"' in text
    assert "before+threshold minus before" in text
    (claim,) = found["claims"]
    gain = rows[1]["difference"]
    assert claim["difference"] == pytest.approx(float(gain))
    assert (experiment / "ablation.png").stat().st_size > 5000


def test_a_variant_can_be_tuned_evaluated_and_reported(experiment: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for path in (experiment / "variants" / "after+ours-0").iterdir():
        (run / path.name).write_bytes(path.read_bytes())
    tune(run, strategy="exact")
    evaluate(run, n_resamples=10)
    assert report(run).is_file()


def test_what_is_there_is_not_trained_again(
    experiment: Path, shared_data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.rfmid.experiments.pool.train", None)
    before = systems(experiment)
    ablate(experiment, brief(shared_data_folder), preset="demo", seeds=(0,), variants=VARIANT_NAMES)
    assert systems(experiment) == before


def test_kill_9_and_again(experiment: Path, shared_data_folder: Path, tmp_path: Path) -> None:
    """Processes end with the one that started them, and the next call ends as the unbroken one."""
    folder = tmp_path / "ablation"
    flags = [str(part) for flag in FLAGS.items() for part in flag]
    command = ["--folder", folder, "--data", shared_data_folder, "--preset", "demo", "--seeds", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.rfmid", "ablate", *map(str, command), *flags,
         "--jobs", "2", "--variants", *VARIANT_NAMES],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    runs = [RunFolder(folder / "trainings" / f"{name}-0") for name in ("before", "after")]
    deadline = time.monotonic() + 300
    try:
        while not any(run.checkpoint.is_file() for run in runs):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder / "ablation.json").exists()
    deadline = time.monotonic() + 120
    for run in runs:
        while True:
            assert time.monotonic() < deadline, "the training went on alone"
            try:
                with locked(run.lock, refusal="in use"):
                    break
            except RecipeError:
                time.sleep(0.02)
    ablate(folder, brief(shared_data_folder), preset="demo", seeds=(0,), variants=VARIANT_NAMES)
    assert systems(folder) == systems(experiment)


def test_trainings_at_once_share_what_a_frozen_backbone_gives(
    shared_data_folder: Path, tmp_path: Path
) -> None:
    config = brief(shared_data_folder)
    config = replace(
        config,
        data=replace(config.data, min_count=1),  # as many classes, so the same random backbone
        model=replace(config.model, freeze="backbone"),
    )
    ablate(tmp_path, config, preset="demo", seeds=(0,), variants=("after",), jobs=2)
    kept = sorted(path.name for path in (tmp_path / "cache").glob("features-*"))
    assert len(kept) == 3, "of training, validation and test images"
    logs = [
        RunFolder(tmp_path / "trainings" / f"{name}-0").path / "training.log"
        for name in ("before", "after")
    ]
    lines = [line for log in logs for line in log.read_text().splitlines()]
    computed = [line.split(":")[0] for line in lines if "passed through the backbone" in line]
    assert sorted(Path(file).name for file in computed) == kept
    assert not list((tmp_path / "cache").glob(".*.lock"))


def test_time_runs_out_and_the_next_call_goes_on(
    experiment: Path, shared_data_folder: Path, tmp_path: Path
) -> None:
    config = brief(shared_data_folder)
    short = replace(config, runtime=replace(config.runtime, max_minutes=1e-9))
    with pytest.raises(RecipeError, match="no training ended in --max-minutes"):
        ablate(tmp_path, short, preset="demo", seeds=(0,), variants=("before",))
    ablate(tmp_path, config, preset="demo", seeds=(0,), variants=("before",))
    assert systems(tmp_path)["before"] == systems(experiment)["before"]


# -- refusals


def test_refusals(shared_data_folder: Path, tmp_path: Path, experiment: Path) -> None:
    config = brief(shared_data_folder)
    with pytest.raises(RecipeError, match="unknown variants after\\+luck"):
        ablate(tmp_path, config, preset="demo", variants=("after+luck",))
    with pytest.raises(RecipeError, match="seeds must be different"):
        ablate(tmp_path, config, preset="demo", seeds=(1, 1))
    other = replace(config, loss=replace(config.loss, gamma=1.0))
    with pytest.raises(RecipeError, match=r"the variants set loss\.gamma themselves"):
        ablate(tmp_path, other, preset="demo")
    longer = replace(config, training=replace(config.training, epochs=4))
    with pytest.raises(RecipeError, match="started with other settings"):
        ablate(experiment, longer, preset="demo", seeds=(0,), variants=("before",))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--folder", str(tmp_path / "x"), "--data", str(tmp_path / "none"), "--seeds", "4"]
    assert main(["ablate", *arguments, "--preset", "cpu"]) == 2
    assert "none" in capsys.readouterr().err
    assert main(["ablate", *arguments, "--preset", "cpu", "--gamma", "1"]) == 2
    assert "loss.gamma" in capsys.readouterr().err


# -- scores and their intervals


def simulated(seed: int, separation: float, n_patients: int | None = 60) -> Predictions:
    rng = np.random.default_rng(0)
    labels = simulate_labels(150, 3, rng)
    scores = simulate_scores(labels, np.random.default_rng(seed), separation)
    return Predictions(
        tuple(map(str, range(150))), ("a", "b", "c"), labels, scores,
        n_patients and tuple(str(k % n_patients) for k in range(150)),
    )  # fmt: skip


def scored(seed: int, separation: float, drawn: Any) -> Any:
    predictions = simulated(seed, separation)
    thresholds = choose_thresholds(ThresholdConfig(strategy="pooled"), predictions)
    return score(predictions, predictions, thresholds, classes=("c", "a"), drawn=drawn)


def test_patients_are_drawn_whole_and_images_where_there_are_none() -> None:
    drawn = drawn_patients(simulated(0, 2.0), n_resamples=50)
    by_patient = drawn.reshape(-1, 50) if len(drawn) % 60 == 0 else drawn[:120].reshape(2, 60, 50)
    np.testing.assert_array_equal(by_patient[0], by_patient[1])
    np.testing.assert_array_equal(drawn[:30], drawn[120:])
    assert (drawn[:60].sum(axis=0) == 60).all()
    images = drawn_patients(simulated(0, 2.0, n_patients=None), n_resamples=50)
    assert (images.sum(axis=0) == 150).all()


def test_differences_are_paired_by_patient_and_by_seed() -> None:
    drawn = drawn_patients(simulated(0, 2.0), n_resamples=300)
    good = {seed: scored(seed, 3.0, drawn) for seed in (1, 2, 3)}
    poor = {seed: scored(seed, 1.0, drawn) for seed in (1, 2)}
    same = compared(good, good)
    assert same is not None
    assert (same["difference"], same["interval"]) == (0, [0, 0])
    found = compared(good, poor)
    assert found is not None
    assert list(found["by_seed"]) == ["1", "2"], "only seeds that both have"
    assert found["difference"] == pytest.approx(
        np.mean([good[seed].macro_f1 - poor[seed].macro_f1 for seed in (1, 2)])
    )
    low, high = found["interval"]
    assert 0 < low < found["difference"] < high
    assert found["relative"] == pytest.approx(
        found["difference"] / np.mean([poor[seed].macro_f1 for seed in (1, 2)])
    )
    assert compared(good, {}) is None
    level = summarised(good)
    low, high = level["macro_f1_interval"]
    assert low < level["macro_f1"] < high
    assert level["macro_f1"] == pytest.approx(np.mean(list(level["macro_f1_by_seed"].values())))


def test_a_resample_is_scored_as_if_it_were_the_test_set() -> None:
    predictions = simulated(1, 2.0)
    drawn = drawn_patients(predictions, n_resamples=3)
    thresholds = choose_thresholds(ThresholdConfig(strategy="pooled"), predictions)
    found = score(predictions, predictions, thresholds, classes=("a", "b", "c"), drawn=drawn)
    for column, macro_f1 in zip(drawn.T, found.resampled, strict=True):
        rows = np.repeat(np.arange(150), column.astype(int))
        report = multilabel_report(
            predictions.y_true[rows], predictions.y_score[rows], thresholds, n_resamples=0,
            undefined="zero",
        )  # fmt: skip
        assert macro_f1 == pytest.approx(report.macro_f1)
