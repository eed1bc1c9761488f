"""Write the photographs and their label files in RFMiD's layout."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from mlthresh.exceptions import InputError

from .label_sets import CODES, LabelSet, deal_label_sets
from .render import CUTS, draw_fundus, grades_of

MANIFEST = "fundus.json"

# Counts up whenever the same seed draws other pictures.
_REVISION = 1
_SPLITS = ("Training", "Validation", "Test")
# Starting a process takes as long as drawing this many photographs.
_IMAGES_PER_WORKER = 50


@dataclass(frozen=True)
class _Picture:
    path: Path
    labels: LabelSet
    size: int
    seed: np.random.SeedSequence


def generate_dataset(
    root: Path | str,
    *,
    n_train: int = 1920,
    n_validation: int = 640,
    n_test: int = 640,
    size: int = 224,
    seed: int = 0,
    grades: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Draw a data set of fundus-like photographs with RFMiD's classes, counts and layout.

    ``root`` receives ``Training/1.jpg``, ..., ``Training_Labels.csv`` with the columns ``ID``,
    ``Disease_Risk`` and the sixteen codes, the same for ``Validation`` and ``Test``, and a
    manifest. All of it appears at once, or nothing does. Where ``root`` already holds this very
    data set, it is kept as it is.

    These are drawings: they show how a recipe behaves on a long-tailed problem of this shape, and
    say nothing of how it performs on patients.

    Parameters
    ----------
    root : path
        Folder to make; it must be missing, empty, or hold the same data set.
    n_train, n_validation, n_test : int
        Photographs in each split. With 1,920, the label sets occur exactly as in RFMiD.
    size : int
        Width and height in pixels.
    seed : int
        Eye and camera of photograph k depend on (seed, split, k) alone.
    grades : bool
        Add the columns ``DR_grade``, ``DN_grade`` and ``MH_grade``: how much of the disease is
        drawn, from 0 (absent) to 4, 3 and 3. The photographs are the same.
    workers : int, optional
        Processes; by default one a core.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    pathlib.Path
        ``root``.

    Raises
    ------
    InputError
        If an argument is out of range, or ``root`` holds anything else.
    """
    counts = dict(zip(_SPLITS, (n_train, n_validation, n_test), strict=True))
    for split, n in counts.items():
        if n < 1:
            raise InputError(f"{split} must have at least 1 photograph, got {n}")
    if size < 32:
        raise InputError(f"size must be at least 32 pixels, got {size}")
    if seed < 0:
        raise InputError(f"seed must be at least 0, got {seed}")
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}")
    root = Path(root)
    manifest = {"generator": __package__, "revision": _REVISION, "size": size, "seed": seed}
    manifest |= {"n_images": counts}
    if grades:
        manifest["grades"] = True
    if _holds(root, manifest):
        return root
    with _whole_or_nothing(root) as partial:
        pictures = [
            picture
            for index, split in enumerate(_SPLITS)
            for picture in _plan_split(partial, split, counts[split], size, (seed, index), grades)
        ]
        _draw_all(pictures, workers or os.cpu_count() or 1, progress=progress)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return root


def _holds(root: Path, manifest: dict[str, object]) -> bool:
    """Whether the data set is there already; anything else that is there raises."""
    if not root.exists():
        return False
    if not root.is_dir():
        raise InputError(f"{root} is a file; a folder is to be made there")
    if not any(root.iterdir()):
        return False
    try:
        found = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("generator") != __package__:
        raise InputError(f"{root} holds files that were not drawn here; choose another folder")
    if found != manifest:
        raise InputError(
            f"{root} holds another data set: {json.dumps(found)}, asked for "
            f"{json.dumps(manifest)}; choose another folder or delete this one"
        )
    for split in _SPLITS:
        n = sum(path.suffix == ".jpg" for path in (root / split).glob("*"))
        if n != found["n_images"][split] or not (root / f"{split}_Labels.csv").is_file():
            raise InputError(f"{root} has lost files of {split}; delete it to draw it again")
    return True


@contextmanager
def _whole_or_nothing(root: Path) -> Iterator[Path]:
    """Hand out a folder beside ``root`` that becomes ``root`` if all goes well."""
    root = root.resolve()
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = root.with_name(f".{root.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        yield partial
        if root.exists():
            root.rmdir()
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _plan_split(
    folder: Path,
    split: str,
    n: int,
    size: int,
    key: tuple[int, int],
    grades: bool,  # noqa: FBT001
) -> list[_Picture]:
    """Deal the labels, write the label file and list the pictures to draw."""
    seed, index = key
    deal = np.random.SeedSequence(seed, spawn_key=(index, 0))
    label_sets = deal_label_sets(n, np.random.default_rng(deal))
    (folder / split).mkdir()
    with (folder / f"{split}_Labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        graded = [f"{code}_grade" for code in CUTS] if grades else []
        rows.writerow(["ID", "Disease_Risk", *CODES, *graded])
        for k, labels in enumerate(label_sets, start=1):
            known = [int(bool(labels)), *(int(code in labels) for code in CODES)]
            if grades:
                known += grades_of(labels, np.random.default_rng(_seed_of(key, k)))
            rows.writerow([k, *known])
    return [
        _Picture(folder / split / f"{k}.jpg", labels, size, _seed_of(key, k))
        for k, labels in enumerate(label_sets, start=1)
    ]


def _seed_of(key: tuple[int, int], k: int) -> np.random.SeedSequence:
    seed, index = key
    return np.random.SeedSequence(seed, spawn_key=(index, 1, k))


def _draw_all(pictures: list[_Picture], workers: int, *, progress: bool) -> None:
    workers = min(workers, max(1, len(pictures) // _IMAGES_PER_WORKER))
    bar = tqdm(total=len(pictures), desc="drawing", unit="image", disable=not progress)
    with bar:
        if workers == 1:
            for picture in pictures:
                _draw(picture)
                bar.update()
        else:
            with multiprocessing.get_context("spawn").Pool(workers) as pool:
                for _ in pool.imap_unordered(_draw, pictures, chunksize=16):
                    bar.update()


def _draw(picture: _Picture) -> None:
    rng = np.random.default_rng(picture.seed)
    pixels = draw_fundus(picture.labels, size=picture.size, rng=rng)
    Image.fromarray(pixels).save(picture.path, quality=92, subsampling=0)
