from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from examples.rfmid import locks
from examples.rfmid.data.dataset import key
from examples.rfmid.data.images import load_image
from examples.rfmid.data.splits import load_data
from examples.rfmid.data.transforms import build_preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.serving.bundle import load_bundle
from examples.rfmid.serving.export import export
from examples.rfmid.serving.grad_cam import grad_cam
from examples.rfmid.settings import Config
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.training import frozen
from examples.rfmid.training.pooled import configured_network
from examples.rfmid.training.train import train
from mlthresh import load_model
from tests.rfmid.simulation import tiny

FEATURES = ("features.1", "features.[23]")


def tiny_frozen(data: Path, **settings: Any) -> Config:
    """Settings for seconds, with a frozen random backbone."""
    return tiny(data, freeze="backbone", epochs=3, importance_weights=False, **settings)


def start_of(config: Config) -> dict[str, Tensor]:
    return configured_network(config, 3, seed=key(config.training.seed)).model.state_dict()


@pytest.fixture
def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the passes through the backbone."""
    names: list[str] = []
    original: Callable[..., Tensor] = frozen._one_view

    def counted(network: Any, loading: Any, images: Any, name: str, view: int) -> Tensor:
        names.append(name)
        return original(network, loading, images, name, view)

    monkeypatch.setattr(frozen, "_one_view", counted)
    return names


@pytest.mark.parametrize(
    ("views", "features"), [(1, ()), (3, ()), (1, FEATURES), (3, FEATURES)], ids=str
)
def test_only_the_head_learns_and_the_whole_network_is_saved(
    shared_data_folder: Path,
    tmp_path: Path,
    views: int,
    features: tuple[str, ...],
    count_passes: list[str],
) -> None:
    config = tiny_frozen(shared_data_folder, views=views, features=features)
    train(config, tmp_path)
    assert len(count_passes) == 2 + views  # validation, test, and each view of the training images
    network = configured_network(config, 3, seed=9)
    loaded = load_model(tmp_path, network.model)
    before, after = start_of(config), loaded.model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(f"{network.head}.") for name in changed)
    # what was saved gives, from the photographs, what the cached features gave
    assert loaded.preprocessing is not None
    preprocessing = build_preprocessing(loaded.preprocessing)
    data = load_data(config.data)
    images = torch.stack([preprocessing(load_image(path)) for path in data.test.paths])
    with torch.inference_mode():
        probabilities, _ = loaded(images)
    predictions = Predictions.load(RunFolder(tmp_path).predictions("test"))
    np.testing.assert_allclose(probabilities.numpy(), predictions.y_score, rtol=1e-4, atol=1e-7)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    rates = [json.loads(line)["lr"] for line in lines]
    assert all(set(one) == {"head"} for one in rates)


def test_features_are_kept_on_disk_and_made_anew_when_they_would_differ(
    shared_data_folder: Path, tmp_path: Path, count_passes: list[str]
) -> None:
    config = tiny_frozen(shared_data_folder, views=2)
    cached = replace(config.runtime, cache="disk", cache_folder=tmp_path / "cache")
    config = replace(config, runtime=cached)
    train(config, tmp_path / "one")
    assert len(count_passes) == 4
    train(config, tmp_path / "two")
    assert len(count_passes) == 4, "nothing passes through the backbone again"
    same = [Predictions.load(RunFolder(tmp_path / n).predictions("test")) for n in ("one", "two")]
    np.testing.assert_array_equal(same[0].y_score, same[1].y_score)
    gentler = replace(config, augmentation=replace(config.augmentation, rotation=10.0))
    train(gentler, tmp_path / "three")
    assert count_passes[4:] == ["train, view 2"], "only the augmented view depends on it"
    for path in (tmp_path / "cache").glob("features-*.npy"):
        path.write_bytes(path.read_bytes()[:50])
    train(config, tmp_path / "four")
    assert len(count_passes) == 9, "damaged files are not used"


def _want_features(path: Path, waits: Path, computes: Path) -> None:
    """Ask for features in another process, and leave a file where it waits or computes."""

    def compute() -> Tensor:
        computes.touch()
        return torch.zeros(3)

    def locked(*arguments: Any, **options: Any) -> Any:
        waits.touch()
        return locks.locked(*arguments, **options)

    frozen.locked = locked  # type: ignore[assignment]
    features = frozen._kept(path, compute)
    assert features.tolist() == [1.0, 2.0]


def test_who_wants_features_that_another_process_computes_waits(tmp_path: Path) -> None:
    waits, computes = tmp_path / "waits", tmp_path / "computes"
    path = tmp_path / "cache" / "features.npy"
    other = multiprocessing.get_context("spawn").Process(
        target=_want_features, args=(path, waits, computes)
    )

    def compute() -> Tensor:
        other.start()
        deadline = time.monotonic() + 300
        while not (waits.exists() or computes.exists()):
            assert other.exitcode is None, "it ended before it could wait"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return torch.tensor([1.0, 2.0])

    assert frozen._kept(path, compute).tolist() == [1.0, 2.0]
    other.join()
    assert not computes.exists()
    assert other.exitcode == 0
    assert [file.name for file in path.parent.iterdir()] == ["features.npy"]


def test_features_of_other_modules_are_not_mistaken(
    shared_data_folder: Path, tmp_path: Path, count_passes: list[str]
) -> None:
    cached = replace(PRESETS["demo"].runtime, cache="disk", cache_folder=tmp_path / "cache")
    for number, features in enumerate([(), ("features.1",), ("features.3",), ("features.3",)]):
        config = tiny_frozen(shared_data_folder, features=features)
        runtime = replace(cached, device="cpu", threads=1, num_workers=0)
        train(replace(config, runtime=runtime), tmp_path / str(number))
    assert len(count_passes) == 3 * 3, "the last run finds those of the one before"


@pytest.mark.parametrize("features", [(), FEATURES], ids=["head", "modules"])
@pytest.mark.parametrize("biases", ["as drawn", "of the preset"])
def test_a_resumed_run_ends_as_the_unbroken_one(
    shared_data_folder: Path, tmp_path: Path, features: tuple[str, ...], biases: str
) -> None:
    config = tiny_frozen(shared_data_folder, views=2, features=features)
    if biases == "of the preset":
        preset = PRESETS["frozen"]
        config = replace(
            config,
            model=replace(config.model, head_bias=preset.model.head_bias),
            optimizer=replace(config.optimizer, no_decay=preset.optimizer.no_decay),
        )
    train(config, tmp_path / "whole")
    stopping = replace(config, runtime=replace(config.runtime, max_minutes=1e-9))
    for _ in range(3):
        train(stopping, tmp_path / "broken", resume=(tmp_path / "broken").exists())
    one, other = (
        Predictions.load(RunFolder(tmp_path / name).predictions("test"))
        for name in ("whole", "broken")
    )
    np.testing.assert_array_equal(one.y_score, other.y_score)


def test_views_need_a_frozen_backbone() -> None:
    with pytest.raises(RecipeError, match="views is for a frozen backbone alone"):
        replace(PRESETS["demo"].model, views=2)


def test_features_need_a_frozen_backbone() -> None:
    with pytest.raises(RecipeError, match="features is for a frozen backbone alone"):
        replace(PRESETS["demo"].model, features=("features.1",))


@pytest.mark.parametrize("kind", ["program", "onnx"])
def test_a_run_on_the_features_of_modules_is_explained_predicted_and_exported(
    shared_data_folder: Path, tmp_path: Path, kind: Literal["program", "onnx"]
) -> None:
    config, run = tiny_frozen(shared_data_folder, features=FEATURES), tmp_path / "run"
    train(config, run)
    path = load_data(config.data).test.paths[0]
    bundle = load_bundle(run)
    probabilities, *_ = bundle.decide(load_image(path))
    saved = Predictions.load(RunFolder(run).predictions("test"))
    np.testing.assert_allclose(probabilities, saved.y_score[0], rtol=1e-4, atol=1e-7)
    maps, layer = grad_cam(
        bundle.model.model, bundle.head, bundle.preprocessing(load_image(path))[None], [0, 2]
    )
    assert layer.startswith("backbone.features.3"), "later maps don't reach the head"
    assert np.isfinite(maps).all()
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    assert export(run, kind=kind).is_file(), "which compares it with PyTorch"


def test_importance_weights_undo_the_sampler(shared_data_folder: Path, tmp_path: Path) -> None:
    """They change what is learned; without the sampler there is nothing to undo."""
    config = tiny_frozen(shared_data_folder)
    weighted = replace(config, training=replace(config.training, importance_weights=True))
    train(config, tmp_path / "plain")
    train(weighted, tmp_path / "weighted")
    one, other = (
        Predictions.load(RunFolder(tmp_path / name).predictions("test")).y_score
        for name in ("plain", "weighted")
    )
    assert np.abs(one - other).max() > 1e-4
    for name, one_config in (("even", config), ("even_weighted", weighted)):
        even = replace(one_config.training, sampler=False)
        train(replace(one_config, training=even), tmp_path / name)
    one, other = (
        Predictions.load(RunFolder(tmp_path / name).predictions("test")).y_score
        for name in ("even", "even_weighted")
    )
    np.testing.assert_array_equal(one, other)
