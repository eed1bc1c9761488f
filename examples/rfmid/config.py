"""Every setting of a run, as frozen dataclasses.

The defaults are the final settings of the published student project that the recipe reproduces
("the deck"). The command line reads these classes, ``config.json`` in the run folder stores them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

from examples.rfmid.errors import RecipeError

__all__ = [
    "AugmentationConfig",
    "Config",
    "DataConfig",
    "ImageConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "RuntimeConfig",
    "ThresholdConfig",
    "TrainingConfig",
]


def _require(condition: bool, message: str) -> None:  # noqa: FBT001
    if not condition:
        raise RecipeError(message)


def _require_range(section: object, low: float, high: float, *names: str) -> None:
    for name in names:
        value = getattr(section, name)
        if not (isinstance(value, (int, float)) and low <= value <= high):  # NaN fails too
            bound = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise RecipeError(f"{name} must be {bound}, got {value!r}")


def _require_choices(section: object) -> None:
    """Check the fields of type Literal, for configurations that no command line has checked."""
    for name, kind in get_type_hints(type(section)).items():
        if get_origin(kind) is Literal and getattr(section, name) not in get_args(kind):
            choices = ", ".join(get_args(kind))
            raise RecipeError(f"{name} must be one of {choices}, got {getattr(section, name)!r}")


@dataclass(frozen=True)
class DataConfig:
    """Where the images and labels are, and which classes are kept."""

    folder: Annotated[Path, tyro.conf.arg(name="data")] = Path("data")
    """Data folder: three splits, each an image folder and a label CSV, found by their names."""
    train_images: Path | None = None
    """Image folder of the training split, where its name doesn't say so."""
    train_labels: Path | None = None
    """Label CSV of the training split."""
    val_images: Path | None = None
    """Image folder of the validation split."""
    val_labels: Path | None = None
    """Label CSV of the validation split."""
    test_images: Path | None = None
    """Image folder of the test split."""
    test_labels: Path | None = None
    """Label CSV of the test split."""
    id_column: str | None = None
    """Column with the image names; by default the one named ID, else the first."""
    patient_column: str = "Patient"
    """Column that names the patient, where there is one."""
    ignore_columns: tuple[str, ...] = ("Disease_Risk", "Age", "Sex", "Gender")
    """Columns that aren't classes, in any case; those that mostly hold no 0 or 1 aren't either."""
    allow_unlabelled: bool = False
    """Skip images that the label CSV doesn't name, instead of stopping."""
    allow_shared_patients: bool = False
    """Warn about patients that are in two splits, instead of stopping."""
    min_count: int = 20
    """Keep the classes with at least this many training examples."""
    glossary: str = "auto"
    """Disease names: rfmid, odir, none, a JSON or CSV file, or auto (see glossary.py)."""

    def __post_init__(self) -> None:
        _require(self.min_count >= 1, f"min_count must be at least 1, got {self.min_count}")

    def absolute(self) -> DataConfig:
        """Return the same with absolute paths, which hold from any working directory."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        paths: dict[str, Any] = {
            name: value.absolute() for name, value in values.items() if isinstance(value, Path)
        }
        return replace(self, **paths)


@dataclass(frozen=True)
class ImageConfig:
    """How a photograph becomes the model's input, in training and in use alike."""

    image_size: int = 224
    """Side of the square input in pixels."""
    fit: Literal["crop", "pad", "fov"] = "crop"
    """crop: cut the centre; pad: pad to a square; fov: crop to the bright disc, then pad."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean of the red, green and blue channel (ImageNet's), of values in [0, 1]."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Standard deviation of the three channels."""

    def __post_init__(self) -> None:
        _require_choices(self)
        _require(self.image_size >= 32, f"image_size must be at least 32, got {self.image_size}")
        _require(all(map(math.isfinite, self.mean)), f"mean must be finite, got {self.mean}")
        _require(all(s > 0 for s in self.std), f"std must be above 0, got {self.std}")


@dataclass(frozen=True)
class AugmentationConfig:
    """Strength of each random change of a training image, in the order of application.

    A strength of zero leaves its step out.
    """

    sharpness: float = 2.0
    """Sharpness factor (1 leaves the image as it is)."""
    sharpness_p: float = 0.8
    """Probability of the sharpness change."""
    rotation: float = 180.0
    """Rotation by up to this many degrees either way: the camera's orientation."""
    brightness: float = 0.2
    """Brightness factor within 1 +- this: lighting."""
    contrast: float = 0.2
    """Contrast factor within 1 +- this."""
    saturation: float = 0.2
    """Saturation factor within 1 +- this: camera."""
    hue: float = 0.1
    """Hue shift within +- this part of the colour circle."""
    affine_degrees: float = 15.0
    """Second rotation, together with the shift and the scaling."""
    translate: float = 0.1
    """Shift by up to this part of the image: centring."""
    scale_min: float = 0.9
    """Smallest scale."""
    scale_max: float = 1.1
    """Largest scale."""
    blur_kernel: int = 3
    """Side of the Gaussian blur's kernel in pixels, odd; 0 leaves it out."""
    blur_sigma_min: float = 0.1
    """Smallest standard deviation of the blur in pixels."""
    blur_sigma_max: float = 2.0
    """Largest standard deviation of the blur: defocus."""
    horizontal_flip: float = 0.5
    """Probability of a horizontal flip."""
    vertical_flip: float = 0.5
    """Probability of a vertical flip."""
    erasing: float = 0.2
    """Probability of erasing a rectangle: occlusion."""
    interpolation: Literal["nearest", "bilinear"] = "nearest"
    """Resampling of the rotation and the affine change (torchvision's default is nearest)."""

    def __post_init__(self) -> None:
        _require_choices(self)
        _require_range(
            self, 0, 1, "sharpness_p", "horizontal_flip", "vertical_flip", "erasing", "translate"
        )
        _require_range(self, 0, 0.5, "hue")
        _require_range(self, 0, 180, "rotation", "affine_degrees")
        _require_range(self, 0, math.inf, "sharpness", "brightness", "contrast", "saturation")
        _require(
            0 < self.scale_min <= self.scale_max < math.inf,
            f"0 < scale_min <= scale_max is needed, got {self.scale_min} and {self.scale_max}",
        )
        _require(
            self.blur_kernel == 0 or (self.blur_kernel > 0 and self.blur_kernel % 2 == 1),
            f"blur_kernel must be 0 or an odd number, got {self.blur_kernel}",
        )
        _require(
            0 < self.blur_sigma_min <= self.blur_sigma_max < math.inf,
            "0 < blur_sigma_min <= blur_sigma_max is needed, "
            f"got {self.blur_sigma_min} and {self.blur_sigma_max}",
        )


@dataclass(frozen=True)
class ModelConfig:
    """The network and where its weights start."""

    architecture: Literal["convnext_tiny", "convnext_small", "convnext_base", "convnext_demo"] = (
        "convnext_tiny"
    )
    """A ConvNeXt of torchvision; convnext_demo has 32-64-128-256 channels, for CPUs."""
    weights: str = "imagenet"
    """imagenet (torchvision's IMAGENET1K_V1, downloaded), none, or a .pth or .safetensors file."""

    def __post_init__(self) -> None:
        _require_choices(self)
        _require(bool(self.weights), "weights must be imagenet, none or a file, got an empty text")
        _require(
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

    def __post_init__(self) -> None:
        _require_range(self, 0, math.inf, "gamma")
        if self.alpha is not None:
            _require(0 < self.alpha < 1, f"alpha must be between 0 and 1, got {self.alpha}")
        if self.max_pos_weight is not None:
            _require(
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
    schedule: Literal["ratio_cosine", "cosine"] = "ratio_cosine"
    """ratio_cosine keeps the rates' ratio; cosine, the deck's, lets it decay to 1 : 1."""
    t_max: int = 50
    """Epochs from the highest to the lowest learning rate."""
    eta_min: float = 1e-7
    """Lowest learning rate (ratio_cosine: of the head)."""
    clip_norm: float | None = 1.0
    """Largest norm of the gradient; None: no clipping."""

    def __post_init__(self) -> None:
        _require_choices(self)
        for name in ("lr", "backbone_scale", "head_scale", "t_max", "clip_norm"):
            value = getattr(self, name)
            _require(
                (value is None and name == "clip_norm")
                or (value is not None and 0 < value < math.inf),
                f"{name} must be a finite number above 0, got {value!r}",
            )
        _require_range(self, 0, math.inf, "weight_decay", "eta_min")
        _require(
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
    selection: Literal["macro_f1_tuned", "val_loss"] = "macro_f1_tuned"
    """Keep the epoch with the highest macro-F1 after threshold tuning, or the lowest loss."""
    seed: int = 0
    """Seed of the initial weights, the draws and the augmentation."""
    deterministic: bool = False
    """Use deterministic algorithms only (a GPU gets slower; a CPU is deterministic anyway)."""
    amp: Literal["auto", "on", "off"] = "auto"
    """bfloat16 autocast: auto is on for a GPU and off for a CPU."""

    def __post_init__(self) -> None:
        _require_choices(self)
        for name in ("epochs", "patience", "batch_size"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1: {getattr(self, name)}")
        _require(0 <= self.seed < 2**63, f"seed must be between 0 and 2**63 - 1, got {self.seed}")


@dataclass(frozen=True)
class ThresholdConfig:
    """How a class's decision threshold is found on the validation split."""

    strategy: Literal["grid", "exact", "pooled", "fixed"] = "grid"
    """grid: the deck's 0.10, 0.15, ..., 0.90; exact: every cut; pooled: rare diseases borrow from
    the others; fixed: no tuning."""
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
        _require_choices(self)
        _require_range(
            self, 0, 1, "min_recall", "max_threshold", "grid_min", "grid_max", "fixed_threshold"
        )
        _require(
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
    cache: Literal["none", "memory"] = "none"
    """memory: decode and resize each image once, and keep it."""
    max_minutes: float | None = None
    """Stop after the epoch that exceeds this time; --resume goes on."""

    def __post_init__(self) -> None:
        _require_choices(self)
        _require(self.threads is None or self.threads >= 1, "threads must be at least 1")
        _require(self.num_workers is None or self.num_workers >= 0, "num_workers must be >= 0")
        _require(self.max_minutes is None or self.max_minutes > 0, "max_minutes must be above 0")


@dataclass(frozen=True)
class Config:
    """All settings of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    thresholds: ThresholdConfig = field(default_factory=ThresholdConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        _require(
            self.model.architecture != "convnext_demo" or self.training.batch_size > 1,
            "convnext_demo has batch normalisation: batch_size must be at least 2",
        )
        _require(
            self.optimizer.schedule != "cosine" or self.training.epochs <= self.optimizer.t_max,
            f"with the schedule cosine the learning rate rises again after t_max = "
            f"{self.optimizer.t_max} epochs, but epochs is {self.training.epochs}",
        )
