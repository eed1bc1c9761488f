"""Imbalance measures, against hand-computed cases, naive loops and known data sets."""

from __future__ import annotations

import csv
import json
import math
import statistics

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlthresh import InputError, imbalance_report

NAN = math.nan


def label_arrays():
    values = {np.bool_: [False, True], np.uint8: [0, 1], np.float32: [0, 1, NAN]}
    return st.sampled_from(list(values)).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
            elements=st.sampled_from(values[dtype]),
        )
    )


def naive_measures(labels):
    """Return every measure by loops over the definitions."""
    rows = [[float(value) for value in row] for row in labels]
    classes = range(labels.shape[1])
    known = [sum(not math.isnan(row[c]) for row in rows) for c in classes]
    positive = [sum(row[c] == 1 for row in rows) for c in classes]
    prevalence = [n / k if k else NAN for n, k in zip(positive, known, strict=True)]
    largest = max(p for p in prevalence if not math.isnan(p))
    irlbl = [NAN if math.isnan(p) else largest / p if p else math.inf for p in prevalence]
    finite = [irlbl[c] for c in classes if positive[c]]
    mean_ir = statistics.mean(finite) if finite else NAN
    by_row = []
    for row in rows:
        shown = [irlbl[c] for c in classes if row[c] == 1]
        mean = statistics.mean(shown) if shown else NAN
        by_row.append(1 - math.prod(shown) ** (1 / len(shown)) / mean if shown else 0.0)
    labelled = [i for i, row in enumerate(rows) if not all(map(math.isnan, row))]
    complete = [tuple(row) for row in rows if not any(map(math.isnan, row))]
    together = [[sum(r[i] == 1 == r[j] for r in rows) for j in classes] for i in classes]
    both = [[sum(r[i] == 1 and r[j] in (0, 1) for r in rows) for j in classes] for i in classes]
    shown = [sum(value == 1 for value in row) for row in rows]
    return {
        "n_samples": len(rows),
        "n_complete": len(complete),
        "n_unlabelled": len(rows) - len(labelled),
        "n_without_positive": shown.count(0),
        "n_label_sets": len(set(complete)),
        "n_known": known,
        "n_positive": positive,
        "prevalence": prevalence,
        "irlbl": irlbl,
        "mean_ir": mean_ir,
        "max_ir": max(finite, default=NAN),
        "cvir": statistics.stdev(finite) / mean_ir if len(finite) > 1 else NAN,
        "scumble": statistics.mean(by_row[i] for i in labelled),
        "scumble_per_class": [
            statistics.mean(s for s, row in zip(by_row, rows, strict=True) if row[c] == 1)
            if positive[c]
            else NAN
            for c in classes
        ],
        "cardinality": sum(p for p in prevalence if not math.isnan(p)),
        "density": statistics.mean(p for p in prevalence if not math.isnan(p)),
        "rows_by_n_positive": [shown.count(n) for n in range(len(classes) + 1)],
        "co_occurrence": together,
        "conditional": [
            [together[i][j] / both[i][j] if both[i][j] else NAN for j in classes] for i in classes
        ],
    }


@given(label_arrays())
def test_every_measure_equals_a_naive_loop(labels):
    assume(not np.isnan(labels.astype(float)).all())
    report = imbalance_report(labels)
    for name, expected in naive_measures(labels).items():
        np.testing.assert_allclose(
            getattr(report, name), expected, rtol=1e-12, atol=1e-14, err_msg=name
        )
    assert (report.scumble_per_class[report.n_positive > 0] >= 0).all()


def test_measures_by_hand():
    # Counts 4, 2, 1, so the ratios are 1, 2, 4; rows show {a, c}, {a, b}, {a, b}, {a}, {}.
    labels = [[1, 0, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]]
    report = imbalance_report(labels, ["a", "b", "c"])
    assert report.irlbl.tolist() == [1, 2, 4]
    assert report.mean_ir == pytest.approx(7 / 3)
    variance = ((1 - 7 / 3) ** 2 + (2 - 7 / 3) ** 2 + (4 - 7 / 3) ** 2) / 2
    assert report.cvir == pytest.approx(math.sqrt(variance) / (7 / 3))
    with_c = 1 - math.sqrt(1 * 4) / 2.5
    with_b = 1 - math.sqrt(1 * 2) / 1.5
    assert report.scumble == pytest.approx((with_c + 2 * with_b) / 5)
    assert report.scumble_per_class == pytest.approx([(with_c + 2 * with_b) / 4, with_b, with_c])
    assert report.cardinality == pytest.approx(7 / 5)
    assert report.density == pytest.approx(7 / 15)
    assert report.rows_by_n_positive.tolist() == [1, 1, 3, 0]
    assert report.n_label_sets == 4
    assert report.co_occurrence.tolist() == [[4, 2, 1], [2, 2, 0], [1, 0, 1]]
    assert report.conditional.tolist() == [[1, 0.5, 0.25], [1, 1, 0], [1, 0, 1]]


def test_missing_labels_do_not_make_a_class_rare():
    labels = [[1, 1], [1, NAN], [0, 0], [0, NAN]]
    report = imbalance_report(labels)
    assert report.irlbl.tolist() == [1, 1]
    assert report.n_missing.tolist() == [0, 2]
    assert (report.n_complete, report.n_label_sets) == (2, 2)
    assert report.cardinality == 1.0
    assert report.conditional[0, 1] == 1.0  # of the two rows with class 0, one is known


def test_unlabelled_rows_say_nothing_about_scumble():
    labels = np.array([[1.0, 1, 0], [1, 0, 1], [1, 0, 0], [NAN, NAN, NAN]])
    report = imbalance_report(labels)
    assert report.n_unlabelled == 1
    assert report.scumble == imbalance_report(labels[:3]).scumble > 0
    assert "1 row shows no class, 1 of them without a known label." in str(report)
    assert "3 labels (25.0%) missing" in str(report)


def test_blocks_add_up(monkeypatch):
    labels = np.random.default_rng(0).choice([0, 1, NAN], size=(100, 13))
    whole = imbalance_report(labels).to_dict()
    monkeypatch.setattr("mlthresh._arrays._BLOCK_ELEMENTS", 40)
    blocks = imbalance_report(labels).to_dict()
    assert blocks.pop("scumble") == pytest.approx(whole.pop("scumble"), rel=1e-12)
    scumbles = [[one.pop("scumble_per_class") for one in r["classes"]] for r in (whole, blocks)]
    assert scumbles[0] == pytest.approx(scumbles[1], rel=1e-12)
    assert blocks == whole


@pytest.mark.parametrize("n_classes", [1, 8, 9, 64, 65, 130])
def test_label_sets_are_told_apart_in_any_column(n_classes):
    labels = np.eye(n_classes, dtype=np.uint8)
    assert imbalance_report(np.vstack([labels, labels])).n_label_sets == n_classes
    assert imbalance_report(np.vstack([labels, 0 * labels])).n_label_sets == n_classes + 1


def test_equal_ratios_do_not_take_scumble_below_zero():
    labels = np.ones((3, 7))
    labels[0] = 0
    assert imbalance_report(labels).scumble == 0


def test_without_positives():
    report = imbalance_report(np.zeros((3, 2)))
    assert report.irlbl.tolist() == [math.inf, math.inf]
    assert all(math.isnan(value) for value in (report.mean_ir, report.max_ir, report.cvir))
    assert (report.scumble, report.cardinality) == (0, 0)
    assert "2 classes without a positive" in str(report)


def test_a_class_without_positives_is_left_out_of_the_mean():
    with_absent = imbalance_report([[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    without = imbalance_report([[1, 1], [1, 0], [0, 0]])
    assert (with_absent.mean_ir, with_absent.cvir) == (without.mean_ir, without.cvir)
    assert with_absent.irlbl[2] == math.inf
    assert math.isnan(with_absent.scumble_per_class[2])


def test_one_class_has_no_coefficient_of_variation():
    report = imbalance_report([[1], [0]])
    assert report.mean_ir == 1
    assert math.isnan(report.cvir)


@pytest.mark.parametrize("labels", [np.full((2, 2), NAN), np.zeros((0, 2)), [[2, 0]], [1, 0]])
def test_labels_without_information_raise(labels):
    with pytest.raises(InputError):
        imbalance_report(labels)


def test_names_must_fit():
    with pytest.raises(InputError, match="got 1 class names for 2 classes"):
        imbalance_report([[1, 0]], ["DR"])


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_bring_their_names(frame):
    report = imbalance_report(frame({"DR": [1, 0, 1], "MH": [0, 1, 0]}))
    assert report.class_names == ("DR", "MH")


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32, torch.bfloat16])
def test_tensors_count_as_their_values(dtype):
    labels = np.array([[1, 0], [1, 1], [0, 0]])
    assert imbalance_report(torch.tensor(labels).to(dtype)).to_dict() == (
        imbalance_report(labels).to_dict()
    )


def test_json_is_strict_and_complete(tmp_path):
    report = imbalance_report([[1, 0, 0], [1, 0, 1], [0, 0, NAN]], ["DR", "MH", "VH"])
    path = tmp_path / "imbalance.json"
    text = report.to_json(path)
    assert path.read_text(encoding="utf-8") == text

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(text, parse_constant=refuse)
    assert content["classes"][1]["irlbl"] == "inf"
    assert content["classes"][1]["scumble_per_class"] is None
    assert content["classes"][2]["n_missing"] == 1
    assert content["co_occurrence"] == [[2, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert content["conditional"][1] == [None, None, None]
    public = {name for name in vars(report) if not name.startswith("_")} | {"classes"}
    per_class = set(content["classes"][0]) - {"name", "n_missing"}
    assert set(content) == public - per_class - {"class_names"}


def test_arrays_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        imbalance_report([[1], [0]]).irlbl[0] = 2


def test_text_and_markdown_have_the_same_cells():
    report = imbalance_report([[1, 0], [1, 1], [0, 1], [1, 0]], ["a|b", "rare"])
    lines = str(report).splitlines()
    assert lines[3].split() == ["a|b", "3", "of", "4", "75.00%", "1.00", "0.007", "rare", "(33%)"]
    assert "| a\\|b | 3 of 4 | 75.00% | 1.00 | 0.007 | rare (33%) |" in report.to_markdown()
    unnamed = str(imbalance_report([[1, 0], [0, 1]]))
    assert "class 1" in unnamed
    assert "0.000                -" in unnamed  # no class beside it


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("emotions", (1.868, 0.311, 27, 1.478, 1.784, 0.180, 0.011)),
        ("scene", (1.074, 0.179, 15, 1.254, 1.464, 0.122, 0.000)),
        ("yeast", (4.237, 0.303, 198, 7.197, 53.412, 1.884, 0.104)),
    ],
)
def test_figures_of_classic_data(data_dir, name, expected):
    """What the definitions of Charte et al. (2015) gave on these sets: they must not drift."""
    with np.load(data_dir / "mulan" / f"{name}.npz") as data:
        report = imbalance_report(np.concatenate([data["Y_train"], data["Y_test"]]))
    found = (
        *(report.cardinality, report.density, report.n_label_sets),
        *(report.mean_ir, report.max_ir, report.cvir, report.scumble),
    )
    assert found == pytest.approx(expected, abs=6e-4)


def test_rfmid(data_dir):
    path = data_dir / "rfmid_labels" / "RFMiD_Training_Labels.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    labels, names = np.array([row[2:] for row in rows], dtype=np.uint8), header[2:]
    report = imbalance_report(labels, names)
    assert report.n_without_positive == 401
    assert report.rows_by_n_positive[:7].tolist() == [401, 1061, 373, 79, 5, 1, 0]
    assert np.isinf(report.irlbl).sum() == 2
    lasers, diabetic = names.index("LS"), names.index("DR")
    assert report.co_occurrence[lasers, diabetic] == 41
    assert report.conditional[lasers, diabetic] == 41 / 47
    assert "LS      47 of 1920       2.45%    8.00    0.339         DR (87%)" in str(report)
    for name, expected in naive_measures(labels).items():
        np.testing.assert_allclose(getattr(report, name), expected, rtol=1e-9, err_msg=name)
