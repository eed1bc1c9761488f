from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.rfmid.data.glossary import ODIR, RFMID, disease_names
from examples.rfmid.data.labels import read_labels
from examples.rfmid.data.layout import find_layout
from examples.rfmid.data.splits import load_data
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import DataConfig
from examples.rfmid.settings.presets import PRESETS

Write = Callable[..., None]
Rows = Callable[..., list[dict[str, Any]]]

RFMID_16 = {
    "DR": 376, "MH": 317, "ODC": 282, "TSLN": 186, "DN": 138, "MYA": 101, "ARMD": 100, "BRVO": 73,
    "ODP": 65, "ODE": 58, "LS": 47, "RS": 43, "CSR": 37, "CRS": 32, "CRVO": 28, "RPEC": 22,
}  # fmt: skip


def config_for(folder: Path, **settings: Any) -> DataConfig:
    return DataConfig(folder=folder, **{"min_count": 1, **settings})


# -- where the splits lie


@pytest.mark.parametrize(
    "places",
    [
        {  # as in this repository's descriptions
            "train": ("Training", "Training_Labels.csv"),
            "val": ("Validation", "Validation_Labels.csv"),
            "test": ("Test", "Test_Labels.csv"),
        },
        {  # RFMiD on Kaggle
            "train": (
                "Training_Set/Training_Set/Training",
                "Training_Set/Training_Set/RFMiD_Training_Labels.csv",
            ),
            "val": (
                "Evaluation_Set/Evaluation_Set/Validation",
                "Evaluation_Set/Evaluation_Set/RFMiD_Validation_Labels.csv",
            ),
            "test": ("Test_Set/Test_Set/Test", "Test_Set/Test_Set/RFMiD_Testing_Labels.csv"),
        },
        {  # RFMiD on IEEE DataPort
            "train": (
                "1. Original Images/a. Training Set",
                "2. Groundtruths/a. RFMiD_Training_Labels.csv",
            ),
            "val": (
                "1. Original Images/b. Validation Set",
                "2. Groundtruths/b. RFMiD_Validation_Labels.csv",
            ),
            "test": (
                "1. Original Images/c. Testing Set",
                "2. Groundtruths/c. RFMiD_Testing_Labels.csv",
            ),
        },
        {  # lower case, generic file names
            "train": ("train/images", "train/labels.csv"),
            "val": ("val/images", "val/labels.csv"),
            "test": ("test/images", "test/labels.csv"),
        },
    ],
)
def test_layouts(
    places: dict[str, tuple[str, str]], tmp_path: Path, write: Write, rows_of: Rows
) -> None:
    for split, (images, labels) in places.items():
        write(tmp_path / images, tmp_path / labels, rows_of(8, first=ord(split[1])))
    found = find_layout(config_for(tmp_path))
    for split, (images, labels) in places.items():
        assert (found[split].images, found[split].labels) == (tmp_path / images, tmp_path / labels)
    data = load_data(config_for(tmp_path))
    assert [len(split) for split in data.splits.values()] == [8, 8, 8]


def test_other_files_do_not_disturb(data_folder: Path) -> None:
    (data_folder / "Training" / ".DS_Store").touch()
    (data_folder / "Training" / "._1.png").touch()
    (data_folder / "Training" / "Thumbs.db").touch()
    (data_folder / "training_history.csv").write_text("epoch\n1\n")  # no "label" in its name
    (data_folder / "__MACOSX" / "Test").mkdir(parents=True)
    (data_folder / "__MACOSX" / "Test" / "9.png").touch()
    assert len(load_data(config_for(data_folder)).train) == 24


def test_explicit_places_win(tmp_path: Path, write: Write, rows_of: Rows) -> None:
    for name, first in (("fold0", 0), ("fold1", 50), ("fold2", 100)):
        write(tmp_path / name, tmp_path / f"{name}.csv", rows_of(8, first))
    with pytest.raises(RecipeError, match="no training image folder .*--train-images"):
        find_layout(config_for(tmp_path))
    places = {
        f"{split}_{what}": tmp_path / f"fold{i}{'.csv' if what == 'labels' else ''}"
        for i, split in enumerate(("train", "val", "test"))
        for what in ("images", "labels")
    }
    assert load_data(config_for(tmp_path, **places)).val.ids[0] == "50"
    with pytest.raises(RecipeError, match="label file .*nowhere.csv doesn't exist"):
        load_data(config_for(tmp_path, **{**places, "test_labels": tmp_path / "nowhere.csv"}))


def test_missing_and_ambiguous_places(data_folder: Path, write: Write, rows_of: Rows) -> None:
    with pytest.raises(RecipeError, match="the data folder .*absent doesn't exist"):
        find_layout(config_for(data_folder / "absent"))
    (data_folder / "Test_Labels.csv").rename(data_folder / "third.csv")
    with pytest.raises(RecipeError, match="no test label CSV under .*--test-labels"):
        find_layout(config_for(data_folder))
    (data_folder / "third.csv").rename(data_folder / "Test_Labels.csv")
    write(data_folder / "more" / "train", data_folder / "more.csv", rows_of(8, 300))
    with pytest.raises(RecipeError, match=r"2 .* could be the training image folder \(Training, "):
        find_layout(config_for(data_folder))


# -- label files


def labels_of(tmp_path: Path, text: str, **settings: Any) -> Any:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return read_labels(path, config_for(tmp_path, **settings))


def test_names_columns_and_missing_labels(tmp_path: Path) -> None:
    table = labels_of(
        tmp_path,
        "\ufeffPatient,ID,Disease_Risk,Age,DR,MH,Remark\n"
        "p1,1.png,1,61,1,,clear\n"
        "p1,2.JPG,0,61,0,0,\n"
        "\n"
        "p2,v1.5,1,47,0.0,1.0,blurred\n",
    )
    assert table.ids == ("1", "2", "v1.5")
    assert table.patients == ("p1", "p1", "p2")
    assert table.class_names == ("DR", "MH")
    assert set(table.left_out) == {"Patient", "Disease_Risk", "Age", "Remark"}
    np.testing.assert_array_equal(table.labels, np.float32([[1, np.nan], [0, 0], [0, 1]]))


def test_patients_that_are_not_all_named_may_be_left_out(tmp_path: Path) -> None:
    table = labels_of(tmp_path, "ID,Patient,,DR\n1,a,0,0\n2,,1,1\n", patient_column="")
    assert table.patients is None
    assert table.class_names == ("DR",)


def test_the_first_column_names_the_image_where_none_is_called_id(tmp_path: Path) -> None:
    assert labels_of(tmp_path, "photo,DR\nx,1\n").ids == ("x",)
    assert labels_of(tmp_path, "n,photo,DR\n0,x,1\n", id_column="photo").ids == ("x",)
    with pytest.raises(RecipeError, match="no column 'file', only photo, DR"):
        labels_of(tmp_path, "photo,DR\nx,1\n", id_column="file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ID,DR\n1,0\n2,2\n3,1\n", r"labels.csv, line 3 \(2\), DR: '2' is neither 0 nor 1"),
        ("ID,DR\n1,0\n2,yes\n3,1\n", r"line 3 \(2\), DR: 'yes' is neither"),
        ("ID,DR\n1,0\n2,-1\n", r"line 3 \(2\), DR: '-1' is neither"),
        ("ID,DR\n1,0\n2,1\n1.png,1\n", "lists image '1' twice, in lines 2, 4"),
        ("ID,DR\n1,0\n,1\n", "line 3 names no image"),
        ("ID,Patient,DR\n1,a,0\n2,,1\n", "line 3 names no patient: .* --patient-column ''"),
        ("ID,DR,MH\n1,0,1\n2,1\n", "line 3 has 2 cells, the header 3"),
        ("ID;DR\n1;0\n", "has no class column; its columns are ID;DR"),
        ("ID,DR,DR\n1,0,0\n", "more than one column DR"),
        ("ID,DR\n", "has no rows"),
        ("", "has no rows"),
        ("ID,Age\n1,50\n", "has no class column"),
    ],
)
def test_bad_label_files(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        labels_of(tmp_path, text)


def test_a_label_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"ID,DR\n\xff\xfe,1\n")
    with pytest.raises(RecipeError, match=r"cannot read the label file .*labels.csv"):
        read_labels(tmp_path / "labels.csv", config_for(tmp_path))


# -- the three splits together


def test_rare_classes_are_dropped_by_training_counts(data_folder: Path) -> None:
    data = load_data(config_for(data_folder, min_count=4, glossary="rfmid"))
    assert data.class_names == ("DR", "MH")  # BRVO is in 3 of 24 training images
    assert data.train.labels.shape == (24, 2)
    assert data.test.labels.dtype == np.float32
    summary = data.summary
    assert summary["dropped_classes"] == [
        {"code": "BRVO", "name": "branch retinal vein occlusion", "count": 3}
    ]
    assert summary["classes"][1] == {
        "code": "MH",
        "name": "media haze",
        "counts": {"train": 6, "val": 4, "test": 4},
    }
    train = summary["splits"]["train"]
    assert (train["images"], train["without_disease"]) == (24, 6)
    assert train["without_disease_in_all_columns"] == 3  # three of the six show BRVO
    assert summary["left_out_columns"] == ["Disease_Risk"]
    json.dumps(summary, allow_nan=False)


def test_columns_come_in_the_training_file_s_order(
    data_folder: Path, write_rows: Write, rows_of: Rows
) -> None:
    names = ["BRVO", "ID", "DR", "MH"]
    write_rows(
        data_folder / "Test_Labels.csv",
        [{name: row[name] for name in names} for row in rows_of(16, 201)],
    )
    data = load_data(config_for(data_folder))
    assert data.class_names == ("DR", "MH", "BRVO")
    np.testing.assert_array_equal(data.test.labels.sum(axis=0), [8, 4, 2])


def test_splits_with_other_classes(data_folder: Path, write_rows: Write, rows_of: Rows) -> None:
    rows = rows_of(16, 201)
    for row in rows:
        row["CRVO"] = row.pop("BRVO")
    write_rows(data_folder / "Test_Labels.csv", rows)
    with pytest.raises(RecipeError, match="BRVO missing, CRVO additional"):
        load_data(config_for(data_folder))


def test_rows_without_images_and_images_without_rows(data_folder: Path, paint: Write) -> None:
    (data_folder / "Validation" / "105.png").unlink()
    with pytest.raises(
        RecipeError, match=r"Validation_Labels.csv: 1 row \(105\) without an image in .*Validation"
    ):
        load_data(config_for(data_folder))
    for name in ("105", "v", "w"):
        paint(data_folder / "Validation" / f"{name}.png")
    with pytest.raises(RecipeError, match=r"2 images \(v, w\) without a row .*--allow-unlabelled"):
        load_data(config_for(data_folder))
    data = load_data(config_for(data_folder, allow_unlabelled=True))
    assert len(data.val) == 16
    assert data.summary["splits"]["val"]["unlabelled_images_skipped"] == 2


def test_two_images_of_one_name(data_folder: Path, paint: Write) -> None:
    paint(data_folder / "Test" / "201.jpg")
    with pytest.raises(RecipeError, match="201.jpg and 201.png: two images of one name"):
        load_data(config_for(data_folder))


def test_classes_without_positives(data_folder: Path, write_rows: Write, rows_of: Rows) -> None:
    rows = [{**row, "BRVO": 0} for row in rows_of(16, 101)]
    write_rows(data_folder / "Validation_Labels.csv", rows)
    data = load_data(config_for(data_folder))
    assert data.summary["warnings"] == ["no val image shows BRVO"]
    write_rows(data_folder / "Validation_Labels.csv", [{**r, "DR": 0, "MH": 0} for r in rows])
    with pytest.raises(RecipeError, match="no validation image shows any disease"):
        load_data(config_for(data_folder))


def test_subgroups_are_carried_and_are_no_classes(
    data_folder: Path, write_rows: Write, rows_of: Rows
) -> None:
    for name, n, first in (("Training", 24, 1), ("Validation", 16, 101), ("Test", 16, 201)):
        rows = [
            {**row, "camera": i % 2, "Sex": "fm"[i % 2]} for i, row in enumerate(rows_of(n, first))
        ]
        rows[1]["Sex"] = ""
        write_rows(data_folder / f"{name}_Labels.csv", rows)
    data = load_data(config_for(data_folder, certify_share=0.5))
    assert data.class_names == ("DR", "MH", "BRVO")
    assert data.test.subgroups == {"Sex": ("f", "", *"fm" * 7), "camera": tuple("01" * 8)}
    assert data.certify is not None
    for split in (data.val, data.certify):
        cameras = tuple(str((int(name) - 101) % 2) for name in split.ids)
        assert split.subgroups["camera"] == cameras
    others = load_data(config_for(data_folder, subgroup_columns=("Sex",)))
    assert others.class_names == ("DR", "MH", "BRVO", "camera")


def test_no_class_is_frequent_enough(data_folder: Path) -> None:
    with pytest.raises(ValueError, match="no class has min_count=20 positives"):
        load_data(config_for(data_folder, min_count=20))


def test_one_folder_for_two_splits(data_folder: Path) -> None:
    places = {
        "val_images": data_folder / "Test",
        "val_labels": data_folder / "Test_Labels.csv",
    }
    with pytest.raises(RecipeError, match=r"16 files \(201.png, .*\) in both val and test"):
        load_data(config_for(data_folder, **places))


def test_the_same_image_under_two_names(data_folder: Path) -> None:
    copy = (data_folder / "Training" / "3.png").read_bytes()
    (data_folder / "Test" / "205.png").write_bytes(copy)
    (warning,) = load_data(config_for(data_folder)).summary["warnings"]
    assert "1 image(s) are in two splits" in warning
    assert "3.png" in warning
    assert "205.png" in warning


def test_a_patient_in_two_splits(data_folder: Path, write_rows: Write, rows_of: Rows) -> None:
    for name, n, first in (("Training", 24, 1), ("Validation", 16, 101), ("Test", 16, 201)):
        rows = [{**row, "Patient": f"p{int(row['ID']) // 2}"} for row in rows_of(n, first)]
        if name == "Test":
            rows[3]["Patient"] = "p5"
        write_rows(data_folder / f"{name}_Labels.csv", rows)
    with pytest.raises(RecipeError, match=r"1 patient \(p5\) in both train and test"):
        load_data(config_for(data_folder))
    data = load_data(config_for(data_folder, allow_shared_patients=True))
    assert data.summary["warnings"][0].startswith("1 patient (p5) in both train and test")
    assert data.train.patients is not None
    assert data.train.patients[:2] == ("p0", "p1")


def test_patients_set_aside_to_certify(data_folder: Path, write_rows: Write, rows_of: Rows) -> None:
    rows = [{**row, "Patient": f"v{i // 2}"} for i, row in enumerate(rows_of(16, 101))]
    write_rows(data_folder / "Validation_Labels.csv", rows)
    whole = load_data(config_for(data_folder))
    data = load_data(config_for(data_folder, certify_share=0.25))
    assert list(data.splits) == ["train", "val", "certify", "test"]
    assert data.certify is not None
    assert data.certify.patients is not None
    assert data.val.patients is not None
    assert len(data.certify) == 4
    assert not set(data.certify.patients) & set(data.val.patients)
    assert sorted(data.val.ids + data.certify.ids) == sorted(whole.val.ids)
    row = whole.val.ids.index(data.certify.ids[1])
    np.testing.assert_array_equal(data.certify.labels[1], whole.val.labels[row])
    assert data.certify.paths[1] == whole.val.paths[row]
    assert data.summary["splits"]["certify"]["images"] == 4
    assert data.summary["digest"] != whole.summary["digest"]


def test_the_digest_tells_data_apart(data_folder: Path, write_rows: Write, rows_of: Rows) -> None:
    before = load_data(config_for(data_folder)).summary["digest"]
    assert load_data(config_for(data_folder)).summary["digest"] == before
    rows = rows_of(24)
    rows[5]["BRVO"] = ""
    write_rows(data_folder / "Training_Labels.csv", rows)
    data = load_data(config_for(data_folder))
    assert np.isnan(data.train.labels).sum() == 1
    assert data.summary["digest"] != before


# -- names of diseases


def test_names_belong_to_a_data_set(tmp_path: Path) -> None:
    assert disease_names(list(RFMID), "auto", tmp_path)[2] == "media haze"
    assert disease_names(list(ODIR), "auto", tmp_path) == list(ODIR.values())
    assert disease_names(["MH", "CAT", "GLA"], "auto", tmp_path)[0] == "media opacity"
    # RFMiD's haze or ODIR's opacity? The code alone can't be wrong.
    assert disease_names(["DR", "MH"], "auto", tmp_path) == ["DR", "MH"]
    assert disease_names(["MH", "XYZ"], "auto", tmp_path) == ["MH", "XYZ"]
    assert disease_names(["MH", "MHL", "XYZ"], "rfmid", tmp_path) == [
        "media haze",
        "macular hole",
        "XYZ",
    ]


def test_glossary_files(tmp_path: Path) -> None:
    (tmp_path / "glossary.csv").write_text("code,name\nMH,macular hole\n")
    assert disease_names(["MH", "DR"], "auto", tmp_path) == ["macular hole", "DR"]
    (tmp_path / "mine.json").write_text('{"MH": "haze"}')
    assert disease_names(["MH"], str(tmp_path / "mine.json"), tmp_path) == ["haze"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.json", "[1]", "must hold a JSON object"),
        ("g.json", "{", "cannot read the glossary"),
        ("g.json", '{"MH": 3}', "expected a code and its name"),
        ("g.csv", "code,name\nMH\n", "expected a code and its name"),
        ("g.csv", "code,name\nMH,a\nMH,b\n", "'MH' has two names"),
    ],
)
def test_bad_glossary_files(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RecipeError, match=message):
        disease_names(["MH"], str(tmp_path / name), tmp_path)


def test_unknown_glossary(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="glossary 'rmfid' is neither one of auto, rfmid"):
        disease_names(["MH"], "rmfid", tmp_path)


# -- real data


def test_real_rfmid_labels(data_dir: Path) -> None:
    tables = {
        name: read_labels(data_dir / "rfmid_labels" / f"RFMiD_{name}_Labels.csv", DataConfig())
        for name in ("Training", "Validation", "Testing")
    }
    assert [len(table.ids) for table in tables.values()] == [1920, 640, 640]
    train = tables["Training"]
    assert set(train.class_names) == set(RFMID)
    assert train.left_out == ("Disease_Risk",)
    counts = dict(zip(train.class_names, train.labels.sum(axis=0).astype(int), strict=True))
    frequent = {name: count for name, count in counts.items() if count >= 20}
    assert frequent == RFMID_16
    assert sum(count >= PRESETS["before"].data.min_count for count in counts.values()) == 43
    assert int((train.labels.sum(axis=1) == 0).sum()) == 401
    kept = [train.class_names.index(name) for name in frequent]
    assert int((train.labels[:, kept].sum(axis=1) == 0).sum()) == 476


def test_real_photographs(data_dir: Path) -> None:
    data = load_data(DataConfig(folder=data_dir / "odir"))
    assert sum(len(split) for split in data.splits.values()) == 4798
    assert len(data.class_names) == 13
    assert data.summary["classes"][0]["counts"]["train"] == 1047
    assert data.train.patients is not None
    names = {entry["code"]: entry["name"] for entry in data.summary["classes"]}
    assert names.get("MH", "media opacity") == "media opacity"
    assert data.summary["left_out_columns"] == ["Patient", "Disease_Risk"]
