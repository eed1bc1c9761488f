"""torchvision's image operations for a batch with one strength an image, on any device.

Images are float tensors (n, 3, H, W) of whole numbers from 0 to 255, strengths have the shape (n,).
Each operation rounds as torchvision's does for 8-bit images, so that the pixels are the same. None
makes the CPU wait for a GPU: constants are made on the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def sharpen(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with a smoothed image, but for the outermost pixels."""
    inner = images[..., 1:-1, 1:-1]
    kernel = images.new_ones(3, 1, 3, 3) / 13
    kernel[..., 1, 1] = 5 / 13
    smooth = F.conv2d(images, kernel, groups=3).round_()
    sharpened = images.clone()
    sharpened[..., 1:-1, 1:-1] = _blend(inner, smooth, factor)
    return sharpened


def brighten(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply."""
    return _as_bytes(images * _each(factor))


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean grey."""
    return _blend(images, _grey(images).mean(dim=(1, 2, 3), keepdim=True), factor)


def saturate(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image."""
    return _blend(images, _grey(images), factor)


def shift_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the colour circle by a part of it, at the same value and saturation.

    The channels are v - c clamp(min(k, 4 - k), 0, 1) with k = (n + 6 h) mod 6 for n = 5, 3, 1,
    where v is the largest channel, c the largest less the smallest, and h the hue.
    """
    low, value = torch.aminmax(images, dim=1)
    chroma = value - low
    red, green, blue = images.unbind(1)
    sixths = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma),
    ) / chroma.clamp(min=1)
    sixths = sixths + 6 * turns[:, None, None]
    offsets = torch.arange(5, 0, -2, device=images.device)[:, None, None]
    k = (sixths[:, None] + offsets).remainder_(6)
    part = torch.minimum(k, 4 - k).clamp_(0, 1)
    shifted = value[:, None] - chroma[:, None] * part
    return (shifted * (255.999 / 255)).floor_()


def blur(images: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Convolve with a Gaussian kernel of `size` x `size` pixels; the image is mirrored outside."""
    limit = (size - 1) / (2 * 2**0.5)
    steps = torch.linspace(-limit, limit, size, device=images.device)
    line = torch.softmax(-((steps / sigma[:, None]) ** 2), dim=1)
    kernel = (line[:, :, None] * line[:, None, :]).repeat_interleave(3, dim=0)[:, None]
    padded = F.pad(images, [size // 2] * 4, mode="reflect")
    # Every channel of every image has its own kernel: one image of 3 n channels in 3 n groups.
    blurred = F.conv2d(padded.flatten(0, 1)[None], kernel, groups=len(kernel))
    return blurred.view_as(images).round_()


def flip(images: Tensor, chosen: Tensor, dim: int) -> Tensor:
    """Mirror the images where `chosen` is 1."""
    return torch.where(_each(chosen) == 1, images.flip(dim), images)


def erase(images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Blacken a rectangle of each image."""
    y = torch.arange(images.shape[-2], device=images.device)
    x = torch.arange(images.shape[-1], device=images.device)
    rows = (y >= top[:, None]) & (y < (top + height)[:, None])
    columns = (x >= left[:, None]) & (x < (left + width)[:, None])
    return images.masked_fill((rows[:, :, None] & columns[:, None])[:, None], 0.0)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return the channels less their mean, over their standard deviation, of values in [0, 1]."""
    channels = zip(images.unbind(1), mean, std, strict=True)
    return torch.stack([(one - 255 * m) / (255 * s) for one, m, s in channels], dim=1)


def _each(strength: Tensor) -> Tensor:
    return strength[:, None, None, None]


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    grey = (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_()
    return grey[:, None]


def _blend(images: Tensor, others: Tensor, factor: Tensor) -> Tensor:
    return _as_bytes(torch.lerp(others.expand_as(images), images, _each(factor)))


def _as_bytes(images: Tensor) -> Tensor:
    return images.clamp_(0, 255).floor_()
