"""What an epoch works with: data, model, loss, optimiser and schedule of one configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from torch.utils.data import DataLoader

from examples.rfmid.data.augmentation import build_augmentation
from examples.rfmid.data.batch_augmentation import BatchAugmentation, DrawnBatch, collate_drawn
from examples.rfmid.data.dataset import EpochSampler, EvaluationSet, TrainingSet, key, open_images
from examples.rfmid.data.images import check_images
from examples.rfmid.data.splits import FundusData, Split
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import Config
from examples.rfmid.training.device import default_workers, memory_format
from examples.rfmid.training.model import build_network
from examples.rfmid.training.world import World
from mlthresh import (
    FocalLossWithPosWeight,
    FocalPosterior,
    compute_pos_weight,
    discriminative_param_groups,
    ratio_cosine_schedule,
)

__all__ = ["Session", "build_session"]


@dataclass(frozen=True)
class Session:
    """All objects of a run, on their device.

    Attributes
    ----------
    model, network : nn.Module
        The same weights; `network` is what learns, on all ranks at once.
    augment : BatchAugmentation or None
        What augments a batch on the device; None: the loading processes do.
    """

    config: Config
    data: FundusData
    world: World
    preprocessing: Preprocessing
    model: nn.Module
    network: nn.Module
    criterion: FocalLossWithPosWeight
    posterior: FocalPosterior | None
    optimizer: Optimizer
    scheduler: LRScheduler
    sampler: EpochSampler
    augment: BatchAugmentation | None
    train_loader: DataLoader[Any]
    eval_loaders: dict[str, DataLoader[Any]]

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.world.device

    def inputs(self, batch: DrawnBatch | list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the augmented images and the labels of a training batch, on the device."""
        if isinstance(batch, DrawnBatch):
            assert self.augment is not None  # noqa: S101  # for the type checker
            batch = batch.to(self.device)
            return self.on_device(self.augment(batch)), batch.labels
        images, labels = batch
        return self.on_device(images), labels.to(self.device, non_blocking=True)

    def on_device(self, images: Tensor) -> Tensor:
        """Return the images on the device, in the network's memory format."""
        layout = memory_format(self.config, self.device)
        return images.to(self.device, non_blocking=True, memory_format=layout)


def build_session(
    config: Config,
    data: FundusData,
    world: World,
    *,
    pretrained: bool = True,
    checked_images: Path | None = None,
) -> Session:
    """Check or read the images, and build everything that the configuration names.

    Without `pretrained` the configured weights aren't read: a checkpoint will replace them. Without
    a cache, the images are decoded once in advance, but for those that `checked_images` lists.

    Raises
    ------
    RecipeError
        If an image can't be decoded, the weights can't be had, or the batch can't be split.
    """
    device, preprocessing = world.device, Preprocessing.from_config(config.image)
    with world.main_first():  # fills the cache, downloads the weights
        if config.runtime.cache == "none" and checked_images is not None and world.is_main:
            paths = [path for split in data.splits.values() for path in split.paths]
            check_images(paths, checked_images, config.runtime.threads)
        images = {name: open_images(config, split, name) for name, split in data.splits.items()}
        built = build_network(
            config.model.architecture,
            len(data.class_names),
            config.model.weights if pretrained else "none",
            seed=key(config.training.seed),
        )
    model = built.model.to(device).to(memory_format=memory_format(config, device))
    optimizer = _optimizer(config, model, built.head)
    criterion = _criterion(config, data.train)
    posterior = _posterior(criterion) if config.loss.link else None  # on the CPU
    if config.runtime.compile:
        model.compile()
    n_workers = default_workers(config.runtime.num_workers, device)
    loading: dict[str, Any] = {
        "batch_size": _batch_size(config, world),
        "num_workers": n_workers,
        "persistent_workers": n_workers > 0,
        "pin_memory": device.type == "cuda",
    }
    on_device = config.runtime.augment_on == "device" or (
        config.runtime.augment_on == "auto" and device.type == "cuda"
    )
    augment = BatchAugmentation(config.augmentation, preprocessing) if on_device else None
    changed = augment.draw if augment else build_augmentation(config.augmentation, preprocessing)
    sampler = EpochSampler(
        data.train.labels,
        by_rarest_class=config.training.sampler,
        seed=config.training.seed,
        rank=world.rank,
        n_ranks=world.size,
    )
    return Session(
        config=config,
        data=data,
        world=world,
        preprocessing=preprocessing,
        model=model,
        network=world.parallel(model),
        criterion=criterion.to(device),
        posterior=posterior,
        optimizer=optimizer,
        scheduler=_scheduler(config, optimizer),
        sampler=sampler,
        augment=augment,
        train_loader=DataLoader(
            TrainingSet(images["train"], data.train.labels, changed),
            sampler=sampler,
            collate_fn=collate_drawn if augment else None,
            # A last batch of one image has no variance for batch normalisation.
            drop_last=len(sampler) * world.size % config.training.batch_size == 1,
            generator=torch.Generator(),  # else the global one is advanced
            **loading,
        ),
        eval_loaders={
            name: DataLoader(
                EvaluationSet(images[name], preprocessing),
                sampler=world.part(len(images[name])),
                generator=torch.Generator(),
                **loading,
            )
            for name in data.splits
            if name != "train"
        },
    )


def _batch_size(config: Config, world: World) -> int:
    """Return a rank's part of a batch."""
    size, rest = divmod(config.training.batch_size, world.size)
    if rest:
        raise RecipeError(
            f"a batch of {config.training.batch_size} can't be split over {world.size} processes"
        )
    return size


def _criterion(config: Config, train: Split) -> FocalLossWithPosWeight:
    pos_weight = None
    if config.loss.pos_weight:
        weight = compute_pos_weight(train.labels, max_pos_weight=config.loss.max_pos_weight)
        pos_weight = torch.as_tensor(weight, dtype=torch.float32)
    return FocalLossWithPosWeight(config.loss.gamma, config.loss.alpha, pos_weight)


def _posterior(criterion: FocalLossWithPosWeight) -> FocalPosterior:
    return FocalPosterior(criterion.gamma, criterion.alpha, criterion.pos_weight)


def _optimizer(config: Config, model: nn.Module, head: str) -> Optimizer:
    groups = discriminative_param_groups(
        model,
        lr=config.optimizer.lr,
        head=head,
        backbone_scale=config.optimizer.backbone_scale,
        head_scale=config.optimizer.head_scale,
        weight_decay=config.optimizer.weight_decay,
    )
    return AdamW(groups, fused=next(model.parameters()).is_cuda)


def _scheduler(config: Config, optimizer: Optimizer) -> LRScheduler:
    settings = config.optimizer
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=settings.t_max, eta_min=settings.eta_min)
    return ratio_cosine_schedule(optimizer, t_max=settings.t_max, eta_min=settings.eta_min)
