from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from examples.rfmid.data import cache
from examples.rfmid.data.cache import ImageCache, open_cache
from examples.rfmid.data.images import load_image
from examples.rfmid.data.transforms import Preprocessing
from examples.rfmid.errors import RecipeError

PREPROCESSING = Preprocessing(image_size=32)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Twelve photographs of different widths."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    made = [folder / f"{i}.png" for i in range(12)]
    for i, path in enumerate(made):
        noise = torch.randint(0, 256, (40, 44 + i, 3), generator=torch.Generator().manual_seed(i))
        Image.fromarray(noise.to(torch.uint8).numpy()).save(path)
    return made


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photographs that were decoded for a cache."""
    names: list[str] = []

    def recorded(path: Path) -> Any:
        names.append(path.name)
        return load_image(path)

    monkeypatch.setattr(cache, "load_image", recorded)
    return names


def opened(paths: list[Path], folder: Path, **options: Any) -> ImageCache:
    return open_cache(
        paths, options.pop("preprocessing", PREPROCESSING), folder, "train", **options
    )


def check(
    images: ImageCache, paths: list[Path], preprocessing: Preprocessing = PREPROCESSING
) -> None:
    assert len(images) == len(paths)
    for image, path in zip(images, paths, strict=True):
        assert torch.equal(image, preprocessing.resize(load_image(path)))


def test_images_are_decoded_once(paths: list[Path], tmp_path: Path, decoded: list[str]) -> None:
    check(opened(paths, tmp_path / "cache", threads=3), paths)
    assert sorted(decoded) == sorted(path.name for path in paths)
    decoded.clear()
    check(opened(paths, tmp_path / "cache"), paths)
    check(opened(paths[::-2], tmp_path / "cache"), paths[::-2])
    assert decoded == []
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_only_what_changed_is_decoded_again(
    paths: list[Path], tmp_path: Path, decoded: list[str]
) -> None:
    opened(paths[:10], tmp_path)
    before = opened(paths[:10], tmp_path)
    decoded.clear()
    Image.new("RGB", (50, 40), (9, 8, 7)).save(paths[3])
    status = paths[5].stat()
    os.utime(paths[5], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    check(opened(paths, tmp_path), paths)
    assert sorted(decoded) == ["10.png", "11.png", "3.png", "5.png"]
    assert before[3].shape == (3, 32, 37), "who had it open still reads what it was"


def test_each_preprocessing_and_each_folder_has_its_own(paths: list[Path], tmp_path: Path) -> None:
    others = [Preprocessing(image_size=40), Preprocessing(image_size=32, fit="pad")]
    for preprocessing in [PREPROCESSING, *others]:
        images = opened(paths, tmp_path / "cache", preprocessing=preprocessing)
        check(images, paths, preprocessing)
    assert len(list((tmp_path / "cache").iterdir())) == 3
    again = shutil.copytree(paths[0].parent, tmp_path / "again")
    opened([again / path.name for path in paths], tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 4


def cut_tail(content: bytes) -> bytes:
    return content[:-9]


def cut_start(content: bytes) -> bytes:
    return content[500:]


def swap_index(content: bytes) -> bytes:
    return content[:-40] + b"}" * 24 + content[-16:]


def huge_index(content: bytes) -> bytes:
    return content[:-16] + b"\xff" * 7 + b"\x00" + content[-8:]


def nothing(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut_tail, cut_start, swap_index, huge_index, nothing])
def test_a_damaged_file_is_no_cache(
    damage: Callable[[bytes], bytes], paths: list[Path], tmp_path: Path, decoded: list[str]
) -> None:
    opened(paths, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    decoded.clear()
    check(opened(paths, tmp_path / "cache"), paths)
    assert len(decoded) == 12


def test_a_bad_image_leaves_no_cache(paths: list[Path], tmp_path: Path) -> None:
    paths[7].write_bytes(paths[7].read_bytes()[:300])
    with pytest.raises(RecipeError, match=r"1 of 12 images fail:\n .*7.png"):
        opened(paths, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_leftovers_of_a_killed_process_are_cleared(paths: list[Path], tmp_path: Path) -> None:
    opened(paths, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    (tmp_path / "cache" / f".{file.name}.ab12_x9z").write_bytes(b"half")
    (tmp_path / "cache" / f".{file.name}.lock").touch()
    os.utime(paths[0], ns=(1, 1))
    opened(paths, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == [file]


def test_a_folder_that_cannot_be_written(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match="choose one with --cache-folder"):
        opened(paths, tmp_path / "file" / "cache")


def test_it_travels_to_other_processes_by_name(paths: list[Path], tmp_path: Path) -> None:
    images = opened(paths, tmp_path / "cache")
    pickled = pickle.dumps(images)
    assert len(pickled) < 2000 < sum(image.numel() for image in images)
    check(pickle.loads(pickled), paths)  # noqa: S301
    Image.new("RGB", (50, 40)).save(paths[0])
    with pytest.raises(RecipeError, match=r"lacks the image 0.png"):
        pickle.loads(pickled)  # noqa: S301


def _open_in_a_process(paths: list[Path], folder: Path, results: Any) -> None:
    names: list[str] = []
    original = cache.load_image
    cache.load_image = lambda path: names.append(path.name) or original(path)
    images = opened(paths, folder, threads=1)
    results.put((len(names), sum(int(image.sum()) for image in images)))


def test_several_processes_at_once(paths: list[Path], tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [
        context.Process(target=_open_in_a_process, args=(paths, tmp_path / "cache", results))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    answers = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(n for n, _ in answers) == [0, 0, 12], "one decodes, the others wait"
    assert len({total for _, total in answers}) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1
