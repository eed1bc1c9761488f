from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from examples.rfmid.data.images import load_image
from examples.rfmid.data.splits import load_data
from examples.rfmid.data.transforms import build_preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.runfolder import Predictions, RunFolder
from examples.rfmid.settings import Config, DataConfig
from examples.rfmid.settings.presets import PRESETS
from examples.rfmid.training import frozen
from examples.rfmid.training.model import build_network
from examples.rfmid.training.train import train
from mlthresh import load_model


def tiny(data: Path, **model_settings: Any) -> Config:
    """Settings for seconds: 24 images of 32 pixels, a frozen random backbone."""
    demo = PRESETS["demo"]
    return replace(
        demo,
        data=DataConfig(folder=data, min_count=1),
        image=replace(demo.image, image_size=32),
        model=replace(demo.model, freeze="backbone", **model_settings),
        training=replace(demo.training, epochs=3, batch_size=8, importance_weights=False),
        runtime=replace(demo.runtime, device="cpu", threads=1, num_workers=0),
    )


def start_of(config: Config) -> dict[str, Tensor]:
    from examples.rfmid.data.dataset import key

    return build_network("convnext_demo", 3, seed=key(config.training.seed)).model.state_dict()


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


@pytest.mark.parametrize("views", [1, 3])
def test_only_the_head_learns_and_the_whole_network_is_saved(
    shared_data_folder: Path, tmp_path: Path, views: int, count_passes: list[str]
) -> None:
    config = tiny(shared_data_folder, views=views)
    train(config, tmp_path)
    assert len(count_passes) == 2 + views  # validation, test, and each view of the training images
    loaded = load_model(tmp_path, build_network("convnext_demo", 3, seed=9).model)
    before, after = start_of(config), loaded.model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("classifier.") for name in changed)
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
    config = tiny(shared_data_folder, views=2)
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


def test_a_resumed_run_ends_as_the_unbroken_one(shared_data_folder: Path, tmp_path: Path) -> None:
    config = tiny(shared_data_folder, views=2)
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


def test_importance_weights_undo_the_sampler(shared_data_folder: Path, tmp_path: Path) -> None:
    """They change what is learned; without the sampler there is nothing to undo."""
    config = tiny(shared_data_folder)
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
