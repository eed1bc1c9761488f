"""Find the three splits of a data folder: an image folder and a label CSV each.

Names decide, in any case and at any depth: Training/ beside Training_Labels.csv, the nested folders
of RFMiD's downloads (Training_Set/Training_Set/Training/1.png; "1. Original Images/a. Training
Set/"), or folders that hold images and CSV together. Explicit paths win.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json
from examples.rfmid.settings import DataConfig

SPLITS = ("train", "val", "test")
SPLITS_FILE = "splits.json"  # names the one image folder of all splits; written by `split`
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})

_MAX_DEPTH = 4
_WORDS = {
    "train": {"train", "training"},
    "val": {"val", "valid", "validation", "eval", "evaluation", "dev"},
    "test": {"test", "testing"},
}
_READABLE = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class SplitLayout:
    """Where one split lies."""

    images: Path
    labels: Path


def find_layout(config: DataConfig) -> dict[str, SplitLayout]:
    """Return the image folder and the label file of each split."""
    root = config.folder
    if not root.is_dir():
        raise RecipeError(f"the data folder {root} doesn't exist")
    folders, tables = _scan(root)
    common = _common_images(root)
    found = {}
    for split in SPLITS:
        images = (
            getattr(config, f"{split}_images")
            or common
            or _only(folders, split, root, "image folder", f"--{split}-images")
        )
        labels = getattr(config, f"{split}_labels") or _only(
            _prefer_label_files(tables, split, root),
            split,
            root,
            "label CSV",
            f"--{split}-labels",
        )
        if not images.is_dir():
            raise RecipeError(f"the {_READABLE[split]} image folder {images} doesn't exist")
        if not labels.is_file():
            raise RecipeError(f"the {_READABLE[split]} label file {labels} doesn't exist")
        found[split] = SplitLayout(images, labels)
    return found


def find_parts(config: DataConfig) -> dict[str, SplitLayout]:
    """Return the splits of a data folder, or the one part ``"all"`` where nothing names a split."""
    root = config.folder
    if not root.is_dir():
        raise RecipeError(f"the data folder {root} doesn't exist")
    folders, tables = _scan(root)
    if any(_split_of(path, root) for path in (*folders, *tables)):
        return find_layout(config)
    tables = [table for table in tables if "label" in table.name.lower()] or tables
    if len(folders) != 1 or len(tables) != 1:
        raise RecipeError(
            f"{root} has no splits; then it must hold one folder of images and one label CSV, not "
            f"{len(folders)} and {len(tables)}"
        )
    return {"all": SplitLayout(folders[0], tables[0])}


def _common_images(root: Path) -> Path | None:
    """Return the image folder of all splits, where a file in the data folder names it."""
    path = root / SPLITS_FILE
    if not path.is_file():
        return None
    images = read_json(path).get("images")
    if not isinstance(images, str):
        raise RecipeError(f"{path} doesn't name the folder of the images")
    return root / images  # an absolute path stays as it is


def images_by_name(folder: Path) -> dict[str, Path]:
    """Return image name without extension -> path, for the images directly in a folder."""
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not _is_image(path.name):
            continue
        if path.stem in images:
            raise RecipeError(
                f"{folder} holds {images[path.stem].name} and {path.name}: two images of one name"
            )
        images[path.stem] = path
    return images


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def _scan(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders under root that directly hold images, and the CSV files."""
    folders, tables = [], []
    for folder, names in _walk(root):
        if any(map(_is_image, names)):
            folders.append(folder)
        tables += [folder / name for name in names if name.lower().endswith(".csv")]
    return folders, [table for table in tables if not table.name.startswith(".")]


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    for folder, subfolders, names in os.walk(root):
        path = Path(folder)
        depth = len(path.relative_to(root).parts)
        hidden = {name for name in subfolders if name.startswith((".", "__"))}
        subfolders[:] = sorted(set(subfolders) - hidden) if depth < _MAX_DEPTH else []
        yield path, sorted(names)


def _split_of(path: Path, root: Path) -> str | None:
    """Return the split that the path names, the innermost name first."""
    for part in reversed(path.relative_to(root).parts):
        words = set(re.findall(r"[a-z]+", part.lower()))
        splits = [split for split in SPLITS if words & _WORDS[split]]
        if len(splits) == 1:
            return splits[0]
    return None


def _prefer_label_files(tables: Iterable[Path], split: str, root: Path) -> list[Path]:
    """Return the split's CSV files; those with "label" in their name, where there are any."""
    own = [table for table in tables if _split_of(table, root) == split]
    return [table for table in own if "label" in table.name.lower()] or own


def _only(paths: Iterable[Path], split: str, root: Path, what: str, flag: str) -> Path:
    found = [path for path in paths if _split_of(path, root) == split]
    if len(found) == 1:
        return found[0]
    words = " or ".join(sorted(_WORDS[split]))
    if not found:
        raise RecipeError(
            f"no {_READABLE[split]} {what} under {root}: nothing there that is no empty folder "
            f"has a name with {words}; name it with {flag}"
        )
    listed = ", ".join(str(path.relative_to(root)) for path in found[:4])
    raise RecipeError(
        f"{len(found)} folders or files under {root} could be the {_READABLE[split]} {what} "
        f"({listed}{', ...' if len(found) > 4 else ''}); name it with {flag}"
    )
