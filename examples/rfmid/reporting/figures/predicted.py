"""Test images with what the model said: right, missed, false alarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from examples.rfmid.reporting.figures.photographs import ImageArray
from examples.rfmid.reporting.figures.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    new_figure,
    shortened,
    show_image,
    styled,
)

__all__ = ["PredictedExample", "predicted_examples"]

_LINES = (("found", BLUE), ("missed", VERMILLION), ("false alarm", BLACK))


@dataclass(frozen=True)
class PredictedExample:
    """An image, with the codes that were found, missed and wrongly raised."""

    image: ImageArray
    found: tuple[str, ...]
    missed: tuple[str, ...]
    false_alarm: tuple[str, ...]


# Inches: rows of images with room for a title above and three lines of text below.
_SIDE, _GAP, _TITLE, _TEXT, _HEADER = 1.85, 0.12, 0.3, 0.6, 0.4


@styled
def predicted_examples(rows: Mapping[str, Sequence[PredictedExample]]) -> Figure:
    """Draw a titled row of images for each kind of outcome."""
    n_columns = max(3, *(len(row) for row in rows.values()))
    width = n_columns * (_SIDE + _GAP) + _GAP
    row_height = _TITLE + _SIDE + _TEXT
    height = _HEADER + len(rows) * row_height
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    figure.text(
        _GAP / width,
        1 - 0.1 / height,
        "Decisions on test images",
        va="top",
        fontsize=12,
        fontweight="bold",
    )
    for i, (title, row) in enumerate(rows.items()):
        top = height - _HEADER - i * row_height
        figure.text(_GAP / width, (top - 0.08) / height, title, va="top", fontsize=11)
        for j, example in enumerate(row):
            left, bottom = _GAP + j * (_SIDE + _GAP), top - _TITLE - _SIDE
            panel = figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))
            show_image(panel, example.image)
            for line, (text, colour) in enumerate(_verdicts(example)):
                figure.text(
                    (left + _SIDE / 2) / width,
                    (bottom - 0.06 - 0.18 * line) / height,
                    text,
                    ha="center",
                    va="top",
                    fontsize=9,
                    color=colour,
                )
    return figure


def _verdicts(example: PredictedExample) -> list[tuple[str, str]]:
    lists = (example.found, example.missed, example.false_alarm)
    lines = [
        (f"{word}: {_shortened(codes)}", colour)
        for (word, colour), codes in zip(_LINES, lists, strict=True)
        if codes
    ]
    return lines or [("no disease, none raised", GREY)]


def _shortened(codes: Sequence[str], most: int = 3) -> str:
    more = f" + {len(codes) - most}" if len(codes) > most else ""
    return ", ".join(shortened(code, 12) for code in codes[:most]) + more
