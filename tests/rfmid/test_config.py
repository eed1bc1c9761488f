from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import (
    AugmentationConfig,
    Config,
    DataConfig,
    ImageConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    RuntimeConfig,
    ThresholdConfig,
    TrainingConfig,
)
from examples.rfmid.settings.arguments import parse_call
from examples.rfmid.settings.config_file import (
    config_to_dict,
    differences,
    load_config,
    save_config,
)
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.training.train import train


def parse(*arguments: str) -> Config:
    config = parse_call(train, ["--run", "r", "--data", "d", *arguments], "train")["config"]
    assert isinstance(config, Config)
    return config


def test_after_holds_every_value_of_the_deck() -> None:
    after = PRESETS["after"]
    ours = differences(after, Config())
    assert ours == {
        "loss.link": (False, True),
        "optimizer.schedule": ("cosine", "ratio_cosine"),
        "training.selection": ("macro_f1_tuned", "macro_f1_cross_fitted"),
        "thresholds.strategy": ("grid", "pooled"),
    }
    assert (after.image.image_size, after.data.min_count) == (224, 20)
    assert (after.model.architecture, after.model.weights) == ("convnext_tiny", "imagenet")
    rates = after.optimizer
    assert rates.lr * rates.backbone_scale == pytest.approx(1.33e-4, rel=5e-3)
    assert rates.lr * rates.head_scale == pytest.approx(1.6e-3)
    assert (rates.lr, rates.backbone_scale, rates.head_scale) == (2e-3, 1 / 15, 0.8)
    assert (rates.weight_decay, rates.t_max, rates.eta_min) == (1e-4, 50, 1e-7)
    assert rates.clip_norm == 1.0
    training = after.training
    assert (training.epochs, training.patience, training.batch_size) == (50, 8, 64)
    assert (training.sampler, training.selection) == (True, "macro_f1_tuned")
    assert after.loss == LossConfig(2.5, 0.15, pos_weight=True, max_pos_weight=10.0, link=False)
    thresholds = after.thresholds
    assert (thresholds.strategy, thresholds.min_recall, thresholds.max_threshold) == (
        "grid",
        0.3,
        0.7,
    )
    assert (thresholds.grid_min, thresholds.grid_max, thresholds.grid_step) == (0.1, 0.9, 0.05)
    assert after.image.mean == (0.485, 0.456, 0.406)
    assert after.image.std == (0.229, 0.224, 0.225)
    assert after.augmentation == AugmentationConfig(
        sharpness=2.0,
        sharpness_p=0.8,
        rotation=180.0,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=0.1,
        affine_degrees=15.0,
        translate=0.1,
        scale_min=0.9,
        scale_max=1.1,
        blur_kernel=3,
        blur_sigma_min=0.1,
        blur_sigma_max=2.0,
        horizontal_flip=0.5,
        vertical_flip=0.5,
        erasing=0.2,
    )


def test_before_differs_from_after_in_the_deck_s_changes_alone() -> None:
    assert differences(PRESETS["before"], PRESETS["after"]) == {
        "data.min_count": (1, 20),
        "loss.gamma": (2.0, 2.5),
        "loss.alpha": (0.25, 0.15),
        "loss.max_pos_weight": (None, 10.0),
        "training.epochs": (30, 50),
        "training.patience": (5, 8),
        "training.selection": ("val_loss", "macro_f1_tuned"),
        "thresholds.strategy": ("fixed", "grid"),
    }
    assert PRESETS["before"].thresholds.fixed_threshold == 0.5


@pytest.mark.parametrize("name", ["cpu", "demo"])
def test_cpu_presets_learn_from_scratch_at_one_rate(name: str) -> None:
    preset = PRESETS[name]
    assert (preset.model.architecture, preset.model.weights) == ("convnext_demo", "none")
    assert preset.optimizer.backbone_scale == preset.optimizer.head_scale == 1.0
    assert preset.image.image_size == {"cpu": 96, "demo": 64}[name]
    assert preset.runtime.cache == "memory"


@pytest.mark.parametrize("name", PRESETS)
def test_json_round_trip(name: str, tmp_path: Path) -> None:
    config = replace(PRESETS[name], data=replace(PRESETS[name].data, folder=Path("some/where")))
    save_config(tmp_path / "config.json", config)
    assert load_config(tmp_path / "config.json") == config


@pytest.mark.parametrize(
    ("section", "setting", "value", "message"),
    [
        ("loss", "gamma", "2.5", "loss.gamma can't be '2.5'"),
        ("loss", "gamma", None, "loss.gamma can't be None"),
        ("loss", "gamma", -1.0, "gamma must be at least 0"),
        ("loss", "pos_weight", 1, "loss.pos_weight can't be 1"),
        ("training", "epochs", True, "training.epochs can't be True"),
        ("training", "selection", "luck", "selection must be one of macro_f1_cross_fitted"),
        ("image", "mean", [0.5, 0.5], r"image.mean can't be \[0.5, 0.5\]"),
        ("data", "ignore_columns", "Age", "data.ignore_columns can't be 'Age'"),
        ("model", "depth", 3, "in model: unknown settings: depth"),
    ],
)
def test_damaged_config_file(
    section: str, setting: str, value: object, message: str, tmp_path: Path
) -> None:
    values = config_to_dict(Config())
    values[section][setting] = value
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    with pytest.raises(RecipeError, match=message) as raised:
        load_config(path)
    assert str(path) in str(raised.value)


def test_settings_younger_than_the_file_mean_what_runs_did_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    values = config_to_dict(PRESETS["frozen"])
    for section, name in (("model", "head_bias"), ("optimizer", "no_decay"), ("loss", "link")):
        del values[section][name]
    path.write_text(json.dumps(values))
    assert differences(PRESETS["frozen"], load_config(path)) == {
        "loss.link": (True, False),  # scores were the sigmoid's
        "model.head_bias": ("prevalence", "drawn"),
        "optimizer.no_decay": ("norm_and_bias", "none"),
    }
    assert capsys.readouterr().err == (
        f"note: {path} is older than these settings, taken as: "
        "loss.link False, model.head_bias drawn, optimizer.no_decay none\n"
    )
    save_config(path, load_config(path))
    capsys.readouterr()
    load_config(path)
    assert not capsys.readouterr().err, "a whole file is read without a word"


@pytest.mark.parametrize("name", [f.name for f in fields(Config)])
def test_any_one_setting_may_be_younger_but_no_section(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for setting in config_to_dict(Config())[name]:
        values = config_to_dict(Config())
        del values[name][setting]
        path.write_text(json.dumps(values))
        assert set(differences(Config(), load_config(path))) <= {"loss.link"}
    values = config_to_dict(Config())
    del values[name]
    path.write_text(json.dumps(values))
    with pytest.raises(RecipeError, match=f"absent: {name}"):
        load_config(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataConfig(min_count=0), "min_count must be at least 1, got 0"),
        (lambda: ImageConfig(image_size=16), "image_size must be at least 32"),
        (lambda: ImageConfig(std=(1.0, 0.0, 1.0)), "std must be above 0"),
        (lambda: AugmentationConfig(erasing=1.5), "erasing must be between 0 and 1, got 1.5"),
        (lambda: AugmentationConfig(hue=0.6), "hue must be between 0 and 0.5"),
        (lambda: AugmentationConfig(scale_min=1.2), "scale_min <= scale_max"),
        (lambda: AugmentationConfig(blur_kernel=4), "blur_kernel must be 0 or an odd number"),
        (lambda: ModelConfig(architecture="convnext_demo"), "no ImageNet weights"),
        (lambda: LossConfig(alpha=1.0), "alpha must be between 0 and 1"),
        (lambda: LossConfig(gamma=float("nan")), "gamma must be at least 0, got nan"),
        (lambda: OptimizerConfig(lr=0.0), "lr must be a finite number above 0"),
        (lambda: OptimizerConfig(clip_norm=0.0), "clip_norm must be"),
        (lambda: OptimizerConfig(eta_min=1.0), "eta_min 1.0 is above the head's learning rate"),
        (lambda: TrainingConfig(batch_size=0), "batch_size must be at least 1"),
        (lambda: ThresholdConfig(min_recall=1.1), "min_recall must be between 0 and 1"),
        (lambda: ThresholdConfig(grid_min=0.8, grid_max=0.2), "has no points"),
        (lambda: RuntimeConfig(threads=0), "threads must be at least 1"),
        (
            lambda: Config(optimizer=OptimizerConfig(schedule="cosine", t_max=49)),
            "the learning rate rises again after t_max = 49 epochs",
        ),
    ],
)
def test_invalid_settings(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(RecipeError, match=message):
        make()


def test_flags_override_the_preset() -> None:
    config = parse("--preset", "demo", "--epochs", "3", "--alpha", "None", "--no-sampler")
    assert differences(PRESETS["demo"], config) == {
        "data.folder": ("data", "d"),
        "loss.alpha": (0.15, None),
        "training.epochs": (PRESETS["demo"].training.epochs, 3),
        "training.sampler": (True, False),
    }


def test_flag_names_are_unique_over_the_sections() -> None:
    names = [f.name for section in fields(Config) for f in fields(getattr(Config(), section.name))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--preset", "during"],
            "unknown preset 'during'; there are default, after, before, cpu, frozen, demo",
        ),
        (["--preset"], "--preset"),
        (["--gamma", "-1"], "gamma must be at least 0"),
        (["--resume"], "r holds no run to resume"),
    ],
)
def test_refused_arguments(arguments: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(*arguments)


@pytest.mark.parametrize("arguments", [["--gama", "2"], ["--gamma", "x"], ["--fit", "squeeze"]])
def test_malformed_arguments_exit_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(*arguments)
    assert raised.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_data_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_call(train, ["--run", "r"], "train")
    assert "--data" in capsys.readouterr().err


def test_resuming_starts_from_the_stored_settings(tmp_path: Path) -> None:
    stored = replace(PRESETS["demo"], data=DataConfig(folder=Path("there"), min_count=3))
    save_config(tmp_path / "config.json", stored)
    chosen = parse_call(train, ["--run", str(tmp_path), "--resume", "--max-minutes", "5"], "train")
    assert chosen["resume"]
    assert differences(stored, chosen["config"]) == {"runtime.max_minutes": (None, 5.0)}
    with pytest.raises(RecipeError, match="leave out --preset"):
        parse_call(train, ["--run", str(tmp_path), "--resume", "--preset", "cpu"], "train")
