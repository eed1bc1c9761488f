"""Thresholds in a file: what is read back is what was written, or an error says why not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlthresh import FileFormatError, InputError, ThresholdSet, find_optimal_thresholds

ARRAYS = (
    "thresholds",
    "support",
    "objective_value",
    "precision",
    "recall",
    "f1",
    "alarm_rate",
    "certified",
    "positives_missing",
)


@pytest.fixture
def found():
    y_true = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]])
    y_score = np.array([[0.9, 0.1, 0.3], [0.2, 0.35, 0.3], [0.8, 0.7, 0.1]], dtype=np.float32)
    return find_optimal_thresholds(
        y_true, y_score, class_names=["DR", "MH", "CRS"], min_recall=0.3, max_threshold=0.7
    )


def assert_equal(one, other):
    for name in ARRAYS:
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert one.class_names == other.class_names
    assert one.status == other.status
    assert one.score_scale == other.score_scale
    assert one.options == other.options


def test_a_file_reads_back_to_the_bit(found, tmp_path):
    found.save(tmp_path / "thresholds.json")
    assert_equal(ThresholdSet.load(tmp_path / "thresholds.json"), found)
    assert list(tmp_path.iterdir()) == [tmp_path / "thresholds.json"]


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=5),
    st.sampled_from([np.float32, np.float64]),
)
def test_any_threshold_reads_back_to_the_bit(tmp_path_factory, scores, dtype):
    scores = np.array(scores, dtype=dtype)[:, None]
    labels = np.arange(len(scores))[:, None] % 2
    found = find_optimal_thresholds(labels, scores, class_names=["only"])
    path = tmp_path_factory.mktemp("bit") / "thresholds.json"
    found.save(path)
    assert_equal(ThresholdSet.load(path), found)


def test_a_file_is_strict_json_that_a_person_can_read(found, tmp_path):
    found.save(tmp_path / "thresholds.json")
    text = (tmp_path / "thresholds.json").read_text()
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["options"]["max_threshold"] == 0.7
    by_name = {one["name"]: one for one in content["classes"]}
    assert by_name["CRS"]["threshold"] == "inf"
    assert by_name["CRS"]["recall"] is None
    assert by_name["DR"]["threshold"] == 0.45  # as a reader would write it, in float32


def test_options_are_kept_even_where_they_are_infinite(tmp_path):
    found = find_optimal_thresholds(np.eye(2), np.eye(2), max_threshold=[0.5, np.inf])
    found.save(tmp_path / "t.json")
    assert ThresholdSet.load(tmp_path / "t.json").options["max_threshold"] == [0.5, "inf"]


def test_no_class_names_stay_none(tmp_path):
    found = find_optimal_thresholds(np.eye(2), np.eye(2))
    found.save(tmp_path / "t.json")
    assert ThresholdSet.load(tmp_path / "t.json").class_names is None


def change(content, **values):
    return {**content, **values}


def change_class(content, **values):
    return change(content, classes=[{**content["classes"][0], **values}, *content["classes"][1:]])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: [], "not a file of the format"),
        (lambda c: change(c, format="other"), "not a file of the format"),
        (lambda c: change(c, version=2), "version 2; this release reads version 1"),
        (lambda c: change(c, version=None), "version None"),
        (lambda c: change(c, dtype="int8"), "dtype must be one of .*'int8'"),
        (lambda c: change(c, score_scale="odd"), "unknown score scale 'odd'"),
        (lambda c: change(c, classes=[]), "no classes"),
        (lambda c: change(c, classes=3), "damaged"),
        (lambda c: change_class(c, threshold=None), "a threshold is missing"),
        (lambda c: change_class(c, threshold="high"), "'high'"),
        (lambda c: change_class(c, threshold=True), "True"),
        (lambda c: change_class(c, status="fine"), "status must be one of"),
        (lambda c: change_class(c, status=None), "status must be one of"),
        (lambda c: change_class(c, name="MH"), "more than once"),
        (lambda c: change_class(c, name=None), "all classes have a name or none"),
        (lambda c: change_class(c, name=5), "all classes have a name or none"),
        (lambda c: change_class(c, support=-1), "at least 0, got -1"),
        (lambda c: change_class(c, support=2.5), "whole number, at least 0, got 2.5"),
        (lambda c: change_class(c, certified="yes"), "true or false, got 'yes'"),
        (lambda c: change_class(c, positives_missing=None), "whole number"),
        (lambda c: {k: v for k, v in c.items() if k != "options"}, "KeyError: 'options'"),
    ],
)
def test_a_damaged_file_is_refused_by_name(found, tmp_path, damage, message):
    path = tmp_path / "thresholds.json"
    found.save(path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(FileFormatError, match=message) as raised:
        ThresholdSet.load(path)
    assert str(path) in str(raised.value)


def test_a_truncated_file_is_refused_at_any_length(found, tmp_path):
    path = tmp_path / "thresholds.json"
    found.save(path)
    whole = path.read_bytes().rstrip()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match="not a whole JSON file"):
            ThresholdSet.load(path)


def test_a_failed_save_leaves_the_old_file(found, tmp_path):
    path = tmp_path / "thresholds.json"
    found.save(path)
    before = path.read_bytes()
    broken = ThresholdSet(**{**vars(found), "options": {"objective": object()}})
    with pytest.raises(TypeError):
        broken.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_the_systems_own_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        ThresholdSet.load(tmp_path / "none.json")


def test_select_takes_classes_by_name_in_order(found):
    picked = found.select(["CRS", "DR"])
    assert picked.class_names == ("CRS", "DR")
    np.testing.assert_array_equal(picked.thresholds, found.thresholds[[2, 0]])
    assert picked.status == ("no_positives", "ok")


def test_select_takes_options_given_for_each_class():
    found = find_optimal_thresholds(
        np.eye(3),
        np.eye(3),
        class_names=["a", "b", "c"],
        strategy="grid",
        grid=[0.2, 0.5, 0.6],
        min_recall=[0.1, 0.2, 0.3],
        max_threshold=0.7,
    )
    assert found.select(["c", "a"]).options == found.options | {"min_recall": [0.3, 0.1]}


def test_select_refuses_unknown_and_repeated_names(found):
    with pytest.raises(InputError, match=r"no thresholds for \['XX'\]"):
        found.select(["XX"])
    with pytest.raises(InputError, match="more than once"):
        found.select(["DR", "DR"])
    with pytest.raises(InputError, match="no class names"):
        find_optimal_thresholds(np.eye(2), np.eye(2)).select(["DR"])


def test_predict_compares_in_the_tuned_data_type(found):
    """A float64 0.7 lies below a float32 0.7: compared as they are, the decision would flip."""
    tuned = find_optimal_thresholds(
        [[1]], np.array([[0.7]], dtype=np.float32), min_threshold=0.7, max_threshold=0.7
    )
    assert float(tuned.thresholds[0]) != 0.7
    assert tuned.predict(np.array([[0.7]])).item() is True
    assert tuned.predict(torch.tensor([[0.7]], dtype=torch.float64)).item() is True


def test_predict_refuses_other_shapes_and_columns(found):
    with pytest.raises(InputError, match=r"shape \(1, 2\), but there are 3 thresholds"):
        found.predict(np.zeros((1, 2)))
    with pytest.raises(InputError, match="scores must be finite"):
        found.predict(np.full((1, 3), np.nan))


def test_results_cannot_be_changed(found):
    with pytest.raises(ValueError, match="read-only"):
        found.thresholds[0] = 0.5


def test_the_printed_table_marks_classes_with_few_positives(found):
    text = str(found)
    assert "1*" in text or "2*" in text
    assert "expect less on new data" in text
    assert text.count("\n") == 1 + 3 + 1
