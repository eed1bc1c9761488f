"""What a report looks like: plain values, JSON, Markdown and text."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mlthresh import multilabel_report
from mlthresh._tables import markdown_table, rate_cell, text_table


@pytest.fixture
def report():
    y_true = np.array([[0, 1, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]])
    y_score = np.array([[0.1, 0.9, 0.2], [0.2, 0.8, 0.1], [0.7, 0.4, 0.3], [0.6, 0.1, 0.2]])
    names = ["rare", "a|b", "absent"]
    thresholds = [0.5, 0.5, math.inf]
    return multilabel_report(y_true, y_score, thresholds, class_names=names, n_resamples=20)


def test_arrays_cannot_be_written(report):
    with pytest.raises(ValueError, match="read-only"):
        report.recall[0] = 1.0
    with pytest.raises(AttributeError):
        report.macro_f1 = 1.0


def test_the_thresholds_stay_the_callers_own():
    thresholds = np.array([0.5])
    report = multilabel_report([[1]], [[0.7]], thresholds, n_resamples=0)
    thresholds[0] = 0.9
    assert report.threshold[0] == 0.5


def test_to_dict_has_every_figure_as_a_plain_value(report):
    content = report.to_dict()
    assert content["macro_f1"] == report.macro_f1
    assert content["macro_f1_interval"] == list(report.macro_f1_interval)
    assert [one["name"] for one in content["classes"]] == ["rare", "a|b", "absent"]
    for c, one in enumerate(content["classes"]):
        for key, value in one.items():
            if key != "name":
                np.testing.assert_array_equal(value, getattr(report, key)[c])
                assert type(value) in (int, float, list)
    assert type(content["n_learned"]) is int


def test_to_json_is_strict_and_complete(report, tmp_path):
    path = tmp_path / "report.json"
    path.write_text("an older report", encoding="utf-8")
    text = report.to_json(path)
    assert path.read_text(encoding="utf-8") == text
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(text, parse_constant=refuse)
    absent = content["classes"][2]
    assert absent["threshold"] == "inf"
    assert absent["recall"] is None
    assert absent["recall_interval"] == [None, None]
    assert content["classes"][1]["recall"] == report.recall[1]
    assert set(content) == set(report.to_dict())


def test_numpy_options_still_give_json():
    options = {"confidence": np.float64(0.9), "n_resamples": np.int64(3)}
    report = multilabel_report([[1], [0]], [[0.7], [0.1]], 0.5, **options)
    assert json.loads(report.to_json())["n_resamples"] == 3


def test_to_json_leaves_nothing_behind_when_it_cannot_write(report, tmp_path):
    with pytest.raises(FileNotFoundError):
        report.to_json(tmp_path / "missing" / "report.json")
    assert list(tmp_path.iterdir()) == []


def test_text_shows_the_frequent_classes_first_and_aligns(report):
    lines = str(report).splitlines()
    assert lines[0] == "4 rows, 3 classes, 95% intervals in brackets"
    table = lines[2:8]
    first = ["class", "a|b", "rare", "absent", "macro average", "micro average"]
    assert [line[:13].strip() for line in table] == first
    assert {line[table[0].index("threshold") - 1] for line in table} == {" "}
    recall = "0.67 [0.09, 1.00]"
    assert recall in table[1]
    assert table[1].index(recall) + len(recall) == table[0].index("recall") + len("recall")
    assert "3 of 4" in table[1]
    assert table[3].split() == ["absent", "0", "of", "4", "0", "inf", "-", "-", "-", "-", "-"]


def test_notes_set_the_figures_beside_what_costs_nothing(report):
    text = str(report)
    assert "F1 > 0 in 2 of 2 classes with positives." in text
    assert "Single labels right: 0.833; by calling nothing: 0.667." in text
    assert "Macro averages leave out what is undefined: recall of 1, precision of 1" in text
    assert f"{report.macro_f1_all_positive:.2f} by calling every class" in text


def test_markdown_has_the_same_cells(report):
    lines = report.to_markdown().splitlines()
    assert lines[2].startswith("| class | positives | alarms | threshold | recall |")
    assert lines[4].startswith("| a\\|b | 3 of 4 | 2 | 0.5 | 0.67 [0.09, 1.00] |")
    assert all(line.replace("\\|", "").count("|") == 10 for line in lines[2:9])
    assert lines[10].startswith("- F1 > 0 in")


def test_missing_labels_show_in_the_counts():
    y_true = np.array([[1, math.nan], [0, 1], [1, 0]])
    report = multilabel_report(y_true, np.zeros((3, 2)), 0.5, n_resamples=0)
    text = str(report)
    assert "2 of 3" in text
    assert "1 of 2" in text
    assert "class 0" in text
    assert "Rows with every label right" not in text
    assert report.class_names is None
    assert report.to_dict()["classes"][0]["name"] is None


def test_undefined_figures_counted_as_zero_are_said_to_be():
    report = multilabel_report([[1, 0]], [[0.9, 0.1]], 0.5, undefined="zero", n_resamples=0)
    assert "count as 0 (but leave out AUROC) what is undefined" in str(report)


def test_an_interval_is_rounded_outwards():
    assert rate_cell(0.999, (0.9951, 0.9999)) == "1.00 [0.99, 1.00]"
    assert rate_cell(0.0, (0.0, 0.001)) == "0.00 [0.00, 0.01]"
    assert rate_cell(0.29, (0.29, 0.57)) == "0.29 [0.29, 0.57]"
    assert rate_cell(0.5, (math.nan, math.nan)) == "0.50"
    assert rate_cell(math.nan, (math.nan, math.nan)) == "-"


def test_tables_without_rows():
    assert text_table(["class", "n"], []) == "class  n"
    assert markdown_table(["class", "n"], []) == "| class | n |\n|:---|---:|"
