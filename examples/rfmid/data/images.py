"""Read photographs, and find the unreadable ones before a training run does."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageOps
from tqdm import tqdm

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json, write_json

_T = TypeVar("_T")

# What Pillow raises for a file that is no image, is cut off or damaged.
DECODING_ERRORS = (
    OSError,
    SyntaxError,  # Pillow's for a damaged PNG
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
_EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}


def load_image(path: Path) -> Image.Image:
    """Decode a photograph completely, turn it upright, and return it as 8-bit RGB."""
    try:
        with Image.open(path) as image:
            if (upright := upright_rgb(image)) is None:
                raise RecipeError(f"{path}: 8 bits a channel are needed, got mode {image.mode}")
            return upright
    except DECODING_ERRORS as error:
        raise RecipeError(f"cannot read the image {path}: {error}") from error


def upright_rgb(image: Image.Image) -> Image.Image | None:
    """Decode an open image, turn it upright, and return it as 8-bit RGB; None if it has more bits.

    Raises one of `DECODING_ERRORS` if its file is damaged or cut off.
    """
    if image.mode not in _EIGHT_BIT_MODES:
        return None
    return ImageOps.exif_transpose(image).convert("RGB")


def for_each_image(
    work: Callable[[Path], _T], paths: Sequence[Path], description: str, threads: int | None = None
) -> list[_T]:
    """Return ``work(path)`` of each path, in order; failures are listed in one error.

    Decoding releases Python's lock, so threads run in parallel.
    """

    def attempt(path: Path) -> _T | RecipeError:
        try:
            return work(path)
        except RecipeError as error:
            return error

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        progress = tqdm(
            pool.map(attempt, paths),
            total=len(paths),
            desc=description,
            disable=not sys.stderr.isatty(),
        )
        try:
            results = list(progress)
        except BaseException:  # interrupted, or the disk is full: don't decode the rest
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    failures = [result for result in results if isinstance(result, RecipeError)]
    if failures:
        shown = "\n  ".join(map(str, failures[:5]))
        more = f"\n  and {len(failures) - 5} more" if len(failures) > 5 else ""
        raise RecipeError(f"{len(failures)} of {len(paths)} images fail:\n  {shown}{more}")
    return [result for result in results if not isinstance(result, RecipeError)]


def check_images(paths: Sequence[Path], record: Path, threads: int | None = None) -> None:
    """Decode every image once, but for those that `record` lists as unchanged since then.

    Raises
    ------
    RecipeError
        If an image can't be decoded; the message lists the first ones.
    """
    known = read_json(record) if record.is_file() else {}
    marks = {str(path): list(file_mark(path)) for path in paths}
    unknown = [path for path in paths if known.get(str(path)) != marks[str(path)]]

    def check(path: Path) -> None:
        load_image(path)

    for_each_image(check, unknown, "checking images", threads)
    write_json(record, marks)


def file_mark(path: Path) -> tuple[str, int, int]:
    """Return what changes when a file is replaced: name, size, time of the last change."""
    try:
        status = path.stat()
    except OSError as error:
        raise RecipeError(f"cannot read the image {path}: {error}") from error
    return path.name, status.st_size, status.st_mtime_ns


def repeated_images(splits: Mapping[str, Sequence[Path]]) -> list[tuple[Path, Path]]:
    """Return pairs of files of different splits that hold the same bytes.

    Only files of equal size are read.
    """
    by_size: dict[int, list[tuple[str, Path]]] = defaultdict(list)
    for split, paths in splits.items():
        for path in paths:
            by_size[path.stat().st_size].append((split, path))
    repeated = []
    for members in by_size.values():
        if len({split for split, _ in members}) < 2:
            continue
        first: dict[bytes, tuple[str, Path]] = {}
        for split, path in members:
            digest = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
            known_split, known_path = first.setdefault(digest, (split, path))
            if known_split != split:
                repeated.append((known_path, path))
    return repeated
