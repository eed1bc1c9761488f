"""What the columns of another data set mean, and which labels that leaves missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.rfmid.data.glossary import ODIR, RFMID
from examples.rfmid.data.label_map import (
    LABEL_MAPS,
    LabelMap,
    join_columns,
    labels_for_classes,
    read_label_map,
)
from examples.rfmid.data.labels import LabelTable, read_labels
from examples.rfmid.errors import RecipeError
from examples.rfmid.settings import DataConfig

NAN = float("nan")


def table(columns: dict[str, list[float]]) -> LabelTable:
    labels = np.array(list(columns.values()), dtype=np.float32).T
    ids = tuple(map(str, range(len(labels))))
    return LabelTable(Path("labels.csv"), ids, labels, tuple(columns), None, ())


@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=3, max_size=3), min_size=1, max_size=6
    )
)
def test_a_joined_class_is_known_where_its_columns_settle_it(rows: list[list[float]]) -> None:
    a, b, c = (list(column) for column in zip(*rows, strict=True))
    joined = join_columns(
        table({"a": a, "b": b, "c": c}), LabelMap("m", {"a": "X", "c": "Y", "b": "X"})
    )
    assert joined.class_names == ("X", "Y")
    for row, (one, other, _) in zip(joined.labels, rows, strict=True):
        if 1 in (one, other):
            assert row[0] == 1
        elif one == other == 0:
            assert row[0] == 0
        else:
            assert np.isnan(row[0])
    np.testing.assert_array_equal(joined.labels[:, 1], np.float32(c))


def test_classes_that_no_column_means_are_missing_not_absent() -> None:
    there = table({"cataract": [1, 0], "DR": [0, 1], "other": [1, 1]})
    label_map = LabelMap("m", {"cataract": "MH", "DR": "DR"})
    found = labels_for_classes(
        there, label_map, {"DR": "DR", "BRVO": "BRVO", "MH": "MH"}, Path("there")
    )
    np.testing.assert_array_equal(found.labels, [[0, NAN, 1], [1, NAN, 0]])
    assert found.class_names == ("DR", "BRVO", "MH")
    assert found.left_out == ("other",)


def test_the_built_in_map_keeps_to_what_the_codes_mean() -> None:
    built_in = LABEL_MAPS["odir-to-rfmid"]
    assert set(built_in.columns) <= set(ODIR)
    assert set(built_in.columns.values()) <= set(RFMID)
    assert built_in.columns["CAT"] == built_in.columns["MH"] == "MH"
    assert "RP" not in built_in.columns  # pigmentation is not retinitis pigmentosa
    with pytest.raises(RecipeError, match="RP is retinitis pigmentosa; in this run it is pigment"):
        labels_for_classes(
            table({code: [0.0] for code in ODIR}), built_in, {"RP": ODIR["RP"]}, Path()
        )


def test_equal_codes_of_other_meaning_need_a_map() -> None:
    there = table({code: [1.0] for code in ("RP", "DR", "CAT")})  # CAT is ODIR's alone
    with pytest.raises(RecipeError, match=r"RP is pigmentation in .* and retinitis pigmentosa"):
        labels_for_classes(there, None, {"RP": RFMID["RP"]}, Path())
    unnamed = labels_for_classes(there, None, {"RP": "RP"}, Path())
    assert unnamed.labels.tolist() == [[1.0]]


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_a_map_is_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"map{suffix}"
    columns = {"a": "X", "b": "X"}
    path.write_text(json.dumps(columns) if suffix == ".json" else "column,class\na,X\nb,X\n")
    assert read_label_map(str(path)).columns == columns


@pytest.mark.parametrize(
    ("content", "message"),
    [("[1]", "JSON object"), ('{"a": 1}', "expected a code"), ("{}", "maps no column")],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(content)
    with pytest.raises(RecipeError, match=message):
        read_label_map(str(path))


def test_what_is_absent_is_named() -> None:
    with pytest.raises(RecipeError, match="'odir' is neither one of odir-to-rfmid nor a file"):
        read_label_map("odir")
    with pytest.raises(RecipeError, match="no label column b, which the label map m names"):
        join_columns(table({"a": [1.0]}), LabelMap("m", {"a": "X", "b": "Y"}))
    with pytest.raises(RecipeError, match=r"no label for any class of the run \(DR, MH\)"):
        labels_for_classes(table({"a": [1.0]}), None, {"DR": "DR", "MH": "MH"}, Path())


def test_odirs_labels_become_rfmids(data_dir: Path) -> None:
    odir = read_labels(data_dir / "odir" / "Test_Labels.csv", DataConfig())
    found = labels_for_classes(odir, LABEL_MAPS["odir-to-rfmid"], RFMID, data_dir / "odir")
    haze = found.labels[:, list(RFMID).index("MH")]
    both = odir.labels[:, [odir.class_names.index(code) for code in ("MH", "CAT")]]
    np.testing.assert_array_equal(haze, both.max(axis=1))
    assert np.isnan(found.labels[:, list(RFMID).index("ODC")]).all()
    assert int((~np.isnan(found.labels)).any(axis=0).sum()) == 12


def test_the_runs_own_columns_can_be_joined(
    tmp_path: Path, write: Callable[..., None], rows_of: Callable[..., list[dict[str, Any]]]
) -> None:
    from examples.rfmid.data.splits import load_data

    for name, first in (("Training", 1), ("Validation", 101), ("Test", 201)):
        write(tmp_path / name, tmp_path / f"{name}_Labels.csv", rows_of(16, first))
    path = tmp_path / "map.json"
    path.write_text('{"DR": "retina", "BRVO": "retina", "MH": "haze"}')
    data = load_data(DataConfig(folder=tmp_path, min_count=1, label_map=str(path)))
    assert data.class_names == ("retina", "haze")
    assert data.train.labels[:, 0].sum() == 10  # 8 with DR, 2 with BRVO alone
