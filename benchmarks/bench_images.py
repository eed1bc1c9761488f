"""The reference system's images: decoded always or once; augmented one by one or at once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.timing import median_cpu_seconds, table
from examples.rfmid.data.augmentation import build_augmentation
from examples.rfmid.data.batch_augmentation import BatchAugmentation, collate_drawn
from examples.rfmid.data.cache import open_cache
from examples.rfmid.data.dataset import EvaluationSet, ImageFiles
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.settings import AugmentationConfig

SIZE = (2144, 1424)  # most of RFMiD's photographs
N_IMAGES = 24
OURS_READ = "cache on disk"
OURS_AUGMENT = "a batch at once"


def photographs(folder: Path) -> list[Path]:
    """Write JPEGs of RFMiD's size: a bright disc with fine structure on black."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    disc = ((x - SIZE[0] / 2) ** 2 + (y - SIZE[1] / 2) ** 2 < (SIZE[1] / 2) ** 2)[..., None]
    paths = []
    for i in range(N_IMAGES):
        coarse = Image.fromarray(rng.integers(60, 200, (90, 134, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC)).astype(np.int16)
        pixels += rng.integers(-6, 7, (*pixels.shape[:2], 1), dtype=np.int16)
        paths.append(folder / f"{i}.jpg")
        Image.fromarray((pixels.clip(0, 255) * disc).astype(np.uint8)).save(paths[-1], quality=92)
    return paths


def run() -> Iterator[str]:
    """Yield a table for reading an image, and one for augmenting it."""
    torch.set_num_threads(1)
    preprocessing = Preprocessing()
    with tempfile.TemporaryDirectory() as name:
        paths = photographs(Path(name))
        with redirect_stdout(StringIO()):
            cached = open_cache(paths, preprocessing, Path(name) / "cache", "train", threads=1)
        decoded = ImageFiles(paths, preprocessing)
        place = cycle(range(N_IMAGES))
        seconds = median_cpu_seconds(
            {
                "decode and resize": lambda: decoded[next(place)],
                OURS_READ: lambda: cached[next(place)],
            },
            rounds=9,
        )
        yield table(
            f"A photograph of {SIZE[0]} x {SIZE[1]}, to 224 pixels", seconds, ours=OURS_READ
        )
        files, images = (EvaluationSet(source, preprocessing) for source in (decoded, cached))
        seconds = median_cpu_seconds(
            {
                "decode and resize": lambda: files[next(place)],
                OURS_READ: lambda: images[next(place)],
            },
            rounds=9,
        )
        yield table("The same with the crop and the normalisation", seconds, ours=OURS_READ)

        config = AugmentationConfig()
        steps, batch = (
            build_augmentation(config, preprocessing),
            BatchAugmentation(config, preprocessing),
        )
        drawn = collate_drawn([(batch.draw(image), torch.zeros(1)) for image in cached])
        fused = AugmentationConfig(fused=True)
        fused_batch = BatchAugmentation(fused, preprocessing)
        fused_drawn = collate_drawn([(fused_batch.draw(image), torch.zeros(1)) for image in cached])
        seconds = median_cpu_seconds(
            {
                "torchvision, one by one": lambda: [steps(image) for image in cached],
                OURS_AUGMENT: lambda: batch(drawn),
                "a batch at once, fused": lambda: fused_batch(fused_drawn),
                "the draws alone": lambda: [batch.draw(image) for image in cached],
            },
            rounds=5,
        )
        yield table(f"The deck's augmentation of {N_IMAGES} images", seconds, ours=OURS_AUGMENT)
