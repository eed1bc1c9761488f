"""Reports by site, sex and the like: every figure of each value, small cells shown as such."""

from __future__ import annotations

import datetime as dt
import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from mlthresh import InputError, multilabel_report
from mlthresh._subgroups import subgroup_rows

NAMES = ["DR", "MH", "RPEC"]


def sample(n_samples=200, seed=0):
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_samples, 3)) < [0.4, 0.2, 0.03]).astype(float)
    y_score = 1 / (1 + np.exp(1 - rng.normal(size=y_true.shape) - 2 * y_true))
    sex = rng.choice(["f", "m"], size=n_samples).astype(object)
    sex[:5] = None
    return y_true, y_score, {"sex": sex, "site": np.arange(n_samples) % 3}


def as_lists(found):
    return {name: {v: rows.tolist() for v, rows in one.items()} for name, one in found.items()}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["b", "a", "b"], {"a": [1], "b": [0, 2]}),
        ([2, 10, 2], {"2": [0, 2], "10": [1]}),
        ([1.0, math.nan, 0.5], {"0.5": [2], "1": [0], "unknown": [1]}),
        (["x", "", "  "], {"x": [0], "unknown": [1, 2]}),
        ([None, None, None], {"unknown": [0, 1, 2]}),
        ([True, False, True], {"False": [1], "True": [0, 2]}),
        (["a", 1, None], {"1": [1], "a": [0], "unknown": [2]}),
        (np.array(["a", "b", "a"]), {"a": [0, 2], "b": [1]}),
        (torch.tensor([1, 0, 1]), {"0": [1], "1": [0, 2]}),
        (pd.Series([1, None, 3], dtype="Int64"), {"1": [0], "3": [2], "unknown": [1]}),
        (pd.Series(["u", pd.NA, "v"], dtype="string"), {"u": [0], "v": [2], "unknown": [1]}),
        (pd.Series(["u", None, "v"]), {"u": [0], "v": [2], "unknown": [1]}),
        (pd.Categorical(["hi", "lo", None]), {"hi": [0], "lo": [1], "unknown": [2]}),
        (pl.Series(["u", None, "v"]), {"u": [0], "v": [2], "unknown": [1]}),
        (pd.to_datetime(pd.Series(["2024-01-02", None, "2024-01-02"])), None),
        ([dt.date(2024, 1, 2)] * 3, {"2024-01-02": [0, 1, 2]}),
    ],
    ids=range(16),
)
def test_values_of_any_kind(values, expected):
    found = as_lists(subgroup_rows({"x": values}, 3))["x"]
    if expected is None:
        assert list(found.values()) == [[0, 2], [1]]
        assert list(found)[1] == "unknown"
    else:
        assert found == expected
        assert list(found) == list(expected)


def test_frames_and_mappings():
    columns = {"sex": ["f", None, "m"], "site": [2, 1, 2]}
    expected = as_lists(subgroup_rows(columns, 3))
    assert as_lists(subgroup_rows(pd.DataFrame(columns), 3)) == expected
    assert as_lists(subgroup_rows(pl.DataFrame(columns), 3)) == expected
    assert subgroup_rows(None, 3) == subgroup_rows({}, 3) == {}


@pytest.mark.parametrize(
    ("subgroups", "message"),
    [
        ({"sex": ["f"]}, r"subgroups\['sex'\] has 1 values, but there are 200 rows"),
        ({"age": np.arange(200)}, r"subgroups\['age'\] has 200 different values; cut it into"),
        (np.zeros(200), "subgroups must be a mapping .* got ndarray"),
        ({"x": ["1", 1] * 100}, r"subgroups\['x'\] has different values that read alike"),
        ({"x": ["unknown", None] * 100}, "different values that read alike"),
    ],
)
def test_bad_subgroups(subgroups, message):
    with pytest.raises(InputError, match=message):
        multilabel_report(*sample()[:2], 0.5, subgroups=subgroups)


@pytest.mark.parametrize("patients", [None, np.arange(200) // 2], ids=["rows", "patients"])
def test_each_part_is_the_report_on_its_rows(patients):
    y_true, y_score, subgroups = sample()
    options = {"class_names": NAMES, "confidence": 0.9, "undefined": "zero"}
    report = multilabel_report(
        y_true, y_score, 0.5, groups=patients, subgroups=subgroups, n_resamples=30, **options
    )
    whole = multilabel_report(y_true, y_score, 0.5, groups=patients, n_resamples=30, **options)
    for name, value in whole.to_dict().items():  # subgroups change nothing else
        np.testing.assert_equal(report.to_dict()[name], value)
    assert list(report.subgroups) == ["sex", "site"]
    assert list(report.subgroups["sex"]) == ["f", "m", "unknown"]
    assert list(report.subgroups["site"]) == ["0", "1", "2"]
    for name, by_value in report.subgroups.items():
        assert sum(part.n_samples for part in by_value.values()) == 200
        np.testing.assert_array_equal(
            sum(part.support for part in by_value.values()), report.support
        )
        for value, part in by_value.items():
            rows = subgroup_rows(subgroups, 200)[name][value]
            own = None if patients is None else patients[rows]
            alone = multilabel_report(
                y_true[rows], y_score[rows], 0.5, groups=own, n_resamples=0, **options
            ).to_dict()
            for figure, expected in alone.items():
                if figure != "n_resamples" and not figure.endswith("_interval"):
                    np.testing.assert_equal(part.to_dict()[figure], expected, err_msg=figure)
            assert not np.isnan(part.macro_f1_interval).any()


def test_a_subgroup_whose_labels_are_all_missing():
    y_true, y_score, _ = sample()
    y_true[:10] = math.nan
    site = ["new"] * 10 + ["old"] * 190
    report = multilabel_report(y_true, y_score, 0.5, subgroups={"site": site}, n_resamples=20)
    new = report.subgroups["site"]["new"]
    assert new.n_known.tolist() == [0, 0, 0]
    assert np.isnan(new.recall).all()
    assert np.isnan(new.accuracy)
    assert "0 of 0 *" in str(report)


def test_json_holds_every_part():
    y_true, y_score, subgroups = sample()
    patients = np.arange(200) // 2
    report = multilabel_report(
        y_true, y_score, 0.5, groups=patients, subgroups=subgroups, class_names=NAMES, n_resamples=5
    )
    content = json.loads(report.to_json())
    women = content["subgroups"]["sex"]["f"]
    assert women["classes"][0]["recall"] == report.subgroups["sex"]["f"].recall[0]
    assert women["classes"][0]["name"] == "DR"
    assert women["n_groups"] == report.subgroups["sex"]["f"].n_groups
    assert content["classes"][0]["support_groups"] == report.support_groups[0]
    assert "subgroups" not in multilabel_report(y_true, y_score, 0.5, n_resamples=0).to_dict()


def test_text_sets_the_values_of_a_class_below_each_other():
    y_true, y_score, subgroups = sample()
    report = multilabel_report(
        y_true, y_score, 0.5, subgroups=subgroups, class_names=NAMES, n_resamples=5
    )
    lines = str(report).splitlines()
    sizes = {value: part.n_samples for value, part in report.subgroups["sex"].items()}
    start = lines.index(
        f"By sex: f {sizes['f']} rows; m {sizes['m']} rows; unknown {sizes['unknown']} rows"
    )
    table = lines[start + 2 : start + 15]
    head = "class sex positives alarms recall specificity precision F1 AUROC"
    assert table[0].split() == head.split()
    assert table[1].startswith("DR ")
    assert table[2].startswith("  ")
    assert table[3].split()[0] == "unknown"
    men = report.subgroups["sex"]["m"]
    assert f"{men.support[0]} of {men.n_known[0]}" in table[2]
    assert f"{men.recall[0]:.2f} [" in table[2]
    rare = report.subgroups["sex"]["f"].support[2]
    assert rare < 10
    assert f" {rare} of {sizes['f']} *" in table[7]
    assert "*" not in table[1]
    ends = {line.index("]") for line in table[1:3]}  # recall's intervals are aligned
    assert len(ends) == 1
    assert any(line.startswith("A * marks fewer than 10 positives") for line in lines)
    assert any("Of 18 intervals of a rate about 1 may miss by chance" in line for line in lines)


def test_text_tells_of_patients():
    y_true, y_score, subgroups = sample()
    report = multilabel_report(
        y_true, y_score, 0.5, groups=np.arange(200) // 2, subgroups=subgroups, n_resamples=5
    )
    text = str(report)
    assert text.startswith("200 rows of 100 patients, 3 classes")
    assert text.splitlines()[2].split()[:4] == ["class", "positives", "patients", "alarms"]
    assert "Obuchowski's for AUROC" in text
    assert "independent patients" in text
    assert f"f {report.subgroups['sex']['f'].n_samples} rows, " in text


def test_markdown_has_the_same_tables():
    y_true, y_score, subgroups = sample()
    report = multilabel_report(
        y_true, y_score, 0.5, subgroups=subgroups, class_names=NAMES, n_resamples=5
    )
    blocks = report.to_markdown().split("\n\n")
    titles = [block.split(":")[0] for block in blocks if block.startswith("By ")]
    assert titles == ["By sex", "By site"]
    tables = [block.splitlines() for block in blocks if block.startswith("|")]
    assert len(tables) == 3
    assert tables[1][0].startswith("| class | sex | positives |")
    assert tables[1][1].startswith("|:---|:---|---:|")
    assert all(line.count("|") == tables[1][0].count("|") for line in tables[1])
    assert len(tables[1]) == 2 + (3 + 1) * 3
    assert tables[1][3].startswith("|  | m | ")
