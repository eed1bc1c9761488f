"""Settings of the data: where it is, and what becomes of a photograph."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from examples.rfmid.settings.checks import require, require_choices, require_range


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
    subgroup_columns: tuple[str, ...] = ("Age", "Sex", "Gender", "Camera", "Site")
    """Columns by whose values the report breaks the test figures down, where there are any; they
    aren't classes either."""
    allow_unlabelled: bool = False
    """Skip images that the label CSV doesn't name, instead of stopping."""
    allow_shared_patients: bool = False
    """Warn about patients that are in two splits, instead of stopping."""
    min_count: int = 20
    """Keep the classes with at least this many training examples."""
    certify_share: float = 0.0
    """Part of the validation patients set aside to certify recall: they choose nothing."""
    label_map: str | None = None
    """What the columns mean: odir-to-rfmid, or a JSON or CSV file of column and class (see
    label_map.py); None: each column is a class."""
    extra_data: tuple[str, ...] = ()
    """Further data folders to train on, as FOLDER or FOLDER=LABEL_MAP; what one doesn't record is a
    missing label. Validation and test images come from the data folder alone."""
    folds: int = 0
    """Deal training and validation images together into so many folds; 0: leave them."""
    fold: int = 0
    """The fold that validates, from 0; the others train."""
    grades: bool = False
    """Learn the severity too, where columns such as DR_grade tell it: 0 (absent), 1, 2, ..."""
    glossary: str = "auto"
    """Disease names: rfmid, odir, none, a JSON or CSV file, or auto (see glossary.py)."""

    def __post_init__(self) -> None:
        require_range(self, 1, math.inf, "min_count")
        require(
            0 <= self.certify_share < 1,
            f"certify_share must be at least 0 and below 1, got {self.certify_share}",
        )
        require(
            self.folds == 0 or self.folds >= 2, f"folds must be 0 or at least 2, got {self.folds}"
        )
        require(
            0 <= self.fold < max(1, self.folds),
            f"fold must be at least 0 and below folds, {self.folds}: {self.fold}",
        )

    def absolute(self) -> DataConfig:
        """Return the same with absolute paths, which hold from any working directory."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        changed: dict[str, Any] = {
            name: value.absolute() for name, value in values.items() if isinstance(value, Path)
        }
        sources = map(self.source, self.extra_data)
        changed["extra_data"] = tuple(
            str(folder.absolute()) + (f"={_absolute_map(label_map)}" if label_map else "")
            for folder, label_map in sources
        )
        return replace(self, **changed, label_map=_absolute_map(self.label_map))

    @staticmethod
    def source(text: str) -> tuple[Path, str | None]:
        """Return folder and label map of an entry of `extra_data`."""
        folder, _, label_map = text.rpartition("=")
        if not folder or Path(text).is_dir():  # a folder's name may hold an equals sign
            return Path(text), None
        return Path(folder), label_map or None


def _absolute_map(label_map: str | None) -> str | None:
    """Return a label map's file with its absolute path, and a name as it is."""
    is_file = label_map is not None and Path(label_map).is_file()
    return str(Path(label_map).absolute()) if is_file and label_map else label_map


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
        require_choices(self)
        require_range(self, 32, math.inf, "image_size")
        require(all(map(math.isfinite, self.mean)), f"mean must be finite, got {self.mean}")
        require(all(s > 0 for s in self.std), f"std must be above 0, got {self.std}")


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
    fused: bool = False
    """Rotate, shift, scale, flip and cut the centre in one resampling, before the colours."""

    @property
    def has_affine(self) -> bool:
        """Whether there is an affine change beside the rotation."""
        scaled = (self.scale_min, self.scale_max) != (1, 1)
        return scaled or self.affine_degrees > 0 or self.translate > 0

    def __post_init__(self) -> None:
        require_choices(self)
        require_range(
            self, 0, 1, "sharpness_p", "horizontal_flip", "vertical_flip", "erasing", "translate"
        )
        require_range(self, 0, 0.5, "hue")
        require_range(self, 0, 180, "rotation", "affine_degrees")
        require_range(self, 0, math.inf, "sharpness", "brightness", "contrast", "saturation")
        require(
            0 < self.scale_min <= self.scale_max < math.inf,
            f"0 < scale_min <= scale_max is needed, got {self.scale_min} and {self.scale_max}",
        )
        require(
            self.blur_kernel == 0 or (self.blur_kernel > 0 and self.blur_kernel % 2 == 1),
            f"blur_kernel must be 0 or an odd number, got {self.blur_kernel}",
        )
        require(
            0 < self.blur_sigma_min <= self.blur_sigma_max < math.inf,
            "0 < blur_sigma_min <= blur_sigma_max is needed, "
            f"got {self.blur_sigma_min} and {self.blur_sigma_max}",
        )
