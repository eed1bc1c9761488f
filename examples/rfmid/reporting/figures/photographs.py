"""The figures that show photographs, chosen at random from the data folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
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
from examples.rfmid.reporting.figures.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    grid_of_axes,
    new_figure,
    shortened,
    show_image,
    styled,
)
from examples.rfmid.reporting.record import RunRecord

_MOST_DISEASES = 5  # columns of the sample sheet, beside "none"
_MOST_EXAMPLES = 4  # of each kind of outcome
_MOST_DESCRIBED = 3  # diseases beside the healthy retina
_SEED = 0
_THUMBNAIL = 224


@styled
def samples(record: RunRecord) -> Figure:
    """Draw test images with no, one, two, ... labelled diseases, a column for each number."""
    labels, paths = record.test.y_true, _paths(record, "test")
    n_diseases = np.where(np.isnan(labels).any(axis=1), -1, np.nansum(labels, axis=1))
    rng = np.random.default_rng(_SEED)
    columns = {
        count: rows
        for count in range(_MOST_DISEASES + 1)
        if len(rows := rng.permutation(np.flatnonzero(n_diseases == count))[:2])
    }
    if not columns:
        raise NothingToShow("every test image lacks a label")
    n_rows = max(map(len, columns.values()))
    width = 1.75 * max(4, len(columns))
    figure = new_figure(width, 0.7 + 2.1 * n_rows, "Images by number of labelled diseases")
    axes = figure.subplots(n_rows, len(columns), squeeze=False)
    for panels, (count, rows) in zip(axes.T, columns.items(), strict=True):
        title = {0: "none", 1: "1 disease"}.get(count, f"{count} diseases")
        panels[0].set_title(title, loc="center", fontsize=10)
        for panel, row in zip(panels, rows, strict=False):
            show_image(panel, _pixels(paths[record.test.ids[row]]))
            codes = [shortened(code, 16) for code in _codes_of(record, labels[row] == 1)]
            lines = [", ".join(codes[i : i + 3]) for i in range(0, len(codes), 3)]
            panel.set_xlabel(",\n".join(lines), fontsize=9)
        for empty in panels[len(rows) :]:
            empty.set_visible(False)
    return figure


@styled
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
    shown = [(healthy[0], "none of the diseases", "")]
    for c in described[:_MOST_DESCRIBED]:
        row = rng.permutation(np.flatnonzero(alone[:, c]))[0]
        shown.append((row, names[c], SIGNS[names[c]]))
    figure = new_figure(2.6 * len(shown), 3.6, "A healthy retina beside diseased ones")
    panels = grid_of_axes(figure, len(shown), len(shown))
    for panel, (row, name, signs) in zip(panels, shown, strict=True):
        show_image(panel, _pixels(paths[record.test.ids[row]]))
        panel.set_title("\n".join(wrap(name, 26)), loc="center", fontsize=10)
        panel.set_xlabel("\n".join(wrap(signs, 30)), fontsize=9)
    return figure


@styled
def augmentation(record: RunRecord) -> Figure:
    """Draw training images as the model sees them in evaluation, then as training may show them."""
    paths = list(_paths(record, "train").values())
    rng = np.random.default_rng(_SEED)
    chosen = [paths[i] for i in sorted(rng.permutation(len(paths))[:3])]
    preprocessing = Preprocessing.from_config(record.config.image)
    augment = build_augmentation(record.config.augmentation, preprocessing)
    n_draws = 5
    titles = ["before", *(f"draw {j}" for j in range(1, n_draws + 1))]
    figure = new_figure(
        1.55 * len(titles), 0.7 + 1.6 * len(chosen), "Before and after augmentation"
    )
    axes = figure.subplots(len(chosen), len(titles), squeeze=False)
    for i, (path, panels) in enumerate(zip(chosen, axes, strict=True)):
        resized = preprocessing.resize(_photograph(path))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(key(_SEED, i))
            inputs = [preprocessing.finish(resized), *(augment(resized) for _ in range(n_draws))]
        for panel, one in zip(panels, inputs, strict=True):
            show_image(panel, preprocessing.picture(one))
    for panel, title in zip(axes[0], titles, strict=True):
        panel.set_title(
            title, loc="center", fontsize=10, color=BLACK if title == "before" else GREY
        )
    return figure


# Inches: rows of images with room for a title above and three lines of text below.
_SIDE, _GAP, _TITLE, _TEXT, _HEADER = 1.85, 0.12, 0.3, 0.6, 0.4


@styled
def examples(record: RunRecord) -> Figure:
    """Draw test images that the thresholds in use decide rightly, and others, a row a kind."""
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
    drawn = {}
    for title, belongs in kinds.items():
        chosen = rng.permutation(np.flatnonzero(belongs))[:_MOST_EXAMPLES]
        if len(chosen):
            n = np.count_nonzero(belongs)
            drawn[f"{title}: {len(chosen)} drawn at random of {n}"] = chosen
    if not drawn:
        raise NothingToShow("no test image shows a disease and none was raised")
    width = max(3, *map(len, drawn.values())) * (_SIDE + _GAP) + _GAP
    height = _HEADER + len(drawn) * (_TITLE + _SIDE + _TEXT)
    figure = new_figure(width, height, "Decisions on test images")
    figure.set_layout_engine("none")
    for i, (title, chosen) in enumerate(drawn.items()):
        top = height - _HEADER - i * (_TITLE + _SIDE + _TEXT)
        figure.text(_GAP / width, (top - 0.08) / height, title, va="top", fontsize=11)
        for j, row in enumerate(chosen):
            left, bottom = _GAP + j * (_SIDE + _GAP), top - _TITLE - _SIDE
            panel = figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))
            show_image(panel, _pixels(paths[record.test.ids[row]]))
            verdicts = (
                ("found", BLUE, found),
                ("missed", VERMILLION, missed),
                ("false alarm", BLACK, false_alarm),
            )
            _say(
                panel, [(word, colour, _codes_of(record, of[row])) for word, colour, of in verdicts]
            )
    return figure


def _say(panel: Axes, verdicts: Sequence[tuple[str, str, list[str]]]) -> None:
    """Write under an image which diseases were found, missed and wrongly raised."""
    lines = []
    for word, colour, codes in verdicts:
        if codes:
            more = f" + {len(codes) - 3}" if len(codes) > 3 else ""
            listed = ", ".join(shortened(code, 12) for code in codes[:3])
            lines.append((f"{word}: {listed}{more}", colour))
    for i, (text, colour) in enumerate(lines or [("no disease, none raised", GREY)]):
        panel.annotate(
            text,
            (0.5, 0),
            (0, -4 - 13 * i),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=9,
            color=colour,
        )


def _codes_of(record: RunRecord, shown: npt.NDArray[np.bool_]) -> list[str]:
    return [record.codes[c] for c in record.by_frequency if shown[c]]


def _paths(record: RunRecord, split: str) -> dict[str, Path]:
    """Return the photographs of a split by name, or leave the figure out."""
    folder = Path(record.data["splits"][split]["image_folder"])
    if not folder.is_dir():
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


def _pixels(path: Path) -> npt.NDArray[Any]:
    """Return a small copy of a photograph."""
    image = _photograph(path)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return np.asarray(image)
