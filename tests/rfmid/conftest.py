"""Tiny data sets: solid-coloured photographs whose colour tells the disease."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from examples.rfmid.runfolder import RunFolder

Rows = Sequence[Mapping[str, Any]]

CLASSES = ("DR", "MH", "BRVO")


def write_labels(path: Path, rows: Rows) -> None:
    """Write a label file the way RFMiD's come: UTF-8 with a byte order mark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_image(
    path: Path, shown: Sequence[int] = (0, 0, 0), size: tuple[int, int] = (48, 32)
) -> None:
    """Write a photograph whose channel c is bright where class c is shown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, tuple(200 * value + 20 for value in shown))
    mark = zlib.crc32(path.stem.encode())  # no two photographs are the same file
    image.putpixel((0, 0), (mark & 255, mark >> 8 & 255, mark >> 16 & 255))
    image.save(path)


def make_rows(n: int, first: int = 1) -> list[dict[str, Any]]:
    """Return rows in which DR is in 1 of 2 images, MH in 1 of 4, BRVO in 1 of 8."""
    return [
        {
            "ID": first + i,
            "Disease_Risk": 1,
            "DR": i % 2,
            "MH": int(i % 4 == 0),
            "BRVO": int(i % 8 == 2),
        }
        for i in range(n)
    ]


def write_split(images: Path, labels: Path, rows: Rows, suffix: str = ".png") -> None:
    """Write one split's label file and images."""
    write_labels(labels, rows)
    for row in rows:
        shown = [int(row[name]) if row.get(name) in (0, 1) else 0 for name in CLASSES]
        write_image(images / f"{row['ID']}{suffix}", shown)


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """Three splits of 24, 16 and 16 images in the flat layout."""
    return make_data_folder(tmp_path / "data")


@pytest.fixture(scope="session")
def shared_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, written once; for tests that don't change it."""
    return make_data_folder(tmp_path_factory.mktemp("shared") / "data")


def make_data_folder(root: Path) -> Path:
    for folder, n, first in (("Training", 24, 1), ("Validation", 16, 101), ("Test", 16, 201)):
        write_split(root / folder, root / f"{folder}_Labels.csv", make_rows(n, first))
    return root


@pytest.fixture
def write() -> Callable[..., None]:
    """Return `write_split`, for tests with a layout of their own."""
    return write_split


@pytest.fixture
def write_rows() -> Callable[..., None]:
    """Return `write_labels`."""
    return write_labels


@pytest.fixture
def rows_of() -> Callable[..., list[dict[str, Any]]]:
    """Return `make_rows`."""
    return make_rows


@pytest.fixture
def paint() -> Callable[..., None]:
    """Return `write_image`."""
    return write_image


@pytest.fixture(scope="session")
def served_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run to serve; tests don't change it."""
    from tests.rfmid.served_run import save_served_run  # PyTorch, which most of these don't need

    return save_served_run(tmp_path_factory.mktemp("served") / "run")


@pytest.fixture(scope="session")
def many_eyes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photographs of all sorts, beside which nothing is left."""
    from tests.rfmid.served_run import write_eyes

    return write_eyes(tmp_path_factory.mktemp("eyes"))
