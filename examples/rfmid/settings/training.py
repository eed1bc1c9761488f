"""Settings of the network, its training and its thresholds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from examples.rfmid.settings.checks import require, require_choices, require_range

ARCHITECTURES = ("convnext_tiny", "convnext_small", "convnext_base", "convnext_demo")


@dataclass(frozen=True)
class ModelConfig:
    """The network and where its weights start."""

    architecture: str = "convnext_tiny"
    """convnext_tiny, convnext_small or convnext_base (torchvision's); convnext_demo, with
    32-64-128-256 channels, for CPUs; or a factory package.module:function(n_classes, pretrained)
    that returns a module and the name of its head."""
    weights: str = "imagenet"
    """imagenet (torchvision's IMAGENET1K_V1, downloaded; of a factory, what it calls pretrained),
    none, or a .pth or .safetensors file."""
    freeze: Literal["none", "backbone"] = "none"
    """backbone: only the head learns, from features that are computed once."""
    features: tuple[str, ...] = ()
    """With a frozen backbone: modules, such as layer? or features.*, from whose feature maps a
    linear head learns (each channel's mean and standard deviation over the positions,
    standardised); none: the network's own head learns."""
    views: int = 1
    """With a frozen backbone: each training image as it is, and views - 1 times augmented."""
    head_bias: Literal["drawn", "prevalence"] = "drawn"
    """Where the biases of the last layer start: as the network draws or loads them, or where the
    loss's inverse link gives each class's prevalence among the training images."""

    def __post_init__(self) -> None:
        require(
            ":" in self.architecture or self.architecture in ARCHITECTURES,
            f"architecture must be one of {', '.join(ARCHITECTURES)} or a factory "
            f"package.module:function, got {self.architecture!r}",
        )
        require_choices(self)
        require_range(self, 1, math.inf, "views")
        for name, used in (("views", self.views > 1), ("features", len(self.features) > 0)):
            frozen = self.freeze == "backbone"
            require(frozen or not used, f"{name} is for a frozen backbone alone")
        require(bool(self.weights), "weights must be imagenet, none or a file, got an empty text")
        require(
            not (self.architecture == "convnext_demo" and self.weights == "imagenet"),
            "convnext_demo has no ImageNet weights; pass --weights none or a file",
        )


@dataclass(frozen=True)
class LossConfig:
    """Focal loss with positive-class weights."""

    gamma: float = 2.5
    """Focusing: 0 is plain binary cross-entropy."""
    alpha: float | None = 0.15
    """Weight of positives; negatives get 1 - alpha; None leaves it out."""
    pos_weight: bool = True
    """Weight each class's positives by negatives / positives."""
    max_pos_weight: float | None = 10.0
    """Largest such weight; None: unlimited."""
    grade_weight: float = 0.1
    """Weight of the grades' loss beside that of presence, where grades are learnt. A focal loss is
    some ten times smaller than a likelihood."""
    link: bool = True
    """Turn outputs into probabilities by the loss's inverse link; no-link: the sigmoid alone."""

    def __post_init__(self) -> None:
        require_range(self, 0, math.inf, "gamma", "grade_weight")
        if self.alpha is not None:
            require(0 < self.alpha < 1, f"alpha must be between 0 and 1, got {self.alpha}")
        if self.max_pos_weight is not None:
            require(
                self.max_pos_weight > 0, f"max_pos_weight must be above 0: {self.max_pos_weight}"
            )


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with one learning rate for the backbone and one for the head."""

    lr: float = 2e-3
    """Base learning rate."""
    backbone_scale: float = 1 / 15
    """The backbone's learning rate, as a part of lr."""
    head_scale: float = 0.8
    """The head's learning rate, as a part of lr."""
    weight_decay: float = 1e-4
    """AdamW's decoupled weight decay."""
    no_decay: Literal["none", "norm_and_bias"] = "none"
    """What it leaves out: norm_and_bias are biases, normalisation layers, layer scales, tokens."""
    schedule: Literal["ratio_cosine", "cosine"] = "ratio_cosine"
    """ratio_cosine keeps the rates' ratio; cosine, the deck's, lets it decay to 1 : 1."""
    t_max: int = 50
    """Epochs from the highest to the lowest learning rate."""
    eta_min: float = 1e-7
    """Lowest learning rate (ratio_cosine: of the head)."""
    clip_norm: float | None = 1.0
    """Largest norm of the gradient; None: no clipping."""

    def __post_init__(self) -> None:
        require_choices(self)
        for name in ("lr", "backbone_scale", "head_scale", "t_max", "clip_norm"):
            value = getattr(self, name)
            require(
                (value is None and name == "clip_norm")
                or (value is not None and 0 < value < math.inf),
                f"{name} must be a finite number above 0, got {value!r}",
            )
        require_range(self, 0, math.inf, "weight_decay", "eta_min")
        require(
            self.eta_min <= self.lr * self.head_scale,
            f"eta_min {self.eta_min} is above the head's learning rate",
        )


@dataclass(frozen=True)
class TrainingConfig:
    """Length, batches, sampling and model selection."""

    epochs: int = 50
    """Largest number of epochs."""
    patience: int = 8
    """Stop after this many epochs without a better model."""
    batch_size: int = 64
    """Images per step."""
    sampler: bool = True
    """Draw images by 1 / count of the rarest class they show; else shuffle."""
    importance_weights: bool = False
    """Weight each draw in the loss by what undoes the sampler's preference for it, so that
    probabilities are not distorted; without the sampler all weights are 1."""
    selection: Literal["macro_f1_cross_fitted", "macro_f1_tuned", "val_loss"] = (
        "macro_f1_cross_fitted"
    )
    """Keep the epoch with the highest macro-F1 at thresholds tuned on other validation patients, or
    tuned on the same ones (the deck's), or the one with the lowest loss."""
    keep_epoch_predictions: bool = False
    """Keep the outputs for validation and test images after each epoch, in epochs/."""
    seed: int = 0
    """Seed of the initial weights, the draws and the augmentation."""
    deterministic: bool = False
    """Use deterministic algorithms only (a GPU gets slower; a CPU is deterministic anyway)."""
    amp: Literal["auto", "on", "off"] = "auto"
    """bfloat16 autocast: auto is on for a GPU and off for a CPU."""

    def __post_init__(self) -> None:
        require_choices(self)
        require_range(self, 1, math.inf, "epochs", "patience", "batch_size")
        require_range(self, 0, 2**63 - 1, "seed")


@dataclass(frozen=True)
class ThresholdConfig:
    """How a class's decision threshold is found on the validation split."""

    strategy: Literal["pooled", "exact", "grid", "fixed"] = "pooled"
    """pooled: rare diseases borrow from the others; exact: every cut; grid: the deck's 0.10, 0.15,
    ..., 0.90; fixed: no tuning."""
    min_recall: float = 0.3
    """Thresholds with a lower validation recall are rejected."""
    max_threshold: float = 0.7
    """No threshold is above this."""
    grid_min: float = 0.1
    """Lowest point of the grid."""
    grid_max: float = 0.9
    """Highest point of the grid, included."""
    grid_step: float = 0.05
    """Distance of the grid's points."""
    fixed_threshold: float = 0.5
    """The threshold of every class under the strategy fixed."""

    def __post_init__(self) -> None:
        require_choices(self)
        require_range(
            self, 0, 1, "min_recall", "max_threshold", "grid_min", "grid_max", "fixed_threshold"
        )
        require(
            self.grid_step > 0 and self.grid_min <= self.grid_max,
            f"the grid from {self.grid_min} to {self.grid_max} by {self.grid_step} has no points",
        )


@dataclass(frozen=True)
class RuntimeConfig:
    """How the run is carried out; these settings may change when a run is resumed."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, ..."""
    threads: int | None = None
    """CPU threads; None leaves PyTorch's choice."""
    num_workers: int | None = None
    """Processes that load images; None: up to 8 for a GPU, none for a CPU."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Decode and resize each image once: memory keeps it for this run, disk for all runs."""
    cache_folder: Path | None = None
    """Where cache disk keeps the resized images; None: .rfmid_cache in the data folder."""
    augment_on: Literal["auto", "cpu", "device"] = "auto"
    """Where images are augmented, the same draws either way: auto is device for CUDA, else cpu."""
    channels_last: Literal["auto", "on", "off"] = "auto"
    """Memory format of images and weights: auto is on for CUDA (a CPU gets slower)."""
    compile: bool = False
    """Compile the network with torch.compile: a slow first step, faster ones after it."""
    max_minutes: float | None = None
    """Stop after the epoch that exceeds this time; --resume goes on."""

    def __post_init__(self) -> None:
        require_choices(self)
        require(self.threads is None or self.threads >= 1, "threads must be at least 1")
        require(self.num_workers is None or self.num_workers >= 0, "num_workers must be >= 0")
        require(self.max_minutes is None or self.max_minutes > 0, "max_minutes must be above 0")
