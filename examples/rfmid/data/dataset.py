"""Torch datasets of fundus photographs, with augmentation that doesn't depend on who runs it.

Each draw's augmentation is keyed by (seed, epoch, position in the epoch): the result is the same
with any number of worker processes and after a resumed run, and an image that the sampler draws
twice in an epoch is changed in two ways.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from examples.rfmid.data.images import for_each_image, load_image
from examples.rfmid.data.transforms import Preprocessing
from mlthresh import RarestClassSampler

__all__ = ["Draw", "EpochSampler", "EvaluationSet", "ImageSource", "TrainingSet", "key"]

Draw: TypeAlias = tuple[int, int]  # random key, index of the image


def key(*parts: int) -> int:
    """Return a seed that differs for different parts; every bit depends on every part."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1  # a torch seed is a signed integer


class ImageSource(Sequence[Tensor]):
    """The resized photographs of a split, uint8 of shape (3, H, W), read on demand or kept.

    Parameters
    ----------
    paths : sequence of Path
    preprocessing : Preprocessing
        Its `resize` is applied.
    cached : bool
        Decode all images now and keep them: 3 size^2 bytes each and a little more.
    threads : int, optional
        For decoding them.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        *,
        cached: bool = False,
        threads: int | None = None,
    ) -> None:
        self._paths = paths
        self._preprocessing = preprocessing
        self._kept: list[Tensor] | None = None
        if cached:
            self._kept = for_each_image(self._read, paths, "reading images", threads)

    def _read(self, path: Path) -> Tensor:
        return self._preprocessing.resize(load_image(path))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]  # no slices
        return self._kept[index] if self._kept is not None else self._read(self._paths[index])


class TrainingSet(Dataset[tuple[Tensor, Tensor]]):
    """Augmented image and labels of a draw ``(key, index)``.

    The global random state is the same after each item as before.
    """

    def __init__(
        self,
        images: ImageSource,
        labels: npt.NDArray[np.float32],
        augment: Callable[[Tensor], Tensor],
    ) -> None:
        self._images, self._augment = images, augment
        self._labels = torch.from_numpy(labels)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        seed, index = draw
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            image = self._augment(self._images[index])
        return image, self._labels[index]


class EvaluationSet(Dataset[Tensor]):
    """The model's input of each image, without any random change."""

    def __init__(self, images: ImageSource, preprocessing: Preprocessing) -> None:
        self._images, self._preprocessing = images, preprocessing

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        return self._preprocessing.finish(self._images[index])


class EpochSampler(Sampler[Draw]):
    """The draws of one epoch: by rarest class with replacement, or every image once, shuffled.

    `set_epoch` chooses the epoch; an epoch's draws are a function of the seed and its number.
    """

    def __init__(
        self, labels: npt.NDArray[np.float32], *, by_rarest_class: bool, seed: int
    ) -> None:
        self._rarest = RarestClassSampler(labels, seed=seed) if by_rarest_class else None
        self._n = len(labels) if self._rarest is None else len(self._rarest)
        self._seed, self._epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iterator."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Draw]:
        for position, index in enumerate(self._indices()):
            yield key(self._seed, self._epoch, position), index

    def _indices(self) -> list[int]:
        if self._rarest is not None:
            self._rarest.set_epoch(self._epoch)
            return list(self._rarest)
        generator = torch.Generator().manual_seed(key(self._seed, self._epoch))
        permutation: list[int] = torch.randperm(self._n, generator=generator).tolist()
        return permutation
