"""The random changes of a training image, in the deck's order.

After Preprocessing.resize: sharpness, rotation, colour, affine, blur, flips, centre crop, erasing,
normalisation. What each imitates: the patient's orientation (rotation, flips), camera and lighting
(colour, sharpness), centring and distance (affine), defocus (blur), occlusion (erasing).

`build_augmentation` changes one image, on the CPU. `draw_parameters` makes the same draws without
touching a pixel, for `BatchAugmentation` to apply to a batch on any device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from examples.rfmid.data.geometry import centre_cut, inverse_affine, warp
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.settings import AugmentationConfig

DRAWN = (
    *("sharpen", "rotation", "order_0", "order_1", "order_2", "order_3"),
    *("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor"),
    *("angle", "translate_x", "translate_y", "scale", "sigma", "flip_x", "flip_y"),
    *("erase_top", "erase_left", "erase_height", "erase_width"),
)
_NEUTRAL = {"brightness_factor": 1.0, "contrast_factor": 1.0, "saturation_factor": 1.0}
_NEUTRAL |= {"scale": 1.0, "order_1": 1.0, "order_2": 2.0, "order_3": 3.0, "sigma": 1.0}


def build_augmentation(config: AugmentationConfig, preprocessing: Preprocessing) -> v2.Compose:
    """Return the transform from a resized uint8 image to the model's float32 input.

    It draws from torch's global generator. Steps of strength zero are left out.
    """
    return v2.Compose([*_steps(config, preprocessing)])


def _steps(config: AugmentationConfig, preprocessing: Preprocessing) -> Iterator[nn.Module]:
    geometry = dict(_geometry(config))
    fused = config.fused and len(geometry) > 0
    if config.sharpness != 1 and config.sharpness_p:
        yield v2.RandomAdjustSharpness(config.sharpness, p=config.sharpness_p)
    if fused:
        yield FusedGeometry(geometry, preprocessing.image_size, config.interpolation)
    elif "rotation" in geometry:
        yield geometry["rotation"]
    if config.brightness or config.contrast or config.saturation or config.hue:
        yield v2.ColorJitter(config.brightness, config.contrast, config.saturation, config.hue)
    if "affine" in geometry and not fused:
        yield geometry["affine"]
    if config.blur_kernel:
        yield v2.GaussianBlur(config.blur_kernel, (config.blur_sigma_min, config.blur_sigma_max))
    if not fused:
        yield from (geometry[name] for name in ("flip_x", "flip_y") if name in geometry)
        yield v2.CenterCrop(preprocessing.image_size)
    yield v2.ToDtype(torch.float32, scale=True)
    if config.erasing:
        yield v2.RandomErasing(config.erasing)
    yield v2.Normalize(list(preprocessing.mean), list(preprocessing.std))


def _geometry(config: AugmentationConfig) -> Iterator[tuple[str, v2.Transform]]:
    """Yield the steps that move pixels, by name."""
    interpolation = InterpolationMode(config.interpolation)
    if config.rotation:
        yield "rotation", v2.RandomRotation(config.rotation, interpolation=interpolation)
    if config.has_affine:
        affine = v2.RandomAffine(
            config.affine_degrees,
            translate=(config.translate, config.translate),
            scale=(config.scale_min, config.scale_max),
            interpolation=interpolation,
        )
        yield "affine", affine
    if config.horizontal_flip:
        yield "flip_x", v2.RandomHorizontalFlip(config.horizontal_flip)
    if config.vertical_flip:
        yield "flip_y", v2.RandomVerticalFlip(config.vertical_flip)


class FusedGeometry(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Rotation, affine change, flips and centre crop by one resampling instead of two.

    The draws are those of the steps that it replaces, and so is the place in the image that each
    pixel comes from; only what a second resampling would have blurred or shifted is kept.
    """

    def __init__(self, steps: Mapping[str, v2.Transform], size: int, interpolation: str) -> None:
        super().__init__()
        self.size = (size, size)
        self._steps, self._interpolation = steps, interpolation

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Return what the replaced steps draw."""
        drawn: dict[str, float] = {}
        for step in self._steps.values():
            drawn |= _drawn_by(step, flat_inputs[0])
        return drawn

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """Resample once, straight into the centre square."""
        draws = {name: torch.tensor([params.get(name, _NEUTRAL.get(name, 0.0))]) for name in DRAWN}
        images = fused_warp(inpt[None].float(), draws, self.size[0], self._interpolation)
        return images[0].to(inpt.dtype)


def fused_warp(
    images: Tensor, draws: Mapping[str, Tensor], size: int, interpolation: str
) -> Tensor:
    """Apply rotation, affine change, flips and centre crop to a batch at once."""
    changes = (
        inverse_affine(-draws["rotation"]),
        inverse_affine(draws["angle"], draws["translate_x"], draws["translate_y"], draws["scale"]),
        centre_cut(images.shape[-2:], size, draws["flip_x"], draws["flip_y"]),
    )
    return warp(images, changes, (size, size), interpolation)


def draw_parameters(augmentation: v2.Compose, image: Tensor) -> Tensor:
    """Return what the augmentation would draw for an image: the columns `DRAWN`.

    The same draws from torch's global generator as if it were applied; only the shape is looked at.
    """
    drawn = {name: _NEUTRAL.get(name, 0.0) for name in DRAWN}
    for step in augmentation.transforms:
        drawn |= _drawn_by(step, image)
        if isinstance(step, (v2.CenterCrop, FusedGeometry)):
            image = image.new_empty((3, *step.size), device="meta")
    return torch.tensor([drawn[name] for name in DRAWN])


def _drawn_by(step: v2.Transform, image: Tensor) -> dict[str, float]:
    """Return one step's draws; a step that is left out with some probability draws that first."""
    if hasattr(step, "p") and torch.rand(1) >= step.p:
        return {}
    params: dict[str, Any] = step.make_params([image])
    match step:
        case v2.RandomAdjustSharpness():
            return {"sharpen": 1.0}
        case v2.RandomRotation():
            return {"rotation": params["angle"]}
        case v2.ColorJitter():
            order = params.pop("fn_idx").tolist()
            factors = {name: value for name, value in params.items() if value is not None}
            return factors | {f"order_{place}": kind for place, kind in enumerate(order)}
        case v2.RandomAffine():
            x, y = params["translate"]
            placed = {"translate_x": float(x), "translate_y": float(y)}
            return {"angle": params["angle"], "scale": params["scale"], **placed}
        case v2.GaussianBlur():
            return {"sigma": params["sigma"][0]}
        case v2.RandomHorizontalFlip():
            return {"flip_x": 1.0}
        case v2.RandomVerticalFlip():
            return {"flip_y": 1.0}
        case v2.RandomErasing() if params["v"] is not None:
            box = zip(("top", "left", "height", "width"), "ijhw", strict=True)
            return {f"erase_{name}": float(params[key]) for name, key in box}
        case FusedGeometry():
            return params
    return {}
