"""Several data sets in one training split."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.rfmid.data.layout import find_parts
from examples.rfmid.data.splits import load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.settings import Config, DataConfig
from examples.rfmid.settings.config_file import config_from_dict, config_to_dict
from examples.rfmid.training.train import train
from tests.rfmid.simulation import tiny

Make = Callable[..., Path]


@pytest.fixture
def clinic(tmp_path: Path, write_rows: Callable[..., None], paint: Callable[..., None]) -> Make:
    """Return a function that writes a data set without splits, which knows two of three classes."""

    def make(name: str = "clinic", n: int = 8) -> Path:
        root = tmp_path / name
        rows = [
            {"ID": i, "Patient": f"p{i // 2}", "diabetic": i % 2, "veins": int(i == 1)}
            for i in range(1, n + 1)
        ]
        write_rows(root / "labels.csv", rows)
        for row in rows:
            paint(root / "images" / f"{row['ID']}.png", (row["diabetic"], 0, row["veins"]))
        (tmp_path / "map.json").write_text('{"diabetic": "DR", "veins": "BRVO"}')
        return root

    return make


def settings(data: Path, *extra: str, **options: Any) -> DataConfig:
    return DataConfig(folder=data, min_count=1, extra_data=extra, **options)


def test_images_are_added_with_missing_labels(data_folder: Path, clinic: Make) -> None:
    other = clinic()
    alone = load_data(settings(data_folder))
    data = load_data(settings(data_folder, f"{other}={other.parent / 'map.json'}"))
    assert data.class_names == alone.class_names == ("DR", "MH", "BRVO")
    assert len(data.train) == 24 + 8
    assert (data.val.ids, data.test.ids) == (alone.val.ids, alone.test.ids)
    added = data.train.rows(np.arange(24, 32))
    assert np.isnan(added.labels[:, 1]).all()
    np.testing.assert_array_equal(added.labels[:, 0], [1, 0] * 4)
    assert data.summary["classes"][0]["counts"]["train"] == 12 + 4
    assert data.summary["splits"]["train"]["missing_labels"] == 8
    (described,) = data.summary["extra_data"]
    assert (described["recorded"], described["not_recorded"]) == (["DR", "BRVO"], ["MH"])
    assert data.summary["digest"] != alone.summary["digest"]


def test_a_class_may_be_labelled_in_the_other_set_alone(data_folder: Path, clinic: Make) -> None:
    path = data_folder / "Training_Labels.csv"
    header, *lines = path.read_text("utf-8-sig").splitlines()
    path.write_text("\n".join([header, *(line.rpartition(",")[0] + "," for line in lines)]))
    alone = load_data(settings(data_folder))
    assert alone.class_names == ("DR", "MH")
    assert [entry["code"] for entry in alone.summary["dropped_classes"]] == ["BRVO"]
    other = clinic()
    data = load_data(settings(data_folder, f"{other}={other.parent / 'map.json'}"))
    assert data.class_names == ("DR", "MH", "BRVO")
    assert np.isnan(data.train.labels[:24, 2]).all()
    np.testing.assert_array_equal(data.train.labels[24:, 2], [1, *[0] * 7])
    assert data.summary["classes"][2]["counts"] == {"train": 1, "val": 2, "test": 2}


def test_equal_ids_and_patients_of_two_sets_stay_apart(data_folder: Path, clinic: Make) -> None:
    one, other = clinic("a/clinic"), clinic("b/clinic")
    for root in (one, other):
        (root / "map.json").write_text('{"diabetic": "DR"}')
    data = load_data(
        settings(data_folder, *(f"{root}={root / 'map.json'}" for root in (one, other)))
    )
    assert len(set(data.train.ids)) == len(data.train) == 24 + 16
    assert data.train.patients is not None
    assert len(set(data.train.patients)) == 24 + 2 * 5  # the run's own images name no patient
    assert {"1", "clinic/1", "clinic-2/1"} <= set(data.train.ids)
    assert {"clinic/p1", "clinic-2/p1"} <= set(data.train.patients)


def test_patients_that_could_be_mistaken_are_refused(
    data_folder: Path, clinic: Make, write_rows: Callable[..., None]
) -> None:
    other = clinic()
    for name in ("Training", "Validation", "Test"):
        path = data_folder / f"{name}_Labels.csv"
        header, *lines = path.read_text("utf-8-sig").splitlines()
        named = [f"{line},clinic/{name}{line.split(',')[0]}" for line in lines]
        path.write_text("\n".join([f"{header},Patient", *named]))
    with pytest.raises(RecipeError, match="patient 'clinic/Training1' .* those of clinic"):
        load_data(settings(data_folder, f"{other}={other.parent / 'map.json'}"))


def test_of_a_set_with_splits_the_training_images_are_taken(
    data_folder: Path, tmp_path: Path
) -> None:
    other = data_folder.rename(tmp_path / "other")
    from tests.rfmid.conftest import make_data_folder

    own = make_data_folder(tmp_path / "own")
    for image in other.rglob("*.png"):  # not the same bytes as the run's own
        image.write_bytes(image.read_bytes() + b" ")
    assert set(find_parts(settings(other))) == {"train", "val", "test"}
    assert len(load_data(settings(own, str(other))).train) == 48
    with pytest.raises(RecipeError, match="images that the run learns from already"):
        load_data(settings(own, str(own)))


def test_an_image_of_the_test_split_is_refused(
    data_folder: Path, tmp_path: Path, write_rows: Callable[..., None]
) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "images").symlink_to(data_folder / "Test")
    labels = (data_folder / "Test_Labels.csv").read_text("utf-8-sig")
    (tmp_path / "again" / "labels.csv").write_text(labels)
    with pytest.raises(RecipeError, match="no splits; then it must hold one folder of images"):
        load_data(settings(data_folder, str(tmp_path / "again")))
    (tmp_path / "again" / "images").unlink()
    (tmp_path / "again" / "images").mkdir()
    for image in (data_folder / "Test").iterdir():
        (tmp_path / "again" / "images" / image.name).symlink_to(image)
    with pytest.raises(RecipeError, match="16 files .* in both train and test"):
        load_data(settings(data_folder, str(tmp_path / "again")))


def test_paths_hold_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "map.json").write_text("{}")
    (tmp_path / "a=b").mkdir()
    config = DataConfig(
        extra_data=("clinic=map.json", "other=odir-to-rfmid", "a=b", "plain"), label_map="map.json"
    ).absolute()
    assert config.extra_data == (
        f"{tmp_path}/clinic={tmp_path}/map.json", f"{tmp_path}/other=odir-to-rfmid",
        f"{tmp_path}/a=b", f"{tmp_path}/plain",
    )  # fmt: skip
    assert config.label_map == f"{tmp_path}/map.json"
    assert config.absolute() == config
    whole = Config(data=config)
    assert config_from_dict(json.loads(json.dumps(config_to_dict(whole)))) == whole


def test_a_run_learns_from_two_sets(data_folder: Path, clinic: Make, tmp_path: Path) -> None:
    other = clinic()
    sources = (f"{other}={other.parent / 'map.json'}",)
    config = tiny(data_folder, extra_data=sources, epochs=1, cache="disk")
    train(config, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert read_json(folder.data)["splits"]["train"]["images"] == 32
    assert len(Predictions.load(folder.predictions("test")).ids) == 16
