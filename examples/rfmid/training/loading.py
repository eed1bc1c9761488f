"""How batches come about, on how many processes, and how they reach the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from examples.rfmid.data.augmentation import build_augmentation
from examples.rfmid.data.batch_augmentation import BatchAugmentation, DrawnBatch, collate_drawn
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import Config
from examples.rfmid.training.device import default_workers, memory_format
from examples.rfmid.training.world import World


@dataclass(frozen=True)
class Loading:
    """The loaders of a run, and the way of their batches to the device."""

    config: Config
    world: World
    preprocessing: Preprocessing

    @cached_property
    def on_device(self) -> BatchAugmentation | None:
        """What augments a batch on the device; None: the loading processes do."""
        chosen = self.config.runtime.augment_on
        if chosen == "device" or (chosen == "auto" and self.world.device.type == "cuda"):
            return BatchAugmentation(self.config.augmentation, self.preprocessing)
        return None

    @property
    def change(self) -> Callable[[Tensor], Any]:
        """What a loading process does to a resized image: augment it, or draw how to."""
        if self.on_device is not None:
            return self.on_device.draw
        augmentation: Callable[[Tensor], Any] = build_augmentation(
            self.config.augmentation, self.preprocessing
        )
        return augmentation

    def training(
        self, dataset: Dataset[Any], draws: Iterable[Any], *, drop_last: bool = False
    ) -> DataLoader[Any]:
        """Return batches of augmented images with their targets, one for each draw."""
        collate = collate_drawn if self.on_device is not None else None
        return self._loader(dataset, sampler=draws, drop_last=drop_last, collate_fn=collate)

    def plain(self, dataset: Dataset[Any], draws: Iterable[Any], **options: Any) -> DataLoader[Any]:
        """Return batches of a data set's items as they are."""
        return self._loader(dataset, sampler=draws, **options)

    def inputs(self, batch: DrawnBatch | list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the network's input and the targets of a training batch, on the device."""
        if isinstance(batch, DrawnBatch):
            assert self.on_device is not None  # noqa: S101  # for the type checker
            batch = batch.to(self.world.device)
            return self.moved(self.on_device(batch)), batch.labels
        images, targets = batch
        return self.moved(images), targets.to(self.world.device, non_blocking=True)

    def moved(self, images: Tensor) -> Tensor:
        """Return a network's input on the device, images in the network's memory format."""
        device = self.world.device
        if images.ndim != 4:
            return images.to(device, non_blocking=True)
        layout = memory_format(self.config, device)
        return images.to(device, non_blocking=True, memory_format=layout)

    def _loader(self, dataset: Dataset[Any], **options: Any) -> DataLoader[Any]:
        size, rest = divmod(self.config.training.batch_size, self.world.size)
        if rest:
            raise RecipeError(
                f"a batch of {self.config.training.batch_size} can't be split over "
                f"{self.world.size} processes"
            )
        settings: dict[str, Any] = {
            "batch_size": size,
            "num_workers": default_workers(self.config.runtime.num_workers, self.world.device),
            "pin_memory": self.world.device.type == "cuda",
            "generator": torch.Generator(),  # else the global one is advanced
            **options,
        }
        return DataLoader(dataset, persistent_workers=settings["num_workers"] > 0, **settings)
