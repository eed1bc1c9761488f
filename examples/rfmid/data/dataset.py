"""Torch datasets of fundus photographs, with augmentation that doesn't depend on who runs it.

Each draw's augmentation is keyed by (seed, epoch, position in the epoch): the result is the same
with any number of worker processes or ranks and after a resumed run, and an image that the sampler
draws twice in an epoch is changed in two ways.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from examples.rfmid.data.cache import open_caches
from examples.rfmid.data.images import for_each_image, load_image
from examples.rfmid.data.splits import Split
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.settings import Config
from mlthresh import RarestClassSampler

Draw: TypeAlias = tuple[int, int]  # random key, index of the image


def key(*parts: int) -> int:
    """Return a seed that differs for different parts; every bit depends on every part."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1  # a torch seed is a signed integer


class ImageFiles(Sequence[Tensor]):
    """The resized photographs of a split, uint8 of shape (3, H, W), decoded at each reading."""

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing) -> None:
        self._paths, self._preprocessing = paths, preprocessing

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]  # no slices
        return self.read(self._paths[index])

    def read(self, path: Path) -> Tensor:
        """Decode and resize one photograph."""
        return self._preprocessing.resize(load_image(path))


def open_images(config: Config, split: Split, name: str) -> Sequence[Tensor]:
    """Return the resized photographs of a split, from where ``runtime.cache`` says.

    Filling a cache decodes every photograph once, and fails where one can't be.
    """
    preprocessing, runtime = Preprocessing.from_config(config.image), config.runtime
    if runtime.cache == "disk":
        folder = runtime.cache_folder or config.data.folder / ".rfmid_cache"
        if config.data.folds and name in ("train", "val"):
            name = "development"  # all folds share the files
        return open_caches(split.paths, preprocessing, folder, name, runtime.threads)
    files = ImageFiles(split.paths, preprocessing)
    if runtime.cache == "memory":
        return for_each_image(files.read, split.paths, "reading images", runtime.threads)
    return files


class TrainingSet(Dataset[tuple[Any, Tensor]]):
    """What `augment` makes of a draw ``(key, index)``, and the image's targets.

    The global random state is the same after each item as before.
    """

    def __init__(
        self,
        images: Sequence[Tensor],
        targets: npt.NDArray[np.float32],
        augment: Callable[[Tensor], Any],
    ) -> None:
        self._images, self._augment = images, augment
        self._targets = torch.from_numpy(targets)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, draw: Draw) -> tuple[Any, Tensor]:
        seed, index = draw
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            image = self._augment(self._images[index])
        return image, self._targets[index]


class EvaluationSet(Dataset[Tensor]):
    """The model's input of each image, without any random change."""

    def __init__(self, images: Sequence[Tensor], preprocessing: Preprocessing) -> None:
        self._images, self._preprocessing = images, preprocessing

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        return self._preprocessing.finish(self._images[index])


class EpochSampler(Sampler[Draw]):
    """The draws of one epoch: by rarest class with replacement, or every image once, shuffled.

    `set_epoch` chooses the epoch; an epoch's draws are a function of the seed and its number. Of
    `n_ranks` processes, each takes every `n_ranks`-th draw: together the stream of one process,
    which goes on where it doesn't divide evenly.
    """

    def __init__(
        self,
        labels: npt.NDArray[np.float32],
        *,
        by_rarest_class: bool,
        seed: int,
        rank: int = 0,
        n_ranks: int = 1,
    ) -> None:
        self._rarest = None
        if by_rarest_class:
            self._rarest = RarestClassSampler(labels, seed=seed, num_replicas=n_ranks, rank=rank)
        self._n_images, self._rank, self._n_ranks = len(labels), rank, n_ranks
        self._seed, self.epoch = seed, 0

    @property
    def importance_weights(self) -> npt.NDArray[np.float32] | None:
        """What undoes the uneven sampling, for each image; None where it is even."""
        if self._rarest is None:
            return None
        weights: npt.NDArray[np.float32] = self._rarest.importance_weights.float().numpy()
        return weights

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iterator."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return this rank's number of draws."""
        return len(self._rarest) if self._rarest else -(-self._n_images // self._n_ranks)

    def __iter__(self) -> Iterator[Draw]:
        for draw, index in enumerate(self._indices()):
            position = draw * self._n_ranks + self._rank
            yield key(self._seed, self.epoch, position), index

    def _indices(self) -> list[int]:
        if self._rarest is not None:
            self._rarest.set_epoch(self.epoch)
            return list(self._rarest)
        generator = torch.Generator().manual_seed(key(self._seed, self.epoch))
        order = torch.randperm(self._n_images, generator=generator).tolist()
        n_draws = len(self) * self._n_ranks
        return list(islice(cycle(order), self._rank, n_draws, self._n_ranks))
