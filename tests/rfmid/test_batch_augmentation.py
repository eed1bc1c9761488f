from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as nnf
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812

from examples.rfmid.data import batch_ops as ops
from examples.rfmid.data.augmentation import DRAWN, build_augmentation, draw_parameters
from examples.rfmid.data.batch_augmentation import BatchAugmentation, DrawnBatch, collate_drawn
from examples.rfmid.data.geometry import centre_cut, inverse_affine, warp
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.settings import AugmentationConfig
from examples.rfmid.training.train import train
from tests.rfmid.simulation import tiny

PREPROCESSING = Preprocessing(image_size=48)
SHAPES = [(48, 72), (64, 48), (48, 48), (48, 73)]
DECK = AugmentationConfig()


@pytest.fixture(autouse=True)
def _own_random_state() -> Any:
    with torch.random.fork_rng(devices=[]):
        yield


def picture(height: int, width: int, seed: int) -> Tensor:
    """Return smooth random colours, with grey, black and saturated parts."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 1.6 * torch.rand((1, 3, 7, 9), generator=generator) - 0.3
    image = nnf.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)
    image[:, :4] = image[:1, :4]
    return (255 * image).to(torch.uint8)


def drawn_batch(config: AugmentationConfig, n: int) -> tuple[DrawnBatch, Tensor]:
    """Return a batch of several shapes, and what torchvision makes of each image, in its order."""
    steps, batch = (
        build_augmentation(config, PREPROCESSING),
        BatchAugmentation(config, PREPROCESSING),
    )
    items, expected = [], []
    for i in range(n):
        image = picture(*SHAPES[i % 4], seed=i)
        torch.manual_seed(i)
        expected.append(steps(image))
        after = torch.rand(1)
        torch.manual_seed(i)
        items.append((batch.draw(image), torch.tensor([i])))
        assert torch.rand(1) == after, "as many random numbers are drawn"
    drawn = collate_drawn(items)
    return drawn, torch.stack(expected)[drawn.labels[:, 0]]


CHANGES = {
    "the deck": {},
    "bilinear": {"interpolation": "bilinear"},
    "fused": {"fused": True},
    "fused, bilinear": {"fused": True, "interpolation": "bilinear"},
    "no sharpness": {"sharpness": 1.0},
    "no rotation": {"rotation": 0.0},
    "no affine": {"affine_degrees": 0.0, "translate": 0.0, "scale_min": 1.0, "scale_max": 1.0},
    "no blur": {"blur_kernel": 0},
    "a wide blur": {"blur_kernel": 9, "blur_sigma_max": 5.0},
    "no hue": {"hue": 0.0},
    "no brightness, no contrast": {"brightness": 0.0, "contrast": 0.0},
    "no saturation": {"saturation": 0.0},
    "no flips": {"horizontal_flip": 0.0, "vertical_flip": 0.0},
    "always erased": {"erasing": 1.0},
    "never erased": {"erasing": 0.0},
    "fused, no rotation": {"fused": True, "rotation": 0.0},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_batch_is_augmented_as_each_image_alone(change: dict[str, Any]) -> None:
    config = replace(DECK, **change)
    batch, expected = drawn_batch(config, 24)
    actual = BatchAugmentation(config, PREPROCESSING)(batch)
    levels = (actual - expected).abs() * 255 * torch.tensor(PREPROCESSING.std)[:, None, None]
    # 8 bits: a level is 1. float32 differs in its last digit, and so does a rounding now and then.
    assert (levels > 0.5).float().mean() < 1e-3
    assert (levels > 2.5).float().mean() < 1e-4  # a pixel that fell on its neighbour
    assert actual.dtype == torch.float32


def test_without_strength_it_is_the_evaluation_preprocessing() -> None:
    none = AugmentationConfig(
        sharpness=1.0, rotation=0, brightness=0, contrast=0, saturation=0, hue=0,
        affine_degrees=0, translate=0, scale_min=1, scale_max=1, blur_kernel=0,
        horizontal_flip=0, vertical_flip=0, erasing=0,
    )  # fmt: skip
    for config in (none, replace(none, fused=True)):
        batch = BatchAugmentation(config, PREPROCESSING)
        images = [picture(*shape, seed=3) for shape in SHAPES]
        drawn = collate_drawn([(batch.draw(image), torch.zeros(1)) for image in images])
        expected = torch.stack([PREPROCESSING.finish(image) for image in images])
        torch.testing.assert_close(batch(drawn), expected, atol=1e-5, rtol=0)


def test_labels_stay_with_their_images() -> None:
    config = replace(DECK, brightness=0, contrast=0, saturation=0, hue=0, erasing=0)
    batch = BatchAugmentation(config, Preprocessing(48, mean=(0, 0, 0), std=(1, 1, 1)))
    colours = torch.arange(20)
    items = [
        (batch.draw(torch.full((3, *SHAPES[i % 4]), 10 * i, dtype=torch.uint8)), colours[i])
        for i in range(20)
    ]
    drawn = collate_drawn(items)
    assert len(drawn) == 20
    centre = batch(drawn)[:, 0, 24, 24] * 255
    torch.testing.assert_close(centre, 10.0 * drawn.labels)


# -- single operations


def one_by_one(operation: Any, images: Tensor, strengths: Tensor) -> Tensor:
    pairs = zip(images, strengths.tolist(), strict=True)
    return torch.stack([operation(image, strength) for image, strength in pairs]).float()


@pytest.mark.parametrize(
    ("ours", "torchvision", "low", "high"),
    [
        (ops.sharpen, F.adjust_sharpness, 0.0, 8.0),
        (ops.brighten, F.adjust_brightness, 0.0, 3.0),
        (ops.contrast, F.adjust_contrast, 0.0, 3.0),
        (ops.saturate, F.adjust_saturation, 0.0, 3.0),
        (ops.shift_hue, F.adjust_hue, -0.5, 0.5),
        (
            lambda images, sigma: ops.blur(images, sigma, 5),
            lambda image, sigma: F.gaussian_blur(image, [5, 5], [sigma, sigma]),
            0.1,
            4.0,
        ),
    ],
    ids=["sharpness", "brightness", "contrast", "saturation", "hue", "blur"],
)
def test_operations_are_torchvision_s(ours: Any, torchvision: Any, low: float, high: float) -> None:
    images = torch.stack([picture(40, 56, seed) for seed in range(16)])
    # no round figures: whole numbers fall on either side of a rounding
    strengths = low + (high - low) * torch.linspace(0.013, 0.987, 16)
    expected = one_by_one(torchvision, images, strengths)
    actual = ours(images.float(), strengths)
    assert (actual - expected).abs().max() <= 1
    assert (actual != expected).float().mean() < 1e-3
    assert torch.equal(actual, actual.round())


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_warps_are_torchvision_s(mode: str) -> None:
    theirs = InterpolationMode(mode)
    images = torch.stack([picture(40, 57, seed) for seed in range(24)])
    degrees = torch.linspace(-180, 180, 24) + 0.3
    turned = one_by_one(lambda image, a: F.rotate(image, a, theirs, fill=[0.0]), images, degrees)
    actual = warp(images.float(), [inverse_affine(-degrees)], (40, 57), mode)
    assert (actual != turned).float().mean() < 2e-3

    x, y = torch.linspace(-9, 9, 24).round(), torch.linspace(7, -7, 24).round()
    scale = torch.linspace(0.8, 1.2, 24)
    for i in range(24):
        expected = F.affine(
            images[i], float(degrees[i]), [float(x[i]), float(y[i])], float(scale[i]), [0.0, 0.0],
            theirs, fill=[0.0],
        )  # fmt: skip
        change = inverse_affine(degrees[i : i + 1], x[i], y[i], scale[i])
        actual = warp(images[i : i + 1].float(), [change], (40, 57), mode)
        assert (actual[0] != expected.float()).float().mean() < 3e-3


def test_one_resampling_shows_what_two_do_at_the_same_places() -> None:
    """Where smooth coordinates are the picture, pixels tell the place that they come from."""
    y, x = torch.meshgrid(torch.arange(80.0), torch.arange(121.0), indexing="ij")
    images = (torch.stack([x, y, x + y]) + 20)[None]  # 0 is outside
    torch.manual_seed(0)
    for _ in range(20):
        turned = inverse_affine(torch.empty(1).uniform_(-180, 180))
        shift = torch.empty(2).uniform_(-12, 12)
        moved = inverse_affine(torch.empty(1).uniform_(-15, 15), *shift, torch.rand(1) * 0.2 + 0.9)
        cut = centre_cut((80, 121), 80, torch.ones(1), torch.zeros(1))
        once = warp(images, [turned, moved, cut], (80, 80), "bilinear")
        twice = warp(warp(images, [turned], (80, 121), "bilinear"), [moved], (80, 121), "bilinear")
        twice = F.center_crop(twice.flip(-1), [80])
        both = (once > 0).all(dim=1) & (twice > 0).all(dim=1)
        near_edge = nnf.max_pool2d(1 - both[:, None].float(), 7, 1, 3)[:, 0] > 0
        levels = (once - twice).abs().amax(dim=1)[~near_edge]  # a level is a pixel's width
        assert (levels <= 1).float().mean() > 0.995
        assert both.float().mean() > 0.4
        assert ((once > 0) != (twice > 0)).float().mean() < 0.05  # the edge, a pixel wide


def test_erasing_and_flipping() -> None:
    images = torch.stack([picture(20, 30, seed) for seed in range(3)]).float() + 1
    edges = (
        torch.tensor(values) for values in ([2.0, 0, 5], [3.0, 0, 4], [6.0, 0, 15], [7.0, 0, 26])
    )
    erased = ops.erase(images, *edges)
    assert (erased[0, :, 2:8, 3:10] == 0).all()
    assert (erased == 0).sum() == 3 * (6 * 7 + 15 * 26)
    flipped = ops.flip(images, torch.tensor([0.0, 1.0, 0.0]), -1)
    assert torch.equal(flipped[1], images[1].flip(-1))
    assert torch.equal(flipped[[0, 2]], images[[0, 2]])


def test_the_columns_of_a_draw() -> None:
    image = picture(48, 72, 0)
    steps = build_augmentation(DECK, PREPROCESSING)
    drawn = []
    for seed in range(300):
        torch.manual_seed(seed)
        drawn.append(draw_parameters(steps, image))
    columns = dict(zip(DRAWN, torch.stack(drawn).T, strict=True))
    assert columns["sharpen"].mean() == pytest.approx(0.8, abs=0.08)
    assert columns["flip_x"].mean() == pytest.approx(0.5, abs=0.1)
    assert (columns["erase_height"] > 0).float().mean() == pytest.approx(0.2, abs=0.08)
    assert columns["rotation"].abs().max() > 170
    assert columns["translate_x"].abs().max() <= 8  # a tenth of 72, rounded
    assert 0.9 <= columns["scale"].min() < columns["scale"].max() <= 1.1
    orders = torch.stack([columns[f"order_{place}"] for place in range(4)])
    assert len(orders.unique(dim=1).T) == 24
    assert torch.equal(orders.sort(dim=0).values, torch.arange(4.0)[:, None].expand(4, 300))


def test_a_run_that_augments_on_the_device(shared_data_folder: Path, tmp_path: Path) -> None:
    """The same draws, by worker processes: the same run but for a rounding now and then."""
    histories = []
    for where, num_workers in (("cpu", 0), ("device", 2)):
        options = {"epochs": 1, "cache": "none", "num_workers": num_workers, "augment_on": where}
        config = replace(tiny(shared_data_folder, **options), augmentation=DECK)
        train(config, tmp_path / where)
        histories.append(json.loads(RunFolder(tmp_path / where).metrics.read_text()))
    assert histories[0]["train_loss"] == pytest.approx(histories[1]["train_loss"], rel=1e-3)
    assert histories[0]["val_loss"] == pytest.approx(histories[1]["val_loss"], rel=2e-2)
