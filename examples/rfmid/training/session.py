"""What an epoch works with: data, model, loss, optimiser and schedule of one configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from torch.utils.data import DataLoader

from examples.rfmid.data.augmentation import build_augmentation
from examples.rfmid.data.dataset import EpochSampler, EvaluationSet, ImageSource, TrainingSet, key
from examples.rfmid.data.images import check_images
from examples.rfmid.data.splits import FundusData, Split
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.settings import Config
from examples.rfmid.training.device import default_workers
from examples.rfmid.training.model import build_network
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
    """All objects of a run, on their device."""

    config: Config
    data: FundusData
    device: torch.device
    preprocessing: Preprocessing
    model: nn.Module
    criterion: FocalLossWithPosWeight
    posterior: FocalPosterior | None
    optimizer: Optimizer
    scheduler: LRScheduler
    sampler: EpochSampler
    train_loader: DataLoader[Any]
    eval_loaders: dict[str, DataLoader[Any]]


def build_session(
    config: Config,
    data: FundusData,
    folder: RunFolder,
    device: torch.device,
    *,
    pretrained: bool,
) -> Session:
    """Check or read the images, and build everything that the configuration names.

    Without `pretrained` the configured weights aren't read: a checkpoint will replace them.

    Raises
    ------
    RecipeError
        If an image can't be decoded, or the weights can't be had.
    """
    preprocessing = Preprocessing.from_config(config.image)
    cached = config.runtime.cache == "memory"
    threads = config.runtime.threads
    if not cached:  # filling the cache decodes them as well
        paths = [path for split in data.splits.values() for path in split.paths]
        check_images(paths, folder.checked_images, threads)
    images = {
        name: ImageSource(split.paths, preprocessing, cached=cached, threads=threads)
        for name, split in data.splits.items()
    }
    network = build_network(
        config.model.architecture,
        len(data.class_names),
        config.model.weights if pretrained else "none",
        seed=key(config.training.seed),
    )
    model = network.model.to(device)
    optimizer = _optimizer(config, model, network.head)
    sampler = EpochSampler(
        data.train.labels, by_rarest_class=config.training.sampler, seed=config.training.seed
    )
    n_workers = default_workers(config.runtime.num_workers, device)
    loading: dict[str, Any] = {
        "batch_size": config.training.batch_size,
        "num_workers": n_workers,
        "persistent_workers": n_workers > 0,
        "pin_memory": device.type == "cuda",
        "generator": torch.Generator(),  # else the global one is advanced
    }
    criterion = _criterion(config, data.train)
    augment = build_augmentation(config.augmentation, preprocessing)
    return Session(
        config=config,
        data=data,
        device=device,
        preprocessing=preprocessing,
        model=model,
        criterion=criterion.to(device),
        posterior=_posterior(criterion) if config.loss.link else None,
        optimizer=optimizer,
        scheduler=_scheduler(config, optimizer),
        sampler=sampler,
        train_loader=DataLoader(
            TrainingSet(images["train"], data.train.labels, augment),
            sampler=sampler,
            # A last batch of one image has no variance for batch normalisation.
            drop_last=len(sampler) % config.training.batch_size == 1,
            **loading,
        ),
        eval_loaders={
            name: DataLoader(EvaluationSet(images[name], preprocessing), **loading)
            for name in data.splits
            if name != "train"
        },
    )


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
    return AdamW(groups)


def _scheduler(config: Config, optimizer: Optimizer) -> LRScheduler:
    settings = config.optimizer
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=settings.t_max, eta_min=settings.eta_min)
    return ratio_cosine_schedule(optimizer, t_max=settings.t_max, eta_min=settings.eta_min)
