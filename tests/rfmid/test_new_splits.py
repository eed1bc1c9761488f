"""One label CSV and one folder of images become three splits."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.rfmid.__main__ import main
from examples.rfmid.data.new_splits import split
from examples.rfmid.data.splits import FundusData, load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json
from examples.rfmid.settings import DataConfig


@pytest.fixture
def raw(tmp_path: Path, write_rows: Callable[..., None], paint: Callable[..., None]) -> Path:
    """120 images of 60 patients in one folder, with columns of all kinds."""
    rows: list[dict[str, Any]] = [
        {
            "Image": f"{i:03}.png",
            "Age": 40 + i % 7,
            "Case": f"c{i // 2}",
            "red": int(i % 4 < 2 and i % 8 < 4),
            "blue": "" if i == 0 else int(i % 12 < 2),
            "blue_grade": "" if i == 0 else int(i % 12 < 2) * (1 + i % 3),
            "note": "blurred, dark",
            "Findings": "|".join(n for n, k in (("red", 8), ("deep blue", 12)) if i % k < 2)
            or "OK",
        }
        for i in range(120)
    ]
    write_rows(tmp_path / "labels.csv", rows)
    for row in rows:
        paint(tmp_path / "images" / row["Image"])
    return tmp_path


def deal(raw: Path, **options: Any) -> Path:
    return split(
        raw / "labels.csv", raw / "images", raw / "data", **{"patient_column": "Case", **options}
    )


def loaded(folder: Path) -> FundusData:
    return load_data(DataConfig(folder=folder, min_count=1))


def test_three_splits_share_out_the_classes_and_keep_patients_together(raw: Path) -> None:
    data = loaded(deal(raw))
    assert data.class_names == ("red", "blue")
    sizes = {name: len(part) for name, part in data.splits.items()}
    assert sizes == {"train": 84, "val": 18, "test": 18}
    assert len({name for part in data.splits.values() for name in part.ids}) == 120
    patients = [set(part.patients or ()) for part in data.splits.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 60
    for c, total in enumerate((30, 19)):
        counts = [np.nansum(part.labels[:, c]) for part in data.splits.values()]
        np.testing.assert_allclose(counts, np.array([0.7, 0.15, 0.15]) * total, atol=2)
    assert {path.parent.resolve() for path in data.val.paths} == {raw / "images"}


def test_labels_go_over_as_they_are(raw: Path) -> None:
    folder = deal(raw)
    with (raw / "labels.csv").open(encoding="utf-8-sig") as file:
        given = {row["Image"][:-4]: row for row in csv.DictReader(file)}
    for name in ("Training", "Validation", "Test"):
        with (folder / f"{name}_Labels.csv").open() as file:
            reader = csv.DictReader(file)
            assert reader.fieldnames == ["ID", "Patient", "red", "blue", "blue_grade", "Age"]
            for row in reader:
                before = given[row["ID"]]
                assert row["Patient"] == before["Case"]
                for column in ("red", "blue", "blue_grade", "Age"):
                    assert row[column] == before[column]


def test_a_column_that_lists_classes_becomes_columns(raw: Path) -> None:
    data = loaded(deal(raw, list_column="Findings", nothing="OK"))
    assert data.class_names == ("red", "deep blue")
    assert sum(int(part.labels.sum()) for part in data.splits.values()) == 30 + 20
    assert not any(np.isnan(part.labels).any() for part in data.splits.values())


def test_the_same_seed_deals_alike(raw: Path) -> None:
    first = loaded(deal(raw)).summary["digest"]
    shutil.rmtree(raw / "data")
    assert loaded(deal(raw)).summary["digest"] == first


def test_images_and_data_folder_may_be_moved_together(raw: Path, tmp_path: Path) -> None:
    deal(raw)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("images", "data"):
        shutil.move(raw / name, moved / name)
    assert len(loaded(moved / "data").train) == 84
    assert read_json(moved / "data" / "splits.json")["images"] == "../images"


def test_images_without_a_row_are_counted_and_refused_by_train(
    raw: Path, paint: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    paint(raw / "images" / "extra.png")
    folder = deal(raw, patient_column="Patient")
    printed = capsys.readouterr().out
    assert "images without a row: 1" in printed
    assert "no patients are named" in printed
    with pytest.raises(RecipeError, match="1 image .extra. without a row"):
        loaded(folder)
    skipping = DataConfig(folder=folder, min_count=1, allow_unlabelled=True)
    assert len(load_data(skipping).train) == 84


def test_patients_may_be_declared_unknown(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deal(raw, patient_column="")
    assert "no patients are named" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val": 0.5, "test": 0.5}, "above 0 and below 1 together"),
        ({"patient_column": "Name"}, "no column 'Name', only Image, Age"),
        ({"list_column": "Diagnosis"}, "no column 'Diagnosis'"),
        ({"id_column": "File"}, "no column 'File'"),
        ({"ignore_columns": ("red", "blue")}, "no class column"),
    ],
)
def test_what_is_wrong_is_named(raw: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        deal(raw, **options)
    assert not (raw / "data").exists()


def test_splits_are_not_dealt_anew(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["split", "--labels", str(raw / "labels.csv"), "--images", str(raw / "images")]
    arguments += ["--output", str(raw / "data"), "--patient-column", "Case"]
    assert main(arguments) == 0
    assert "training  validation  test" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "isn't empty" in capsys.readouterr().err
