from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from examples.rfmid.data.augmentation import build_augmentation
from examples.rfmid.data.images import check_images, load_image, repeated_images
from examples.rfmid.data.transforms import Preprocessing, build_preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import AugmentationConfig, ImageConfig
from examples.rfmid.settings.presets import PRESETS

NO_AUGMENTATION = AugmentationConfig(
    sharpness=1.0, rotation=0, brightness=0, contrast=0, saturation=0, hue=0, affine_degrees=0,
    translate=0, scale_min=1, scale_max=1, blur_kernel=0, horizontal_flip=0, vertical_flip=0,
    erasing=0,
)  # fmt: skip


def photograph(width: int = 90, height: int = 60, radius: int = 25) -> Image.Image:
    """Return a bright disc of grey levels rising to the right, on black."""
    y, x = np.mgrid[:height, :width]
    disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < radius**2
    levels = np.where(disc, 60 + x, 0).astype(np.uint8)
    return Image.fromarray(np.stack([levels, levels // 2, levels // 3], axis=2))


# -- preprocessing


@pytest.mark.parametrize("fit", ["crop", "pad", "fov"])
@pytest.mark.parametrize("size", [(90, 60), (60, 90), (64, 64), (33, 47)])
def test_input_is_a_normalised_square(fit: str, size: tuple[int, int]) -> None:
    preprocessing = build_preprocessing({**Preprocessing(image_size=48).to_dict(), "fit": fit})
    tensor = preprocessing(photograph(*size))
    assert tensor.shape == (3, 48, 48)
    assert tensor.dtype == torch.float32


def test_crop_agrees_with_torchvision_step_by_step() -> None:
    image = photograph()
    expected = v2.Compose(
        [
            v2.Resize(48),
            v2.CenterCrop(48),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )(image)
    torch.testing.assert_close(Preprocessing(image_size=48)(image), torch.Tensor(expected))


def test_crop_cuts_the_sides_and_pad_keeps_them() -> None:
    image = Image.new("RGB", (90, 60))
    image.paste((255, 255, 255), (0, 0, 10, 60))  # a bright left edge
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "image_size": 60}
    assert Preprocessing(fit="crop", **plain)(image).sum() == 0
    padded = Preprocessing(fit="pad", **plain)(image)
    assert padded[:, 20:40, :5].mean() > 0.9  # the edge is still there
    assert padded[:, :9].sum() == padded[:, -9:].sum() == 0  # between black bars
    torch.testing.assert_close(padded, padded.flip(1))
    tall = Preprocessing(fit="pad", **plain)(image.transpose(Image.Transpose.ROTATE_90))
    torch.testing.assert_close(tall, tall.flip(2))


def test_fov_crops_to_the_disc() -> None:
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "image_size": 48}
    tensor = Preprocessing(fit="fov", **plain)(photograph(120, 60, radius=20))
    bright = tensor[0] > 0.05
    assert bright.any(dim=0).float().mean() > 0.9  # the disc spans the width
    assert bright.any(dim=1).float().mean() > 0.9
    assert bright.float().mean() == pytest.approx(np.pi / 4, abs=0.06)


def test_fov_ignores_specks_and_survives_darkness() -> None:
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "image_size": 48}
    clean, speck = photograph(120, 60, radius=20), photograph(120, 60, radius=20)
    speck.putpixel((1, 1), (255, 255, 255))
    fov = Preprocessing(fit="fov", **plain)
    torch.testing.assert_close(fov(speck), fov(clean))
    assert fov(Image.new("RGB", (90, 60))).shape == (3, 48, 48)


@pytest.mark.parametrize("fit", ["crop", "pad", "fov"])
def test_preprocessing_travels_as_json(fit: str) -> None:
    config = ImageConfig(image_size=40, fit=fit, std=(0.3, 0.3, 0.3))  # type: ignore[arg-type]
    preprocessing = Preprocessing.from_config(config)
    rebuilt = build_preprocessing(json.loads(json.dumps(preprocessing.to_dict())))
    assert rebuilt == preprocessing
    assert torch.equal(rebuilt(photograph()), preprocessing(photograph()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": None}, "not a preprocessing"),
        ({"image_size": 8}, "image_size must be at least 32"),
        ({"fit": "squash"}, "fit must be one of crop, pad, fov, got 'squash'"),
        ({"mean": [0.5]}, "not a preprocessing"),
        ({"version": 2}, "has version 2, this code 1"),
        ({"gamma": 2}, "a preprocessing is described by"),
    ],
)
def test_bad_descriptions(change: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_preprocessing({**Preprocessing().to_dict(), **change})


def test_missing_description() -> None:
    with pytest.raises(RecipeError, match="got nothing"):
        build_preprocessing({})


# -- augmentation


def test_the_deck_s_augmentation_in_its_order() -> None:
    steps = build_augmentation(PRESETS["after"].augmentation, Preprocessing()).transforms
    assert [type(step) for step in steps] == [
        v2.RandomAdjustSharpness,
        v2.RandomRotation,
        v2.ColorJitter,
        v2.RandomAffine,
        v2.GaussianBlur,
        v2.RandomHorizontalFlip,
        v2.RandomVerticalFlip,
        v2.CenterCrop,
        v2.ToDtype,
        v2.RandomErasing,
        v2.Normalize,
    ]
    sharpness, rotation, color, affine, blur, left_right, up_down, crop, _, erasing, norm = steps
    assert (sharpness.sharpness_factor, sharpness.p) == (2.0, 0.8)
    assert rotation.degrees == [-180.0, 180.0]
    assert tuple(color.brightness) == tuple(color.contrast) == (0.8, 1.2)
    assert tuple(color.saturation) == (0.8, 1.2)
    assert tuple(color.hue) == (-0.1, 0.1)
    assert affine.degrees == [-15.0, 15.0]
    assert (tuple(affine.translate), tuple(affine.scale)) == ((0.1, 0.1), (0.9, 1.1))
    assert (tuple(blur.kernel_size), tuple(blur.sigma)) == ((3, 3), (0.1, 2.0))
    assert (left_right.p, up_down.p, erasing.p) == (0.5, 0.5, 0.2)
    assert tuple(crop.size) == (224, 224)
    assert tuple(norm.mean) == (0.485, 0.456, 0.406)


def test_without_strength_augmentation_is_the_evaluation_preprocessing() -> None:
    preprocessing = Preprocessing(image_size=48)
    resized = preprocessing.resize(photograph())
    augmented = build_augmentation(NO_AUGMENTATION, preprocessing)(resized)
    torch.testing.assert_close(augmented, preprocessing(photograph()))


@pytest.mark.parametrize(
    "change",
    [
        {"sharpness": 8.0, "sharpness_p": 1.0},
        {"rotation": 90.0},
        {"brightness": 0.5},
        {"contrast": 0.5},
        {"saturation": 0.5},
        {"hue": 0.3},
        {"affine_degrees": 40.0},
        {"translate": 0.3},
        {"scale_min": 1.3, "scale_max": 1.5},
        {"blur_kernel": 7, "blur_sigma_min": 2.0},
        {"horizontal_flip": 1.0},
        {"erasing": 1.0},
    ],
)
def test_each_strength_changes_the_image(change: dict[str, float]) -> None:
    preprocessing = Preprocessing(image_size=48)
    resized = preprocessing.resize(photograph())
    config = replace(NO_AUGMENTATION, **change)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        augmented = build_augmentation(config, preprocessing)(resized)
    assert augmented.shape == (3, 48, 48)
    assert (augmented - preprocessing(photograph())).abs().max() > 0.02


# -- reading images


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
def test_any_eight_bit_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    photograph().convert(mode).save(path)
    image = load_image(path)
    assert (image.mode, image.size) == ("RGB", (90, 60))


def test_a_turned_photograph_is_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    photograph().save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").size == (60, 90)


def damaged(tmp_path: Path) -> list[Path]:
    """Return files that no decoder should accept."""
    whole = tmp_path / "whole.png"
    photograph(300, 200).save(whole)
    photograph(300, 200).save(tmp_path / "whole.jpg")
    content = whole.read_bytes()
    files = {
        "cut.png": content[: len(content) // 2],
        "cut.jpg": (tmp_path / "whole.jpg").read_bytes()[:-2000],
        "flipped.png": content[:60] + bytes([content[60] ^ 255]) + content[61:],
        "empty.png": b"",
        "text.png": b"this is no image",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    Image.fromarray(np.full((40, 40), 40000, dtype=np.uint16)).save(tmp_path / "deep.png")
    return [*(tmp_path / name for name in files), tmp_path / "deep.png", tmp_path / "absent.png"]


def test_bad_images_are_named(tmp_path: Path) -> None:
    for path in damaged(tmp_path):
        with pytest.raises(RecipeError, match=path.name):
            load_image(path)


def test_all_images_are_checked_at_once_and_only_once(tmp_path: Path) -> None:
    bad = [path for path in damaged(tmp_path) if path.exists()]
    good = [tmp_path / "whole.png", tmp_path / "whole.jpg"]
    record = tmp_path / "checked.json"
    with pytest.raises(RecipeError, match=r"6 of 8 images fail:(\n.*){5}\n  and 1 more") as raised:
        check_images([*good, *bad], record)
    assert "cut.png" in str(raised.value)
    assert not record.exists()

    check_images(good, record)
    whole = good[0].read_bytes()
    times = good[0].stat()
    good[0].write_bytes(bytes(len(whole)))  # damaged, but of the same size and time ...
    os.utime(good[0], ns=(times.st_atime_ns, times.st_mtime_ns))
    check_images(good, record)  # ... so it isn't read again
    os.utime(good[0], ns=(times.st_atime_ns, times.st_mtime_ns + 1000))
    with pytest.raises(RecipeError, match="1 of 1 images fail"):
        check_images(good, record)


def test_repeated_images(tmp_path: Path) -> None:
    for name, color in (("a", 1), ("b", 2), ("c", 1), ("d", 3), ("e", 3)):
        Image.new("RGB", (32, 32), (color, 0, 0)).save(tmp_path / f"{name}.png")
    a, b, c, d, e = (tmp_path / f"{name}.png" for name in "abcde")
    assert repeated_images({"train": [a, b], "val": [c], "test": [d, e]}) == [(a, c)]
