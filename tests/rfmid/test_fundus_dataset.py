"""The drawn data set on disk: layout, reproducibility, and what happens to an existing folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.rfmid.fundus import CODES, deal_label_sets, generate_dataset
from examples.rfmid.fundus import dataset as dataset_module
from mlthresh.exceptions import InputError


def generate(root: Path, n_train: int = 6, *, seed: int = 0, workers: int = 1) -> Path:
    return generate_dataset(
        root, n_train=n_train, n_validation=3, n_test=2, size=32, seed=seed, workers=workers,
        progress=False,
    )  # fmt: skip


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def labels(root: Path, split: str) -> list[list[str]]:
    with (root / f"{split}_Labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_layout_is_that_of_rfmid(tmp_path: Path) -> None:
    root = generate(tmp_path / "data")
    assert root == tmp_path / "data"
    for split, n in {"Training": 6, "Validation": 3, "Test": 2}.items():
        header, *rows = labels(root, split)
        assert header == ["ID", "Disease_Risk", *CODES]
        assert {path.stem for path in (root / split).iterdir()} == {row[0] for row in rows}
        assert len(rows) == n
        for row in rows:
            assert row[1] == str(int("1" in row[2:]))
            with Image.open(root / split / f"{row[0]}.jpg") as image:
                assert (image.size, image.mode) == ((32, 32), "RGB")


def test_label_file_holds_the_dealt_labels(tmp_path: Path) -> None:
    root = generate(tmp_path / "data", 40, seed=5)
    deal = np.random.SeedSequence(5, spawn_key=(0, 0))
    expected = deal_label_sets(40, np.random.default_rng(deal))
    shown = [
        tuple(code for code, mark in zip(CODES, row[2:], strict=True) if mark == "1")
        for row in labels(root, "Training")[1:]
    ]
    assert [set(codes) for codes in shown] == [set(codes) for codes in expected]


def test_splits_and_seeds_draw_different_photographs(tmp_path: Path) -> None:
    first = contents(generate(tmp_path / "a"))
    pictures = [data for name, data in first.items() if name.endswith(".jpg")]
    assert len(set(pictures)) == len(pictures)
    assert first == contents(generate(tmp_path / "b"))
    other = contents(generate(tmp_path / "c", seed=1))
    assert all(other[name] != first[name] for name in first if name.endswith(".jpg"))


def test_photograph_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    small, large = generate(tmp_path / "a", 20), generate(tmp_path / "b", 30)
    rows = zip(labels(small, "Training")[1:], labels(large, "Training")[1:], strict=False)
    alike = [row[0] for row, other in rows if row == other]
    assert alike
    for name in alike:
        path = Path("Training") / f"{name}.jpg"
        assert (small / path).read_bytes() == (large / path).read_bytes()


def test_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    alone = generate(tmp_path / "alone", 100, workers=1)
    together = generate(tmp_path / "together", 100, workers=2)
    assert contents(alone) == contents(together)


def test_same_data_set_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = generate(tmp_path / "data")
    before = contents(root)
    monkeypatch.setattr(dataset_module, "_draw", lambda _: pytest.fail("drawn again"))
    assert contents(generate(root)) == before


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert len(contents(generate(tmp_path / "data"))) == 11 + 3 + 1


def test_other_parameters_are_refused(tmp_path: Path) -> None:
    root = generate(tmp_path / "data")
    before = contents(root)
    with pytest.raises(InputError, match=r'another data set: .*"seed": 0.*"seed": 1'):
        generate(root, seed=1)
    assert contents(root) == before


def test_foreign_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(InputError, match="not drawn here"):
        generate(tmp_path)
    assert contents(tmp_path) == {"thesis.txt": b"the only copy"}
    (tmp_path / dataset_module.MANIFEST).write_text(json.dumps(["not", "ours"]))
    with pytest.raises(InputError, match="not drawn here"):
        generate(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        generate(tmp_path / "thesis.txt")


@pytest.mark.parametrize("lost", ["Test/1.jpg", "Validation_Labels.csv"])
def test_damaged_data_set_is_refused(tmp_path: Path, lost: str) -> None:
    root = generate(tmp_path / "data")
    (root / lost).unlink()
    with pytest.raises(InputError, match="has lost files of"):
        generate(root)


def test_interrupted_drawing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = dataset_module.draw_fundus, iter(range(4))

    def interrupted(*args: object, **kwargs: object) -> object:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return whole(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(dataset_module, "draw_fundus", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "deep" / "data")
    assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.parametrize(
    "argument", ["n_train", "n_validation", "n_test", "size", "seed", "workers"]
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, argument: str) -> None:
    with pytest.raises(InputError, match="-1"):
        generate_dataset(tmp_path / "data", **{argument: -1})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
