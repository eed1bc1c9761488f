"""The figures of a report that show photographs, chosen at random from the data folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from PIL import Image

from examples.rfmid.data.augmentation import build_augmentation
from examples.rfmid.data.dataset import key
from examples.rfmid.data.glossary import SIGNS
from examples.rfmid.data.images import load_image
from examples.rfmid.data.layout import images_by_name
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.reporting.figures import NothingToShow
from examples.rfmid.reporting.figures.photographs import (
    Described,
    Sample,
    augmentation_sheet,
    described_sheet,
    sample_sheet,
)
from examples.rfmid.reporting.figures.predicted import PredictedExample, predicted_examples
from examples.rfmid.reporting.record import RunRecord

__all__ = ["augmentation", "examples", "healthy_and_diseased", "samples"]

_MOST_DISEASES = 5  # columns of the sample sheet, beside "none"
_MOST_EXAMPLES = 4  # of each kind of outcome
_MOST_DESCRIBED = 3  # diseases beside the healthy retina
_SEED = 0
_THUMBNAIL = 224


def samples(record: RunRecord) -> Figure:
    """Draw test images with no, one, two, ... labelled diseases."""
    labels = record.test.y_true
    n_diseases = np.where(np.isnan(labels).any(axis=1), -1, np.nansum(labels, axis=1))
    paths = _paths(record, "test")
    rng = np.random.default_rng(_SEED)
    columns = []
    for count in range(_MOST_DISEASES + 1):
        rows = rng.permutation(np.flatnonzero(n_diseases == count))[:2]
        column = [
            Sample(_pixels(paths[record.test.ids[row]]), _codes_of(record, labels[row] == 1))
            for row in rows
        ]
        if column:
            columns.append(column)
    if not columns:
        raise NothingToShow("every test image lacks a label")
    return sample_sheet(columns)


def healthy_and_diseased(record: RunRecord) -> Figure:
    """Draw a test image without a disease beside images of one disease, its signs named."""
    labels, paths = record.test.y_true, _paths(record, "test")
    rng = np.random.default_rng(_SEED)
    healthy = rng.permutation(np.flatnonzero((labels == 0).all(axis=1)))[:1]
    alone = (labels == 1) & (np.nansum(labels, axis=1, keepdims=True) == 1)
    names = [record.names[code] for code in record.codes]
    described = [c for c in record.by_frequency if names[c] in SIGNS and alone[:, c].any()]
    if not len(healthy) or not described:
        raise NothingToShow("no test image is without a disease, or none shows one alone")
    shown = [Described(_pixels(paths[record.test.ids[healthy[0]]]), "none of the diseases", "")]
    for c in described[:_MOST_DESCRIBED]:
        row = rng.permutation(np.flatnonzero(alone[:, c]))[0]
        shown.append(Described(_pixels(paths[record.test.ids[row]]), names[c], SIGNS[names[c]]))
    return described_sheet(shown)


def augmentation(record: RunRecord) -> Figure:
    """Draw training images without and with the run's augmentation."""
    paths = list(_paths(record, "train").values())
    rng = np.random.default_rng(_SEED)
    chosen = [paths[i] for i in sorted(rng.permutation(len(paths))[:3])]
    preprocessing = Preprocessing.from_config(record.config.image)
    augment = build_augmentation(record.config.augmentation, preprocessing)
    resized = [preprocessing.resize(_photograph(path)) for path in chosen]
    before = [_shown(preprocessing.finish(image), preprocessing) for image in resized]
    after: list[list[npt.NDArray[np.float32]]] = []
    for i, image in enumerate(resized):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(key(_SEED, i))
            after.append([_shown(augment(image), preprocessing) for _ in range(5)])
    return augmentation_sheet(before, after)


def examples(record: RunRecord) -> Figure:
    """Draw test images that the thresholds in use decide rightly, and others."""
    paths = _paths(record, "test")
    labels, alarms = record.test.y_true, record.thresholds.predict(record.test.y_score)
    found, missed = (labels == 1) & alarms, (labels == 1) & ~alarms
    false_alarm = (labels == 0) & alarms
    doubtful = missed | false_alarm | np.isnan(labels)
    kinds = {
        "Every disease found, nothing else raised": found.any(axis=1) & ~doubtful.any(axis=1),
        "Diseases missed": missed.any(axis=1),
        "False alarms": false_alarm.any(axis=1),
    }
    rng = np.random.default_rng(_SEED)
    rows = {}
    for title, belongs in kinds.items():
        chosen = rng.permutation(np.flatnonzero(belongs))[:_MOST_EXAMPLES]
        if len(chosen):
            n = np.count_nonzero(belongs)
            rows[f"{title}: {len(chosen)} drawn at random of {n}"] = [
                PredictedExample(
                    _pixels(paths[record.test.ids[row]]),
                    *(_codes_of(record, kind[row]) for kind in (found, missed, false_alarm)),
                )
                for row in chosen
            ]
    if not rows:
        raise NothingToShow("no test image shows a disease and none was raised")
    return predicted_examples(rows)


def _codes_of(record: RunRecord, shown: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(record.codes[c] for c in record.by_frequency if shown[c])


def _paths(record: RunRecord, split: str) -> dict[str, Path]:
    """Return the photographs of a split by name, or leave the figure out."""
    folder = record.photographs.get(split)
    if folder is None:
        raise NothingToShow(f"the {split} images are not where they were in training")
    paths = images_by_name(folder)
    if split == "test" and not set(record.test.ids) <= set(paths):
        raise NothingToShow("some test images are not where they were in training")
    if not paths:
        raise NothingToShow(f"the {split} folder holds no image")
    return paths


def _photograph(path: Path) -> Image.Image:
    try:
        return load_image(path)
    except RecipeError as error:
        raise NothingToShow(str(error)) from error


def _pixels(path: Path) -> npt.NDArray[np.uint8]:
    """Return a small copy of a photograph."""
    image = _photograph(path)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return np.asarray(image)


def _shown(image: torch.Tensor, preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """Return a normalised (3, H, W) input as an (H, W, 3) picture in [0, 1]."""
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std)
    )
    picture: npt.NDArray[np.float32] = (image * std + mean).clamp(0, 1).permute(1, 2, 0).numpy()
    return picture
