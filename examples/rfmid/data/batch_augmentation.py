"""The augmentation of a whole batch at once, on any device.

A worker process reads the resized images and makes the draws; the device changes the pixels, in the
same order and to the same values as `build_augmentation` would, image by image, on the CPU.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import default_collate

from examples.rfmid.data import batch_ops as ops
from examples.rfmid.data.augmentation import (
    DRAWN,
    build_augmentation,
    draw_parameters,
    fused_warp,
)
from examples.rfmid.data.geometry import crop_corner, inverse_affine, warp
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.settings import AugmentationConfig

Drawn = tuple[tuple[Tensor, Tensor], Tensor]  # resized image and the columns DRAWN, labels

_AFFINE = ("angle", "translate_x", "translate_y", "scale")
_BOX = ("erase_top", "erase_left", "erase_height", "erase_width")


@dataclass(frozen=True)
class _Group:
    """Images of one shape.

    Attributes
    ----------
    images : uint8 tensor of shape (n, 3, H, W)
    draws : tensor of shape (n, 19)
        The columns `DRAWN`.
    rows : tensor of shape (4, n)
        The images sorted by which of the four colour changes is their first, second, ...
    counts : list of list of int
        How many have brightness, contrast, saturation and hue as their first, second, ...; kept
        beside `rows` on the CPU, so that no device has to be asked and waited for.
    """

    images: Tensor
    draws: Tensor
    rows: Tensor
    counts: list[list[int]]


@dataclass(frozen=True)
class DrawnBatch:
    """A batch that is still to be augmented; its labels are in the order of the groups."""

    groups: list[_Group]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def pin_memory(self) -> DrawnBatch:
        """Return a copy that a GPU can read while the CPU goes on."""
        return self._copied(Tensor.pin_memory)

    def to(self, device: torch.device) -> DrawnBatch:
        """Return a copy on the device."""
        return self._copied(lambda tensor: tensor.to(device, non_blocking=True))

    def _copied(self, copy: Callable[[Tensor], Tensor]) -> DrawnBatch:
        groups = [
            _Group(copy(group.images), copy(group.draws), copy(group.rows), group.counts)
            for group in self.groups
        ]
        return DrawnBatch(groups, copy(self.labels))


def collate_drawn(items: Sequence[Drawn]) -> DrawnBatch:
    """Group the items by the shape of their images, of which a camera has one."""
    by_shape: dict[torch.Size, list[Drawn]] = defaultdict(list)
    for item in items:
        by_shape[item[0][0].shape].append(item)
    groups, labels = [], []
    for members in by_shape.values():
        (images, draws), own_labels = default_collate(members)
        first = DRAWN.index("order_0")
        order = draws[:, first : first + 4].long()
        counts = [torch.bincount(place, minlength=4).tolist() for place in order.T]
        groups.append(_Group(images, draws, order.T.argsort(dim=1, stable=True), counts))
        labels.append(own_labels)
    return DrawnBatch(groups, torch.cat(labels))


class BatchAugmentation:
    """Augments the images of a `DrawnBatch`, on the device where they are.

    `draw` makes the draws of one image, `collate_drawn` a batch of them.

    Parameters
    ----------
    config : AugmentationConfig
    preprocessing : Preprocessing
        Those that the draws were made with.
    """

    def __init__(self, config: AugmentationConfig, preprocessing: Preprocessing) -> None:
        self._config, self._preprocessing = config, preprocessing
        self._steps = build_augmentation(config, preprocessing)

    def draw(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image as it is, and what torch's global generator draws for it."""
        return image, draw_parameters(self._steps, image)

    @torch.no_grad()
    def __call__(self, batch: DrawnBatch) -> Tensor:
        """Return the model's input, float32 of shape (n_images, 3, size, size)."""
        return torch.cat([self._augment(group) for group in batch.groups])

    def _augment(self, group: _Group) -> Tensor:
        config, size = self._config, self._preprocessing.image_size
        drawn = dict(zip(DRAWN, group.draws.unbind(1), strict=True))
        images = group.images.float()
        if config.sharpness != 1 and config.sharpness_p:
            images = ops.sharpen(images, 1 + drawn["sharpen"] * (config.sharpness - 1))
        if config.fused:
            images = fused_warp(images, drawn, size, config.interpolation)
        elif config.rotation:
            turned = [inverse_affine(-drawn["rotation"])]
            images = warp(images, turned, images.shape[-2:], config.interpolation)
        self._change_colours(images, drawn, group)
        if config.has_affine and not config.fused:
            moved = inverse_affine(*(drawn[name] for name in _AFFINE))
            images = warp(images, [moved], images.shape[-2:], config.interpolation)
        if config.blur_kernel:
            images = ops.blur(images, drawn["sigma"], config.blur_kernel)
        if not config.fused:
            images = ops.flip(images, drawn["flip_x"], dim=-1)
            images = ops.flip(images, drawn["flip_y"], dim=-2)
            top, left = crop_corner(images.shape[-2:], size)
            images = images[..., top : top + size, left : left + size]
        if config.erasing:
            images = ops.erase(images, *(drawn[name] for name in _BOX))
        return ops.normalise(images, self._preprocessing.mean, self._preprocessing.std)

    def _change_colours(self, images: Tensor, drawn: dict[str, Tensor], group: _Group) -> None:
        """Change colours in place, each image in its own order."""
        config = self._config
        changes = (
            (ops.brighten, "brightness_factor", config.brightness),
            (ops.contrast, "contrast_factor", config.contrast),
            (ops.saturate, "saturation_factor", config.saturation),
            (ops.shift_hue, "hue_factor", config.hue),
        )
        for rows, counts in zip(group.rows, group.counts, strict=True):
            for chosen, (change, name, strength) in zip(rows.split(counts), changes, strict=True):
                if strength and len(chosen):
                    images[chosen] = change(images[chosen], drawn[name][chosen])
