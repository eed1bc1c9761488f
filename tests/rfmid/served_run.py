"""A run whose model is not trained but decides both ways, and photographs of every sort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.serving.bundle import load_bundle
from examples.rfmid.training.grading import add_grades
from examples.rfmid.training.model import build_network
from examples.rfmid.training.saved_grades import save_grades
from mlthresh import save_model
from tests.rfmid.simulation import (
    CODES,
    PREPROCESSING,
    save_network,
    simulate_labels,
    simulate_run,
    simulate_scores,
)

LEVELS = {"DR": 4, "MH": 3}


def save_served_run(run: Path) -> RunFolder:
    """Write it, with images set aside that certify some classes, not others, and lack one.

    The last class has no threshold, and the first two are graded.
    """
    folder = simulate_run(run, n_epochs=1)
    save_network(folder, preprocessing={**PREPROCESSING, "image_size": 64})
    rng = np.random.default_rng(5)
    labels = simulate_labels(120, len(CODES), rng, commonest=0.5)
    labels[:, -1] = 0
    Predictions(
        ids=tuple(f"certify_{k}" for k in range(120)),
        class_names=CODES,
        y_true=labels,
        y_score=simulate_scores(labels, rng, separation=2.0),
    ).save(folder.predictions("certify"))
    bundle = load_bundle(run)
    found = bundle.thresholds
    limits = found.thresholds.copy()
    limits[-2:] = 0.69, np.inf
    network = build_network("convnext_demo", len(CODES), seed=1)
    add_grades(network, tuple(LEVELS.values()), image_size=64, seed=0)
    head = network.model.get_submodule(network.head)
    save_model(
        run,
        bundle.model.model,
        replace(found, thresholds=limits),
        preprocessing=bundle.model.preprocessing,
        metadata={**(bundle.model.metadata or {}), "grades": save_grades(folder, head, LEVELS)},
    )
    return folder


def write_eyes(folder: Path) -> list[Path]:
    """Write photographs of several sizes, formats and modes, one of them to be turned upright."""
    rng = np.random.default_rng(0)

    def noise(height: int, width: int, channels: int = 3) -> Image.Image:
        pixels = rng.integers(0, 255, (height, width, channels), dtype=np.uint8)
        return Image.fromarray(pixels.squeeze())

    turned = Image.Exif()
    turned[0x0112] = 6
    noise(90, 60).save(folder / "b.png")
    noise(64, 64).save(folder / "a.jpg")
    noise(50, 120).save(folder / "turned.JPEG", exif=turned)
    noise(70, 70, 1).save(folder / "grey.png")
    noise(70, 80, 4).save(folder / "see through.png")
    noise(70, 80).quantize(16).save(folder / "palette.png")
    noise(70, 80).save(folder / "scan.tif")
    noise(70, 80).save(folder / "plain.bmp")
    noise(70, 80).save(folder / "small.webp")
    return sorted(folder.iterdir())
