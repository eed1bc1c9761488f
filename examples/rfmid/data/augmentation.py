"""The random changes of a training image, in the deck's order.

After Preprocessing.resize: sharpness, rotation, colour, affine, blur, flips, centre crop, erasing,
normalisation. What each imitates: the patient's orientation (rotation, flips), camera and lighting
(colour, sharpness), centring and distance (affine), defocus (blur), occlusion (erasing).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torchvision.transforms import InterpolationMode, v2

from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.settings import AugmentationConfig

__all__ = ["build_augmentation"]


def build_augmentation(config: AugmentationConfig, preprocessing: Preprocessing) -> v2.Compose:
    """Return the transform from a resized uint8 image to the model's float32 input.

    It draws from torch's global generator. Steps of strength zero are left out.
    """
    return v2.Compose([*_steps(config, preprocessing)])


def _steps(config: AugmentationConfig, preprocessing: Preprocessing) -> Iterator[nn.Module]:
    interpolation = InterpolationMode(config.interpolation)
    if config.sharpness != 1 and config.sharpness_p:
        yield v2.RandomAdjustSharpness(config.sharpness, p=config.sharpness_p)
    if config.rotation:
        yield v2.RandomRotation(config.rotation, interpolation=interpolation)
    if config.brightness or config.contrast or config.saturation or config.hue:
        yield v2.ColorJitter(config.brightness, config.contrast, config.saturation, config.hue)
    scale = (config.scale_min, config.scale_max)
    if config.affine_degrees or config.translate or scale != (1, 1):
        yield v2.RandomAffine(
            config.affine_degrees,
            translate=(config.translate, config.translate),
            scale=scale,
            interpolation=interpolation,
        )
    if config.blur_kernel:
        yield v2.GaussianBlur(config.blur_kernel, (config.blur_sigma_min, config.blur_sigma_max))
    if config.horizontal_flip:
        yield v2.RandomHorizontalFlip(config.horizontal_flip)
    if config.vertical_flip:
        yield v2.RandomVerticalFlip(config.vertical_flip)
    yield v2.CenterCrop(preprocessing.image_size)
    yield v2.ToDtype(torch.float32, scale=True)
    if config.erasing:
        yield v2.RandomErasing(config.erasing)
    yield v2.Normalize(list(preprocessing.mean), list(preprocessing.std))
