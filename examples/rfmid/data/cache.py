"""Photographs decoded and resized once, in a file that every later run maps into memory.

A cache file holds the pixels of a split's images one after the other, then an index in JSON, its
length and a signature. The index comes last and the file is renamed when it is whole, so that a
broken-off one is never taken for a cache. An image whose file has another size or time than when it
was read is read again; the others are taken over.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from examples.rfmid.data.images import file_mark, for_each_image, load_image
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import remove_leftovers, replacing
from examples.rfmid.locks import locked

_SIGNATURE = b"resized1"  # changes with the format
_TAIL = struct.Struct("<Q8s")  # length of the index, signature

_Mark = tuple[str, int, int]  # name, size in bytes, time of the last change
_Place = tuple[int, int, int]  # first byte, height, width


class ImageCache(Sequence[Tensor]):
    """The resized images of a split, uint8 of shape (3, H, W), read from a memory-mapped file.

    Several processes share the pages that they have read.

    Raises
    ------
    RecipeError
        If the file isn't a whole cache, or lacks one of the images.
    """

    def __init__(self, file: Path, paths: Sequence[Path]) -> None:
        self._file, self._paths = file, paths
        places = _read_index(file)
        try:
            self._places = [places[file_mark(path)] for path in paths]
        except KeyError as error:
            raise RecipeError(f"{file} lacks the image {error.args[0][0]}") from error
        self._pixels = np.memmap(file, np.uint8, mode="r")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]  # no slices
        first, height, width = self._places[index]
        pixels = self._pixels[first : first + 3 * height * width]
        return torch.from_numpy(np.array(pixels).reshape(3, height, width))

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageCache, (self._file, self._paths)  # a worker process maps the file itself


class _OfFolders(Sequence[Tensor]):
    """Images of several folders, from a cache of each."""

    def __init__(self, caches: Sequence[ImageCache], places: Sequence[tuple[int, int]]) -> None:
        self._caches, self._places = caches, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]  # no slices
        cache, place = self._places[index]
        return self._caches[cache][place]


def open_caches(
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    folder: Path,
    name: str,
    threads: int | None = None,
) -> Sequence[Tensor]:
    """Return the images of one or several folders, from `open_cache` of each."""
    by_folder: dict[Path, list[Path]] = {}
    places = []
    for path in paths:
        of_folder = by_folder.setdefault(path.parent, [])
        places.append((list(by_folder).index(path.parent), len(of_folder)))
        of_folder.append(path)
    caches = [
        open_cache(those, preprocessing, folder, name, threads) for those in by_folder.values()
    ]
    return caches[0] if len(caches) == 1 else _OfFolders(caches, places)


def open_cache(
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    folder: Path,
    name: str,
    threads: int | None = None,
) -> ImageCache:
    """Return the cache of these images, written or brought up to date where that is needed.

    Several processes may ask for the same cache at once: one writes, the others wait.

    Parameters
    ----------
    paths : sequence of Path
        Photographs of one folder.
    preprocessing : Preprocessing
        Its `resize` is applied.
    folder : Path
        Where cache files are; made if absent.
    name : str
        Of the split, for the file's name.
    threads : int, optional
        For decoding.
    """
    origin = hashlib.blake2b(str(paths[0].parent.absolute()).encode(), digest_size=4).hexdigest()
    size = preprocessing.image_size
    file = folder / f"{name}-{preprocessing.fit}-{size}-{origin}.images"
    try:
        return ImageCache(file, paths)
    except RecipeError:
        pass  # absent, damaged, or of other images
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(
            f"cannot make the cache folder {folder}: {error}; choose one with --cache-folder"
        ) from error
    with locked(folder / f".{file.name}.lock"):
        try:
            return ImageCache(file, paths)  # written while the lock was waited for
        except RecipeError:
            remove_leftovers(folder, file.name)
            _write(file, paths, preprocessing, threads)
    return ImageCache(file, paths)


def _write(
    file: Path, paths: Sequence[Path], preprocessing: Preprocessing, threads: int | None
) -> None:
    """Write a cache file, with the images of the one before where they are unchanged.

    Also with those that are not asked for now: another run may be reading them.
    """
    paths = [*paths, *_others(file, paths)]
    places, before = _unchanged(file, paths)
    appending = threading.Lock()
    with replacing(file) as temporary, temporary.open("wb") as stream:

        def append(path: Path) -> tuple[_Mark, _Place]:
            mark = file_mark(path)
            if path in places:
                image = before[places[path]]
            else:
                image = preprocessing.resize(load_image(path))
            with appending:
                first = stream.tell()
                stream.write(image.numpy().tobytes())
            return mark, (first, image.shape[1], image.shape[2])

        entries = for_each_image(append, paths, f"caching {file.name}", threads)
        index = json.dumps(entries).encode()
        stream.write(index + _TAIL.pack(len(index), _SIGNATURE))
    print(f"{file}: {len(paths)} images, {len(paths) - len(places)} of them decoded now")


def _others(file: Path, paths: Sequence[Path]) -> list[Path]:
    """Return the images of the same folder that a cache file holds beside these, as they are."""
    try:
        known = _read_index(file)
    except RecipeError:
        return []
    asked, folder = {path.name for path in paths}, paths[0].parent
    held = [folder / name for name, _, _ in known if name not in asked]
    return [path for path in held if path.is_file() and file_mark(path) in known]


def _unchanged(file: Path, paths: Sequence[Path]) -> tuple[dict[Path, int], Sequence[Tensor]]:
    """Return the images that a cache file holds as they still are: their places, and themselves."""
    try:
        known = _read_index(file)
        held = [path for path in paths if file_mark(path) in known]
        return {path: i for i, path in enumerate(held)}, ImageCache(file, held)
    except RecipeError:
        return {}, ()


def _read_index(file: Path) -> dict[_Mark, _Place]:
    try:
        with file.open("rb") as stream:
            end = stream.seek(-_TAIL.size, os.SEEK_END)
            length, signature = _TAIL.unpack(stream.read())
            if signature != _SIGNATURE:
                raise RecipeError(f"{file} isn't a whole image cache")
            n_bytes = stream.seek(end - length)
            entries = json.loads(stream.read(length))
        index = {tuple(mark): tuple(place) for mark, place in entries}
        if n_bytes != sum(3 * height * width for _, height, width in index.values()):
            raise RecipeError(f"{file} isn't a whole image cache")
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise RecipeError(f"cannot read the image cache {file}: {error}") from error
    return index
