from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from examples.rfmid.data.augmentation import build_augmentation
from examples.rfmid.data.dataset import (
    EpochSampler,
    EvaluationSet,
    ImageFiles,
    TrainingSet,
    key,
    open_images,
)
from examples.rfmid.data.splits import Split, load_data
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import (
    AugmentationConfig,
    Config,
    DataConfig,
    ImageConfig,
    RuntimeConfig,
)

PREPROCESSING = Preprocessing(image_size=32)


@pytest.fixture(scope="module")
def split(shared_data_folder: Path) -> Split:
    return load_data(DataConfig(folder=shared_data_folder, min_count=1)).train


def settings(**runtime: Any) -> Config:
    return Config(image=ImageConfig(image_size=32), runtime=RuntimeConfig(**runtime))


def training_set(split: Split, **runtime: Any) -> TrainingSet:
    images = open_images(settings(**runtime), split, "train")
    return TrainingSet(
        images, split.labels, build_augmentation(AugmentationConfig(), PREPROCESSING)
    )


def epoch_of(split: Split, epoch: int, *, n_workers: int = 0, **runtime: Any) -> torch.Tensor:
    """Return all images of an epoch, in the order drawn."""
    sampler = EpochSampler(split.labels, by_rarest_class=True, seed=5)
    sampler.set_epoch(epoch)
    loader = DataLoader(
        training_set(split, **runtime),
        sampler=sampler,
        batch_size=8,
        num_workers=n_workers,
        generator=torch.Generator(),
    )
    return torch.cat([images for images, _ in loader])


def test_augmentation_depends_on_seed_epoch_and_position_alone(split: Split) -> None:
    first = epoch_of(split, 0)
    torch.manual_seed(99)  # the global state is of no account ...
    state = torch.get_rng_state()
    assert torch.equal(epoch_of(split, 0), first)
    assert torch.equal(torch.get_rng_state(), state)  # ... and left alone
    assert not torch.equal(epoch_of(split, 1), first)


def test_workers_and_cache_change_nothing(split: Split, tmp_path: Path) -> None:
    alone = epoch_of(split, 3)
    assert torch.equal(epoch_of(split, 3, n_workers=2), alone)
    assert torch.equal(epoch_of(split, 3, cache="memory"), alone)
    for _ in range(2):  # written, read
        assert torch.equal(epoch_of(split, 3, cache="disk", cache_folder=tmp_path), alone)
    on_disk = epoch_of(split, 3, n_workers=2, cache="disk", cache_folder=tmp_path)
    assert torch.equal(on_disk, alone)


@pytest.mark.parametrize("by_rarest_class", [True, False])
@pytest.mark.parametrize("n_ranks", [2, 3, 5])
def test_ranks_share_the_stream_of_one_process(
    split: Split, n_ranks: int, by_rarest_class: bool
) -> None:
    def draws(rank: int, n: int) -> list[tuple[int, int]]:
        sampler = EpochSampler(
            split.labels, by_rarest_class=by_rarest_class, seed=1, rank=rank, n_ranks=n
        )
        sampler.set_epoch(4)
        assert len(list(sampler)) == len(sampler)
        return list(sampler)

    whole = draws(0, 1)
    parts = [draws(rank, n_ranks) for rank in range(n_ranks)]
    together = [draw for drawn in zip(*parts, strict=True) for draw in drawn]
    assert together[: len(whole)] == whole
    assert len(together) - len(whole) < n_ranks


def test_an_image_drawn_twice_is_changed_in_two_ways(split: Split) -> None:
    images = training_set(split)
    assert torch.equal(images[key(0, 1, 2), 4][0], images[key(0, 1, 2), 4][0])
    assert not torch.equal(images[key(0, 1, 2), 4][0], images[key(0, 1, 3), 4][0])
    sampler = EpochSampler(split.labels, by_rarest_class=True, seed=0)
    keys = [draw for draw, _ in sampler]
    assert len(set(keys)) == len(sampler) == 24


def test_labels_stay_with_their_images(split: Split) -> None:
    dataset = training_set(split)
    for index in range(len(dataset)):
        torch.testing.assert_close(dataset[0, index][1].numpy(), split.labels[index])


def test_evaluation_images_are_the_preprocessed_files(split: Split) -> None:
    dataset = EvaluationSet(ImageFiles(split.paths, PREPROCESSING), PREPROCESSING)
    with Image.open(split.paths[7]) as image:
        torch.testing.assert_close(dataset[7], PREPROCESSING(image))


def test_shuffling_shows_each_image_once(split: Split) -> None:
    sampler = EpochSampler(split.labels, by_rarest_class=False, seed=0)
    first = [index for _, index in sampler]
    assert sorted(first) == list(range(24))
    assert [index for _, index in sampler] == first
    sampler.set_epoch(1)
    assert [index for _, index in sampler] != first
    other = EpochSampler(split.labels, by_rarest_class=False, seed=1)
    assert [index for _, index in other] != first


def test_the_sampler_favours_the_rarest_class() -> None:
    labels = np.zeros((1000, 2), dtype=np.float32)
    labels[:500, 0] = 1
    labels[:10, 1] = 1
    sampler = EpochSampler(labels, by_rarest_class=True, seed=0)
    rows = Counter(index < 10 for _, index in sampler)
    # weights: 10 / 10 for the rare class; 490 / 500 for the common one; 500 / 500 for the rest
    assert rows[True] / 1000 == pytest.approx(1 / 2.98, abs=0.05)


def test_keys_are_seeds_that_differ() -> None:
    keys = {key(*parts) for parts in [(1, 2), (2, 1), (12,), (1, 2, 0), (0, 1, 2)]}
    assert len(keys) == 5
    assert all(0 <= k < 2**63 for k in keys)
    assert key(3, 4) == key(3, 4)


def test_an_image_that_vanishes_during_training_is_named(split: Split, tmp_path: Path) -> None:
    paths = (*split.paths[:-1], tmp_path / "gone.png")
    dataset = EvaluationSet(ImageFiles(paths, PREPROCESSING), PREPROCESSING)
    with pytest.raises(RecipeError, match=r"gone.png"):
        dataset[len(paths) - 1]
    for cache in ("memory", "disk"):
        config = settings(cache=cache, cache_folder=tmp_path)
        with pytest.raises(RecipeError, match=r"1 of \d+ images fail:\n .*gone.png"):
            open_images(config, replace(split, paths=paths), "train")
    assert not list(tmp_path.glob(".*")), "nothing half-written is left"
