"""What an epoch works with: data, model, loss, optimiser and schedule of one configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from torch.utils.data import DataLoader

from examples.rfmid.data.dataset import EpochSampler, EvaluationSet, TrainingSet, key, open_images
from examples.rfmid.data.images import check_images
from examples.rfmid.data.splits import FundusData, Split
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.settings import Config
from examples.rfmid.training.device import memory_format
from examples.rfmid.training.frozen import FeatureSet, ViewSet, as_given, compute_features
from examples.rfmid.training.grading import add_grades, grade_loss
from examples.rfmid.training.loading import Loading
from examples.rfmid.training.model import Network
from examples.rfmid.training.pooled import StandardisedLinear, configured_network
from examples.rfmid.training.prior import start_at_prevalence
from examples.rfmid.training.world import World
from mlthresh import (
    FocalLossWithPosWeight,
    FocalPosterior,
    compute_pos_weight,
    discriminative_param_groups,
    ratio_cosine_schedule,
)


@dataclass(frozen=True)
class Session:
    """All objects of a run, on their device.

    Attributes
    ----------
    whole : nn.Module
        From images to logits: what is saved, but for the grades.
    head : str
        The name of its head.
    model, network : nn.Module
        The part of it that learns: all, or the head. `network` does so on all ranks at once.
    complete : bool
        Whether no training label is missing.
    """

    config: Config
    data: FundusData
    world: World
    preprocessing: Preprocessing
    whole: nn.Module
    head: str
    model: nn.Module
    network: nn.Module
    criterion: FocalLossWithPosWeight
    posterior: FocalPosterior | None
    optimizer: Optimizer
    scheduler: LRScheduler
    sampler: EpochSampler
    loading: Loading
    complete: bool
    train_loader: DataLoader[Any]
    eval_loaders: dict[str, DataLoader[Any]]

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.world.device

    @property
    def n_classes(self) -> int:
        """How many of the outputs are for presence; the rest are for grades."""
        return len(self.data.class_names)

    def inputs(self, batch: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the images, targets and sample weights of a training batch, on the device.

        The targets are the labels, and behind them the grades, if any are learnt.
        """
        images, targets = self.loading.inputs(batch)
        weight = targets[:, -1] if self.config.training.importance_weights else None
        return images, targets[:, :-1], weight

    def loss(self, outputs: Tensor, targets: Tensor, weight: Tensor | None) -> Tensor:
        """Return this rank's part of a batch's loss.

        Complete labels are handed on as booleans and absent weights as None: the loss checks the
        values of others, and while it does, a GPU waits.
        """
        n, levels = self.n_classes, tuple(self.data.grade_levels.values())
        labels, grades = targets[:, :n], targets[:, n:]
        if self.complete:
            labels = labels > 0
        loss: Tensor = self.criterion(outputs[:, :n], labels, weight) * self.world.share(labels)
        if levels:
            factor = self.config.loss.grade_weight * self.world.share(grades)
            loss = loss + factor * grade_loss(outputs[:, n:], grades, levels, weight)
        return loss


def build_session(
    config: Config,
    data: FundusData,
    world: World,
    *,
    pretrained: bool = True,
    checked_images: Path | None = None,
) -> Session:
    """Check or read the images, and build everything that the configuration names.

    Without `pretrained` the configured weights aren't read, as a checkpoint will replace them, but
    for a frozen backbone's. Without a cache, the images are decoded once in advance, but for those
    that `checked_images` lists.

    Raises
    ------
    RecipeError
        If an image can't be decoded, the weights can't be had, or the batch can't be split.
    """
    device, preprocessing = world.device, Preprocessing.from_config(config.image)
    frozen = config.model.freeze == "backbone"
    with world.main_first():  # fills the cache, downloads the weights
        if config.runtime.cache == "none" and checked_images is not None and world.is_main:
            paths = [path for split in data.splits.values() for path in split.paths]
            check_images(paths, checked_images, config.runtime.threads)
        images = {name: open_images(config, split, name) for name, split in data.splits.items()}
        built = configured_network(
            config,
            len(data.class_names),
            weights=config.model.weights if pretrained or frozen else "none",
            seed=key(config.training.seed),
        )
    criterion = _criterion(config, data.train)
    # On the CPU, as the criterion is still.
    posterior = FocalPosterior(criterion.gamma, criterion.alpha, criterion.pos_weight)
    if config.model.head_bias == "prevalence":
        start_at_prevalence(built, data.train.labels, posterior)
    if data.grade_levels:
        add_grades(
            built,
            tuple(data.grade_levels.values()),
            image_size=config.image.image_size,
            seed=key(config.training.seed, -3),
        )
    model = built.model.to(device).to(memory_format=memory_format(config, device))
    learner = model
    sampler = EpochSampler(
        data.train.labels,
        by_rarest_class=config.training.sampler,
        seed=config.training.seed,
        rank=world.rank,
        n_ranks=world.size,
    )
    weights = sampler.importance_weights if config.training.importance_weights else None
    weight = np.ones(len(data.train), np.float32) if weights is None else weights
    targets = np.column_stack([data.train.labels, data.grades("train"), weight])
    # A last batch of one image has no variance for batch normalisation.
    drop_last = len(sampler) * world.size % config.training.batch_size == 1
    loading = Loading(config, world, preprocessing)
    from_memory: dict[str, Any] = {"num_workers": 0, "collate_fn": as_given} if frozen else {}
    if frozen:
        features = compute_features(Network(model, built.head), loading, data, images)
        learner = model.requires_grad_(requires_grad=False).get_submodule(built.head)
        learner.requires_grad_()
        for module in learner.modules():
            if isinstance(module, StandardisedLinear):
                module.standardise(features["train"])
        train_loader = loading.plain(
            ViewSet(features.pop("train"), targets),
            sampler,
            drop_last=drop_last,
            **from_memory,
        )
        evaluated: Any = {name: FeatureSet(given) for name, given in features.items()}
    else:
        train_loader = loading.training(
            TrainingSet(images["train"], targets, loading.change), sampler, drop_last=drop_last
        )
        evaluated = {
            name: EvaluationSet(images[name], preprocessing)
            for name in data.splits
            if name != "train"
        }
    optimizer = _optimizer(config, model, built.head)
    if config.runtime.compile:
        learner.compile()
    return Session(
        config=config,
        data=data,
        world=world,
        preprocessing=preprocessing,
        whole=model,
        head=built.head,
        model=learner,
        network=world.parallel(learner),
        criterion=criterion.to(device),
        posterior=posterior if config.loss.link else None,
        optimizer=optimizer,
        scheduler=_scheduler(config, optimizer),
        sampler=sampler,
        loading=loading,
        complete=not np.isnan(data.train.labels).any(),
        train_loader=train_loader,
        eval_loaders={
            name: loading.plain(dataset, world.part(len(dataset)), **from_memory)
            for name, dataset in evaluated.items()
        },
    )


def _criterion(config: Config, train: Split) -> FocalLossWithPosWeight:
    pos_weight = None
    if config.loss.pos_weight:
        weight = compute_pos_weight(train.labels, max_pos_weight=config.loss.max_pos_weight)
        pos_weight = torch.as_tensor(weight, dtype=torch.float32)
    return FocalLossWithPosWeight(config.loss.gamma, config.loss.alpha, pos_weight)


def _optimizer(config: Config, model: nn.Module, head: str) -> Optimizer:
    groups = discriminative_param_groups(
        model,
        lr=config.optimizer.lr,
        head=head,
        backbone_scale=config.optimizer.backbone_scale,
        head_scale=config.optimizer.head_scale,
        weight_decay=config.optimizer.weight_decay,
        no_decay=config.optimizer.no_decay,
    )
    learning = [group for group in groups if group["params"]]
    return AdamW(learning, fused=next(model.parameters()).is_cuda)


def _scheduler(config: Config, optimizer: Optimizer) -> LRScheduler:
    settings = config.optimizer
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=settings.t_max, eta_min=settings.eta_min)
    return ratio_cosine_schedule(optimizer, t_max=settings.t_max, eta_min=settings.eta_min)
