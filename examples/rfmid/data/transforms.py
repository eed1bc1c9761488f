"""The preprocessing that a model was trained with, as a value that travels with the model.

Training, evaluation and prediction all go through `Preprocessing`. Saved as a dictionary beside the
weights, it is rebuilt by `build_preprocessing`: a model never sees images that were prepared in
another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812

from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import ImageConfig

_VERSION = 1  # of what the fields below mean, pixel by pixel
_FOV_BRIGHTNESS = 16  # a pixel outside the camera's field of view is darker, of 255
_FOV_PART = 0.02  # of a row or column must be brighter for it to belong to the field of view


@dataclass(frozen=True)
class Preprocessing:
    """Photograph in, normalised tensor out.

    Attributes
    ----------
    image_size : int
        Side of the result in pixels.
    fit : {"crop", "pad", "fov"}
        ``"crop"`` scales the short side to `image_size` and cuts the centre, so the sides of a
        3 : 2 photograph are lost; ``"pad"`` first pads to a square with black; ``"fov"`` first
        crops to the field of view, the bright disc, and then pads.
    mean, std : tuple of float
        Of the red, green and blue channel, for values in [0, 1].
    """

    image_size: int = 224
    fit: Literal["crop", "pad", "fov"] = "crop"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    @classmethod
    def from_config(cls, config: ImageConfig) -> Preprocessing:
        """Return the preprocessing that a configuration describes."""
        return cls(config.image_size, config.fit, config.mean, config.std)

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the model's input, float32 of shape (3, image_size, image_size)."""
        return self.finish(self.resize(image))

    def resize(self, image: Image.Image) -> Tensor:
        """Return uint8 RGB of shape (3, H, W) whose short side is `image_size`."""
        image = image.convert("RGB")
        if self.fit == "fov":
            image = image.crop(_field_of_view(image))
        if self.fit != "crop":
            image = _pad_to_square(image)
        resized = F.resize(image, [self.image_size], interpolation=InterpolationMode.BILINEAR)
        tensor: Tensor = F.pil_to_tensor(resized)
        return tensor

    def finish(self, image: Tensor) -> Tensor:
        """Cut the centre of a resized image and normalise its channels, float32."""
        image = F.center_crop(image, [self.image_size])
        image = F.to_dtype(image, torch.float32, scale=True)
        finished: Tensor = F.normalize(image, list(self.mean), list(self.std))
        return finished

    def picture(self, inputs: Tensor) -> npt.NDArray[np.float32]:
        """Undo the normalisation: return what a model is shown, (size, size, 3) in [0, 1]."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        shown: npt.NDArray[np.float32] = (inputs * std + mean).clamp(0, 1).permute(1, 2, 0).numpy()
        return shown

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON, the argument of `build_preprocessing`."""
        return {
            "version": _VERSION,
            "image_size": self.image_size,
            "fit": self.fit,
            "mean": list(self.mean),
            "std": list(self.std),
        }


def build_preprocessing(description: Mapping[str, Any]) -> Preprocessing:
    """Rebuild the preprocessing that `Preprocessing.to_dict` described."""
    known = {"version", *(field.name for field in fields(Preprocessing))}
    if set(description) != known:
        raise RecipeError(
            f"a preprocessing is described by {', '.join(sorted(known))}, "
            f"got {', '.join(sorted(map(str, description))) or 'nothing'}"
        )
    if description["version"] != _VERSION:
        raise RecipeError(
            f"the preprocessing has version {description['version']!r}, this code {_VERSION}"
        )
    try:
        checked = ImageConfig(
            image_size=int(description["image_size"]),
            fit=description["fit"],
            mean=_three(description["mean"]),
            std=_three(description["std"]),
        )
    except (TypeError, ValueError) as error:
        raise RecipeError(f"not a preprocessing: {dict(description)} ({error})") from error
    return Preprocessing.from_config(checked)


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _field_of_view(image: Image.Image) -> tuple[int, int, int, int]:
    """Return the box (left, top, right, bottom) around the bright part of a photograph."""
    bright = np.asarray(image).max(axis=2) >= _FOV_BRIGHTNESS
    rows = np.flatnonzero(bright.mean(axis=1) >= _FOV_PART)
    columns = np.flatnonzero(bright.mean(axis=0) >= _FOV_PART)
    if not (len(rows) and len(columns)):  # a dark photograph stays whole
        return (0, 0, image.width, image.height)
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _pad_to_square(image: Image.Image) -> Image.Image:
    side = max(image.size)
    square = Image.new("RGB", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
