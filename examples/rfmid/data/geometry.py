"""Where a pixel comes from: rotations, shifts, scalings, flips and crops of a whole batch.

A change of place is a matrix (n, 2, 3), one for each image: from a place in the result, in pixels
from its centre, to the place in the image that is shown there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def inverse_affine(
    degrees: Tensor,
    translate_x: Tensor | float = 0.0,
    translate_y: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
) -> Tensor:
    """Return what undoes a rotation (clockwise), a scaling and then a shift.

    The convention is that of torchvision's ``affine``; its ``rotate`` turns the other way.
    """
    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    shift_x = -cos * translate_x - sin * translate_y
    shift_y = sin * translate_x - cos * translate_y
    return torch.stack([cos, sin, shift_x, -sin, cos, shift_y], dim=-1).view(-1, 2, 3)


def centre_cut(shape: Sequence[int], size: int, flip_x: Tensor, flip_y: Tensor) -> Tensor:
    """Return flips, where they are 1, followed by the crop of the centre square."""
    top, left = crop_corner(shape, size)
    down, right = top + (size - shape[0]) / 2, left + (size - shape[1]) / 2
    x, y, zero = 1 - 2 * flip_x, 1 - 2 * flip_y, torch.zeros_like(flip_x)
    return torch.stack([x, zero, x * right, zero, y, y * down], dim=-1).view(-1, 2, 3)


def crop_corner(shape: Sequence[int], size: int) -> tuple[int, int]:
    """Return the top and the left edge of the centre square, rounded as torchvision does."""
    return round((shape[0] - size) / 2), round((shape[1] - size) / 2)


def warp(images: Tensor, changes: Sequence[Tensor], shape: Sequence[int], mode: str) -> Tensor:
    """Resample once, as if for each of the changes in turn; black where there is no image.

    Parameters
    ----------
    images : tensor of shape (n, 3, H, W)
        Float, of whole numbers; so is the result.
    changes : sequence of tensors of shape (n, 2, 3)
        In the order in which they are made. What one of them pushed out of the frame doesn't come
        back through a later one.
    shape : sequence of two int
        Height and width of the result.
    mode : {"nearest", "bilinear"}
    """
    half_height, half_width = images.shape[-2] / 2, images.shape[-1] / 2
    y, x = (
        torch.arange(side, device=images.device, dtype=images.dtype) - (side - 1) / 2
        for side in shape
    )
    y, x = torch.meshgrid(y, x, indexing="ij")
    lost = None
    for place, change in enumerate(reversed(changes)):
        if place:
            outside = (x.abs() > half_width) | (y.abs() > half_height)
            lost = outside if lost is None else lost | outside
        a, b, c, d, e, f = change.reshape(-1, 6, 1, 1).unbind(1)
        x, y = a * x + b * y + c, d * x + e * y + f
    grid = torch.stack([x / half_width, y / half_height], dim=-1)
    if mode == "bilinear":  # torchvision fades the edge into black, with what the edge covers
        images = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
    images = F.grid_sample(images, grid, mode=mode, align_corners=False)
    if mode == "bilinear":
        images = images[:, :-1] * images[:, -1:]
    if lost is not None:
        images = images.masked_fill(lost[:, None], 0.0)
    return images.round()
