from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import examples.rfmid.training.train as training
from examples.rfmid.__main__ import main
from examples.rfmid.data.dataset import EpochSampler
from examples.rfmid.data.images import load_image
from examples.rfmid.data.splits import load_data
from examples.rfmid.data.transforms import build_preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.selection import choose_thresholds, validation_metrics
from examples.rfmid.scoring.tune import tune
from examples.rfmid.settings import DataConfig, ThresholdConfig
from examples.rfmid.settings.config_file import load_config
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.training.model import build_network
from examples.rfmid.training.train import train
from mlthresh import ThresholdSet, find_optimal_thresholds, load_model
from tests.rfmid.simulation import tiny


def history_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in RunFolder(run).metrics.read_text().splitlines()]


def without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in epoch.items() if k not in ("seconds", "images_per_second")}
        for epoch in history
    ]


@pytest.fixture(scope="module")
def run(shared_data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of three epochs."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(tiny(shared_data_folder, epochs=3), folder)
    return folder


@pytest.fixture
def run_copy(run: Path, tmp_path: Path) -> Path:
    """The same run, to change."""
    return shutil.copytree(run, tmp_path / "copy")


@pytest.fixture
def fail_in_epoch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that makes an epoch fail in its middle with an exception."""
    original = training._train_epoch

    def arrange(number: int, exception: BaseException) -> None:
        def broken(state: Any, epoch: int) -> float:
            loss = original(state, epoch)
            if epoch == number:
                raise exception
            return loss

        monkeypatch.setattr(training, "_train_epoch", broken)

    yield arrange
    monkeypatch.undo()


# -- what a run leaves


def test_the_run_folder(run: Path, shared_data_folder: Path) -> None:
    folder = RunFolder(run)
    assert load_config(folder.config) == tiny(shared_data_folder, epochs=3)
    data = json.loads(folder.data.read_text())
    assert [entry["code"] for entry in data["classes"]] == ["DR", "MH", "BRVO"]
    assert not list(run.glob(".*")), "temporary files are gone"

    history = history_of(run)
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    for epoch in history:
        assert set(epoch) == {
            "epoch", "train_loss", "val_loss", "val_macro_f1_at_half", "val_macro_f1_tuned",
            "val_macro_f1_cross_fitted", "val_macro_auroc", "val_f1_per_class", "lr",
            "seconds", "images_per_second",
        }  # fmt: skip
        assert len(epoch["val_f1_per_class"]) == 3
        assert set(epoch["lr"]) == {"backbone", "head"}


def test_learning_rates_draws_and_clipping(
    shared_data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws: list[list[tuple[int, int]]] = []
    norms: list[float] = []
    draw, clip = EpochSampler.__iter__, torch.nn.utils.clip_grad_norm_

    def recorded_draw(sampler: EpochSampler) -> Iterator[tuple[int, int]]:
        draws.append(list(draw(sampler)))
        return iter(draws[-1])

    def recorded_clip(parameters: Any, max_norm: float) -> Any:
        norms.append(max_norm)
        return clip(parameters, max_norm)

    monkeypatch.setattr(EpochSampler, "__iter__", recorded_draw)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", recorded_clip)
    config = tiny(shared_data_folder, epochs=3)
    scales = {"lr": 1e-3, "backbone_scale": 0.1, "head_scale": 0.5, "clip_norm": 0.7, "t_max": 2}
    train(replace(config, optimizer=replace(config.optimizer, **scales)), tmp_path)

    rates = [epoch["lr"] for epoch in history_of(tmp_path)]
    assert rates[0] == pytest.approx({"backbone": 1e-4, "head": 5e-4})
    assert rates[1] == pytest.approx({"backbone": 5e-5, "head": 2.5e-4}, rel=1e-3)
    assert rates[2] == pytest.approx({"backbone": 2e-8, "head": 1e-7})
    labels = load_data(config.data).train.labels
    for epoch, drawn in enumerate(draws):
        expected = EpochSampler(labels, by_rarest_class=True, seed=0)
        expected.set_epoch(epoch)
        assert drawn == list(draw(expected))
    assert len(draws) == 3
    assert norms == [0.7] * 9  # three steps an epoch


def test_a_last_batch_of_one_image(shared_data_folder: Path, tmp_path: Path) -> None:
    train(tiny(shared_data_folder, epochs=1, batch_size=23), tmp_path)  # 24 = 23 + 1
    assert math.isfinite(history_of(tmp_path)[0]["train_loss"])


@pytest.mark.parametrize("split", ["val", "test"])
def test_predictions_are_in_the_label_file_s_order(
    run: Path, shared_data_folder: Path, split: str
) -> None:
    data = load_data(DataConfig(folder=shared_data_folder, min_count=1))
    predictions = Predictions.load(RunFolder(run).predictions(split))
    assert predictions.ids == data.splits[split].ids
    assert predictions.class_names == data.class_names
    np.testing.assert_array_equal(predictions.y_true, data.splits[split].labels)
    assert predictions.y_score.dtype == np.float64
    assert predictions.y_logit is not None
    assert predictions.y_logit.dtype == np.float32
    assert ((predictions.y_score > 0) & (predictions.y_score < 1)).all()


def test_the_saved_model_gives_the_saved_scores(run: Path, shared_data_folder: Path) -> None:
    model = build_network("convnext_demo", 3, seed=123).model
    loaded = load_model(run, model)
    assert loaded.preprocessing is not None
    preprocessing = build_preprocessing(loaded.preprocessing)
    assert loaded.metadata is not None
    assert loaded.metadata["architecture"] == "convnext_demo"
    assert loaded.metadata["class_names"] == ["DR", "MH", "BRVO"]
    data = load_data(DataConfig(folder=shared_data_folder, min_count=1))
    images = torch.stack([preprocessing(load_image(path)) for path in data.test.paths])
    with torch.inference_mode():
        probabilities, decisions = loaded(images)
    predictions = Predictions.load(RunFolder(run).predictions("test"))
    torch.testing.assert_close(probabilities.numpy(), predictions.y_score, atol=1e-6, rtol=1e-5)
    assert loaded.posterior is not None
    link = loaded.posterior(predictions.y_logit.astype(np.float64))
    np.testing.assert_allclose(predictions.y_score, link, rtol=1e-12)
    assert abs(predictions.y_sigmoid - predictions.y_score).max() > 0.01
    thresholds = ThresholdSet.load(run / "thresholds.json")
    np.testing.assert_array_equal(decisions.numpy(), thresholds.predict(predictions.y_score))


def test_the_selected_epoch_is_the_best_and_thresholds_follow_from_it(run: Path) -> None:
    history = history_of(run)
    best = max(history, key=lambda epoch: epoch["val_macro_f1_cross_fitted"])
    val = Predictions.load(RunFolder(run).predictions("val"))
    metrics = validation_metrics(ThresholdConfig(), val)
    assert metrics["val_macro_f1_cross_fitted"] == best["val_macro_f1_cross_fitted"]
    assert metrics["val_macro_f1_tuned"] == best["val_macro_f1_tuned"]
    assert metrics["val_f1_per_class"] == best["val_f1_per_class"]
    expected = choose_thresholds(ThresholdConfig(), val)
    saved = ThresholdSet.load(run / "thresholds.json")
    np.testing.assert_array_equal(saved.thresholds, expected.thresholds)


def test_it_learns(shared_data_folder: Path, tmp_path: Path) -> None:
    """The colour tells the disease, so a few epochs must do."""
    train(tiny(shared_data_folder, epochs=8, patience=8), tmp_path / "run")
    history = history_of(tmp_path / "run")
    assert min(epoch["train_loss"] for epoch in history) < 0.5 * history[0]["train_loss"]
    assert max(epoch["val_macro_auroc"] for epoch in history) > 0.9


# -- breaking off and resuming


def test_a_resumed_run_ends_as_the_unbroken_one(
    run: Path, shared_data_folder: Path, tmp_path: Path, fail_in_epoch: Any
) -> None:
    config, broken = tiny(shared_data_folder, epochs=3), tmp_path / "broken"
    fail_in_epoch(1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train(config, broken)
    assert len(history_of(broken)) == 1
    assert not RunFolder(broken).manifest.exists()

    fail_in_epoch(-1, KeyboardInterrupt())
    train(config, broken, resume=True)
    assert without_times(history_of(broken)) == without_times(history_of(run))
    for split in ("val", "test"):
        one = Predictions.load(RunFolder(broken).predictions(split))
        other = Predictions.load(RunFolder(run).predictions(split))
        np.testing.assert_array_equal(one.y_score, other.y_score)


def test_a_run_broken_off_in_its_first_epoch_starts_again(
    shared_data_folder: Path, tmp_path: Path, fail_in_epoch: Any
) -> None:
    config = tiny(shared_data_folder, epochs=1)
    fail_in_epoch(0, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path)
    fail_in_epoch(-1, KeyboardInterrupt())
    train(config, tmp_path, resume=True)
    assert len(history_of(tmp_path)) == 1


def test_the_time_limit_stops_after_an_epoch(
    run: Path, shared_data_folder: Path, tmp_path: Path
) -> None:
    config = tiny(shared_data_folder, epochs=3)
    limited = replace(config, runtime=replace(config.runtime, max_minutes=1e-9))
    train(limited, tmp_path)
    assert len(history_of(tmp_path)) == 1
    assert RunFolder(tmp_path).manifest.exists()
    train(config, tmp_path, resume=True)
    assert without_times(history_of(tmp_path)) == without_times(history_of(run))


def test_resuming_a_run_that_has_ended_leaves_it_alone(
    run_copy: Path, shared_data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(run_copy, strategy="fixed")
    tuned = (run_copy / "thresholds.json").read_bytes()
    train(tiny(shared_data_folder, epochs=3), run_copy, resume=True)
    assert (run_copy / "thresholds.json").read_bytes() == tuned
    assert "had ended already" in capsys.readouterr().out


def test_resuming_repairs_a_model_whose_files_do_not_belong_together(
    run_copy: Path, shared_data_folder: Path
) -> None:
    whole = {path.name: path.read_bytes() for path in run_copy.iterdir() if path.is_file()}
    tune(run_copy, strategy="fixed")
    (run_copy / "model.json").write_bytes(whole["model.json"])  # killed before this was replaced
    train(tiny(shared_data_folder, epochs=3), run_copy, resume=True)
    for name in ("thresholds.json", "model.json", "model.safetensors"):
        assert (run_copy / name).read_bytes() == whole[name]


def test_resuming_needs_no_pretrained_weights(
    shared_data_folder: Path, tmp_path: Path, fail_in_epoch: Any
) -> None:
    weights, run = tmp_path / "weights.pth", tmp_path / "run"
    torch.save(build_network("convnext_demo", 3, seed=7).model.state_dict(), weights)
    config = tiny(shared_data_folder)
    config = replace(config, model=replace(config.model, weights=str(weights)))
    fail_in_epoch(1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train(config, run)
    weights.unlink()
    fail_in_epoch(-1, KeyboardInterrupt())
    train(config, run, resume=True)
    assert len(history_of(run)) == 2


def test_weights_of_an_earlier_epoch_do_not_stay(
    shared_data_folder: Path, tmp_path: Path, fail_in_epoch: Any
) -> None:
    config = tiny(shared_data_folder, epochs=3)
    train(replace(config, runtime=replace(config.runtime, max_minutes=1e-9)), tmp_path)
    assert RunFolder(tmp_path).manifest.exists()
    fail_in_epoch(2, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, resume=True)
    assert not RunFolder(tmp_path).manifest.exists()


def test_paths_are_stored_for_any_working_directory(
    shared_data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shared_data_folder.parent)
    train(tiny(Path("data"), epochs=1), tmp_path)
    assert load_config(RunFolder(tmp_path).config).data.folder == shared_data_folder
    data = json.loads(RunFolder(tmp_path).data.read_text())
    assert data["splits"]["val"]["image_folder"] == str(shared_data_folder / "Validation")


def test_resuming_refuses_other_settings_and_other_data(
    run_copy: Path, data_folder: Path, shared_data_folder: Path
) -> None:
    config = tiny(shared_data_folder, epochs=3)
    with pytest.raises(RecipeError, match=r"other settings \(training.seed: 0 -> 1\)"):
        train(tiny(shared_data_folder, epochs=3, seed=1), run_copy, resume=True)
    # the same data elsewhere is fine, other labels are not
    moved = replace(config, data=replace(config.data, folder=data_folder))
    train(moved, run_copy, resume=True)
    labels = (data_folder / "Training_Labels.csv").read_text(encoding="utf-8-sig")
    (data_folder / "Training_Labels.csv").write_text(labels.replace("\n7,1,0", "\n7,1,1"))
    with pytest.raises(RecipeError, match="the data has changed since the run was started"):
        train(moved, run_copy, resume=True)


def test_who_may_use_a_run_folder(run: Path, shared_data_folder: Path, tmp_path: Path) -> None:
    config = tiny(shared_data_folder, epochs=1)
    with pytest.raises(RecipeError, match="already holds a run; --resume continues it, --over"):
        train(config, run)
    with pytest.raises(RecipeError, match="holds no run to resume"):
        train(config, tmp_path / "nothing", resume=True)
    with pytest.raises(RecipeError, match="exclude each other"):
        train(config, run, resume=True, overwrite=True)


def test_files_of_another_program_are_not_replaced(
    shared_data_folder: Path, tmp_path: Path
) -> None:
    config = tiny(shared_data_folder, epochs=1)
    (tmp_path / "model.safetensors").write_bytes(b"precious")
    for overwrite in (False, True):
        with pytest.raises(RecipeError, match=r"files that a run would replace: model.safetensors"):
            train(config, tmp_path, overwrite=overwrite)
    (tmp_path / "config.json").write_text('{"hidden_size": 768}')
    with pytest.raises(RecipeError, match=r"config.json: unknown settings: hidden_size"):
        train(config, tmp_path, overwrite=True)
    assert (tmp_path / "model.safetensors").read_bytes() == b"precious"


def test_overwriting_keeps_what_is_not_the_run_s(shared_data_folder: Path, tmp_path: Path) -> None:
    train(tiny(shared_data_folder, epochs=2), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "report.md").write_text("of the old run")
    train(tiny(shared_data_folder, epochs=1), tmp_path, overwrite=True)
    assert len(history_of(tmp_path)) == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "report.md").exists()


def test_bad_weights_leave_no_run_behind(shared_data_folder: Path, tmp_path: Path) -> None:
    config = tiny(shared_data_folder)
    broken = replace(config, model=replace(config.model, weights=str(tmp_path / "absent.pth")))
    with pytest.raises(RecipeError, match=r"absent.pth doesn't exist"):
        train(broken, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_damaged_checkpoint_is_named(run_copy: Path, shared_data_folder: Path) -> None:
    checkpoint = RunFolder(run_copy).checkpoint
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(RecipeError, match=r"cannot read the checkpoint .*checkpoint.pt"):
        train(tiny(shared_data_folder, epochs=3), run_copy, resume=True)


# -- selection and stopping


def test_early_stopping_counts_epochs_without_a_better_model(
    shared_data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.3, 0.5, 0.5, 0.4, 0.9])
    monkeypatch.setattr(
        training,
        "validation_metrics",
        lambda *_: {
            "val_macro_f1_cross_fitted": next(scores),
            "val_macro_f1_tuned": 0.0,
            "val_macro_f1_at_half": 0.0,
            "val_macro_auroc": None,
            "val_f1_per_class": [None] * 3,
        },
    )
    train(tiny(shared_data_folder, epochs=5, patience=2), tmp_path)
    assert [e["val_macro_f1_cross_fitted"] for e in history_of(tmp_path)] == [0.3, 0.5, 0.5, 0.4]
    checkpoint = torch.load(RunFolder(tmp_path).checkpoint, weights_only=True)
    assert checkpoint["best_epoch"] == 1
    # the selected weights are saved, not the last ones
    saved = load_file(RunFolder(tmp_path).weights)
    assert all(torch.equal(saved[name], value) for name, value in checkpoint["best_model"].items())
    assert not torch.equal(saved["classifier.2.weight"], checkpoint["model"]["classifier.2.weight"])


def test_selection_by_loss(shared_data_folder: Path, tmp_path: Path) -> None:
    train(tiny(shared_data_folder, epochs=3, selection="val_loss"), tmp_path)
    losses = [epoch["val_loss"] for epoch in history_of(tmp_path)]
    checkpoint = torch.load(RunFolder(tmp_path).checkpoint, weights_only=True)
    assert checkpoint["best_epoch"] == int(np.argmin(losses))


def test_a_diverging_loss_stops_the_run(shared_data_folder: Path, tmp_path: Path) -> None:
    config = tiny(shared_data_folder)
    optimizer = replace(config.optimizer, lr=1e30, clip_norm=None)
    with pytest.raises(RecipeError, match="the loss of epoch 1 is not finite"):
        train(replace(config, optimizer=optimizer), tmp_path)


def test_the_before_preset_s_settings_run(shared_data_folder: Path, tmp_path: Path) -> None:
    before, config = PRESETS["before"], tiny(shared_data_folder, epochs=1, selection="val_loss")
    train(replace(config, loss=before.loss, thresholds=before.thresholds), tmp_path)
    thresholds = ThresholdSet.load(tmp_path / "thresholds.json").thresholds
    np.testing.assert_array_equal(thresholds, np.float32([0.5, 0.5, 0.5]))


def test_grid_is_the_library_s_default_for_the_deck_s_values() -> None:
    rng = np.random.default_rng(0)
    y_true = (rng.random((200, 4)) < 0.2).astype(np.float32)
    y_score = rng.random((200, 4), dtype=np.float32)
    val = Predictions(tuple(map(str, range(200))), tuple("abcd"), y_true, y_score)
    ours = choose_thresholds(ThresholdConfig(strategy="grid"), val)
    deck = find_optimal_thresholds(
        y_true, y_score, strategy="grid", min_recall=0.3, max_threshold=0.7
    )
    np.testing.assert_array_equal(ours.thresholds, deck.thresholds)


def test_metrics_of_classes_without_positives() -> None:
    y_true = np.float32([[1, 0, np.nan], [0, 0, 1], [1, 0, 0], [0, 0, np.nan]])
    y_score = np.float32([[0.9, 0.8, 0.1], [0.2, 0.1, 0.6], [0.8, 0.2, 0.3], [0.1, 0.3, 0.9]])
    val = Predictions(tuple("1234"), tuple("abc"), y_true, y_score)
    metrics = validation_metrics(ThresholdConfig(strategy="grid"), val)
    assert metrics["val_f1_per_class"] == [1.0, None, 1.0]
    assert metrics["val_macro_f1_tuned"] == metrics["val_macro_f1_at_half"] == 1.0
    assert metrics["val_macro_auroc"] == 1.0
    fixed = choose_thresholds(ThresholdConfig(strategy="fixed"), val)
    np.testing.assert_array_equal(fixed.thresholds, np.float32([0.5, 0.5, 0.5]))
    np.testing.assert_allclose(fixed.alarm_rate, [0.5, 0.25, 0.5])


# -- command line


def test_from_the_command_line(
    shared_data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--data", str(shared_data_folder), "--run", str(tmp_path)]
    arguments += ["--preset", "demo", "--epochs", "1", "--image-size", "32", "--min-count", "1"]
    arguments += ["--threads", "1", "--device", "cpu", "--batch-size", "8", "--num-workers", "0"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert "images: 24 training, 12 validation, 4 set aside, 16 test; 3 classes" in output.out
    assert "epoch   1/1" in output.out
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} already holds a run")
    assert main(["train", "--run", str(tmp_path), "--resume"]) == 0


def test_a_run_from_before_a_setting_is_resumed_and_used_as_it_was(
    run: Path,
    shared_data_folder: Path,
    tmp_path: Path,
    fail_in_epoch: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail_in_epoch(1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train(tiny(shared_data_folder, epochs=3), tmp_path)
    fail_in_epoch(-1, KeyboardInterrupt())
    settings = RunFolder(tmp_path).config
    values = json.loads(settings.read_text())
    younger = {
        "model": ("features", "freeze", "head_bias", "views"),
        "optimizer": ("no_decay",),
        "training": ("importance_weights", "keep_epoch_predictions"),
        "data": ("certify_share", "extra_data", "folds", "grades", "subgroup_columns"),
    }
    for section, names in younger.items():
        for name in names:
            del values[section][name]
    settings.write_text(json.dumps(values))
    capsys.readouterr()
    assert main(["train", "--run", str(tmp_path), "--resume"]) == 0
    assert "older than these settings, taken as: data.certify_share 0.0" in capsys.readouterr().err
    assert without_times(history_of(tmp_path)) == without_times(history_of(run))
    settings.write_text(json.dumps(values))
    image = str(shared_data_folder / "Test" / "201.png")
    for command in (["tune"], ["evaluate", "--n-resamples", "10"], ["predict", "--images", image]):
        assert main([*command, "--run", str(tmp_path)]) == 0
    values["model"]["depth"] = 3
    settings.write_text(json.dumps(values))
    assert main(["train", "--run", str(tmp_path), "--resume"]) == 2
    assert "in model: unknown settings: depth" in capsys.readouterr().err


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent"
    assert main(["train", "--data", str(absent), "--run", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == f"error: the data folder {absent} doesn't exist\n"
    assert not (tmp_path / "run").exists()


def test_unknown_commands_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "unknown command 'trian'" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "python -m examples.rfmid train" in capsys.readouterr().out


def test_interruption_names_the_way_on(
    shared_data_folder: Path,
    tmp_path: Path,
    fail_in_epoch: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail_in_epoch(0, KeyboardInterrupt())
    arguments = ["train", "--data", str(shared_data_folder), "--run", str(tmp_path)]
    arguments += ["--preset", "demo", "--image-size", "32", "--min-count", "1", "--threads", "1"]
    arguments += ["--num-workers", "0"]
    assert main(arguments) == 130
    assert "train --resume goes on" in capsys.readouterr().err


# -- real photographs


def test_a_short_run_on_real_photographs(data_dir: Path, tmp_path: Path) -> None:
    root = tmp_path / "odir"
    for name, n in (("Training", 96), ("Validation", 64), ("Test", 32)):
        with (data_dir / "odir" / f"{name}_Labels.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        (root / name).mkdir(parents=True)
        with (root / f"{name}_Labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows[:n]])
        for row in rows[:n]:
            photograph = data_dir / "odir" / name / f"{row[0]}.jpg"
            (root / name / photograph.name).symlink_to(photograph)
    config = tiny(root, epochs=1)
    train(replace(config, data=replace(config.data, min_count=5)), tmp_path / "run")
    (epoch,) = history_of(tmp_path / "run")
    assert math.isfinite(epoch["train_loss"])
    assert Predictions.load(RunFolder(tmp_path / "run").predictions("test")).patients is not None
