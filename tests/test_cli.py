"""The command line on files as people have them, good and bad."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mlthresh import (
    ThresholdSet,
    _score_files,
    cost,
    fbeta,
    find_optimal_thresholds,
    imbalance_report,
    multilabel_report,
)
from mlthresh.cli import main

NAMES = ("DR", "MH")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y_true = (rng.random((80, 2)) < [0.4, 0.2]).astype(float)
    return y_true, (0.5 * rng.random(y_true.shape) + 0.5 * y_true * rng.random((80, 1))).round(6)


@pytest.fixture
def npz(tmp_path, data):
    path = tmp_path / "scores.npz"
    ids = np.array([f"img{i}" for i in range(80)])
    np.savez(path, y_true=data[0], y_score=data[1], class_names=np.array(NAMES), ids=ids)
    return path


@pytest.fixture
def tables(tmp_path, data):
    """Labels with a byte-order mark, other columns, another column order and row order."""
    order = np.random.default_rng(1).permutation(80)
    labels = ["Patient,ID,MH,DR,OTHER"]
    labels += [f"p{i // 2},img{i},{data[0][i, 1]:.0f},{data[0][i, 0]:.0f},0" for i in order]
    scores = ["ID,DR,MH", *(f"img{i},{data[1][i, 0]},{data[1][i, 1]}" for i in range(80))]
    (tmp_path / "labels.csv").write_text("\ufeff" + "\n".join(labels) + "\n", encoding="utf-8")
    (tmp_path / "scores.csv").write_text("\n".join(scores) + "\n")
    return tmp_path / "scores.csv", tmp_path / "labels.csv"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_tune_writes_what_the_function_finds(npz, data, tmp_path, capsys):
    output = tmp_path / "t.json"
    assert run("tune", npz, "-o", output, "--min-recall", 0.3, "--max-threshold", 0.7) == 0
    expected = find_optimal_thresholds(*data, min_recall=0.3, max_threshold=0.7)
    found = ThresholdSet.load(output)
    np.testing.assert_array_equal(found.thresholds, expected.thresholds)
    assert found.class_names == NAMES
    assert "DR" in capsys.readouterr().out


def test_tables_are_matched_by_id_and_column(tables, data, tmp_path):
    scores, labels = tables
    output = tmp_path / "t.json"
    arguments = ("--labels", labels, "--groups", "Patient", "-o", output)
    assert run("tune", scores, *arguments, "--min-recall", 0.2, "--confidence", 0.8) == 0
    expected = find_optimal_thresholds(
        *data, groups=np.arange(80) // 2, min_recall=0.2, confidence=0.8
    )
    np.testing.assert_array_equal(ThresholdSet.load(output).thresholds, expected.thresholds)


def test_parquet_is_read_like_csv(tables, tmp_path):
    frames = pl.read_csv(tables[0]), pl.read_csv(tables[1]).drop("Patient")
    found = []
    for suffix in ("csv", "parquet"):
        files = [tmp_path / f"{name}.{suffix}" for name in ("s", "l")]
        for frame, path in zip(frames, files, strict=True):
            getattr(frame, f"write_{suffix}")(path)
        assert run("tune", files[0], "--labels", files[1], "-o", tmp_path / "t.json") == 0
        found.append(ThresholdSet.load(tmp_path / "t.json").thresholds)
    np.testing.assert_array_equal(*found)


def test_parquet_is_read_by_whichever_library_there_is(tables, tmp_path, capsys, monkeypatch):
    frame, there = pd.read_csv(tables[0]), {"pandas"}
    monkeypatch.setattr(_score_files, "find_spec", lambda name: name in there or None)
    monkeypatch.setattr(pd, "read_parquet", lambda _: frame)
    path = tmp_path / "s.parquet"
    path.touch()
    assert run("tune", path, "--labels", tables[1], "-o", tmp_path / "t.json") == 0
    by_pandas = ThresholdSet.load(tmp_path / "t.json").thresholds
    assert run("tune", tables[0], "--labels", tables[1], "-o", tmp_path / "t.json") == 0
    np.testing.assert_array_equal(ThresholdSet.load(tmp_path / "t.json").thresholds, by_pandas)
    there.clear()
    assert run("tune", path, "--labels", tables[1]) == 2
    assert "needs polars or pandas" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--objective", "mcc"], {"objective": "mcc"}),
        (["--strategy", "grid"], {"strategy": "grid"}),
        (["--beta", "3"], {"objective": fbeta(3)}),
        (["--cost", "9", "1"], {"objective": cost(miss=9, false_alarm=1)}),
        (["--min-precision", "0.9", "--on-infeasible", "never"], {"min_precision": 0.9}),
    ],
)
def test_options_reach_the_search(npz, data, tmp_path, arguments, options):
    output = tmp_path / "t.json"
    assert run("tune", npz, "-o", output, *arguments) == 0
    if "never" in arguments:
        options = {**options, "on_infeasible": "never"}
    expected = find_optimal_thresholds(*data, **options)
    np.testing.assert_array_equal(ThresholdSet.load(output).thresholds, expected.thresholds)


def test_apply_decides_in_the_files_column_order(tables, data, tmp_path, capsys):
    find_optimal_thresholds(*data, class_names=NAMES).select(["MH", "DR"]).save(tmp_path / "t.json")
    assert run("apply", tables[0], "--thresholds", tmp_path / "t.json") == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header == "id,DR,MH"
    decided = np.array([row.split(",")[1:] for row in rows], dtype=int)
    expected = data[1] >= find_optimal_thresholds(*data).thresholds
    np.testing.assert_array_equal(decided, expected)
    assert rows[0].startswith("img0,")


def test_report_in_three_formats(npz, data, tmp_path, capsys):
    assert run("report", npz, "--threshold", 0.5) == 0
    assert "DR" in capsys.readouterr().out
    assert run("report", npz, "--threshold", 0.5, "--format", "markdown") == 0
    assert "| DR" in capsys.readouterr().out
    output = tmp_path / "report.json"
    assert run("report", npz, "--threshold", 0.5, "--format", "json", "-o", output) == 0
    expected = multilabel_report(*data, 0.5, class_names=NAMES).to_dict()
    assert json.loads(output.read_text())["macro_f1"] == expected["macro_f1"]


def test_report_of_tuned_thresholds_finds_each_class_by_its_name(npz, data, tmp_path):
    tuned = find_optimal_thresholds(*data, class_names=NAMES)
    tuned.select(["MH", "DR"]).save(tmp_path / "t.json")
    output = tmp_path / "r.json"
    arguments = ("--thresholds", tmp_path / "t.json", "--format", "json", "-o", output)
    assert run("report", npz, *arguments) == 0
    expected = multilabel_report(*data, tuned, class_names=NAMES).to_dict()
    assert json.loads(output.read_text())["macro_f1"] == expected["macro_f1"]


def test_stats_describe_the_imbalance_of_known_labels(tmp_path, capsys):
    path, output = tmp_path / "labels.csv", tmp_path / "stats.json"
    path.write_text("ID,Patient,DR,MH,RS\na,p,1,0,0\nb,p,1,,0\nc,q,0,0,0\n")
    assert run("stats", path, "--ignore", "Patient", "--format", "json", "-o", output) == 0
    labels = [[1, 0, 0], [1, np.nan, 0], [0, 0, 0]]
    expected = imbalance_report(labels, class_names=["DR", "MH", "RS"])
    assert output.read_text() == expected.to_json() + "\n"
    assert run("stats", path, "--ignore", "Patient") == 0
    assert capsys.readouterr().out == f"{expected}\n"


def test_columns_of_the_labels_that_no_score_names_may_hold_anything(tables, data, tmp_path):
    scores, labels = tables
    rows = labels.read_text(encoding="utf-8").splitlines()
    labels.write_text(
        "\n".join([f"{rows[0]},Remark", *(f"{row},blurred" for row in rows[1:])]), encoding="utf-8"
    )
    assert run("tune", scores, "--labels", labels, "-o", tmp_path / "t.json") == 0
    found = ThresholdSet.load(tmp_path / "t.json")
    np.testing.assert_array_equal(found.thresholds, find_optimal_thresholds(*data).thresholds)


def bad(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.csv", "ID,DR\na,0.5\nb,high\n", "s.csv, line 3, column 'DR': expected a number"),
        ("s.csv", "ID,DR\na,0.5\nb\n", "s.csv, line 3: 1 fields where the header has 2"),
        ("s.csv", "ID,DR\na,0.5\na,0.1\n", "id 'a' occurs more than once"),
        ("s.csv", "", "empty"),
        ("s.csv", b"\xff\xfe\x00", "not a CSV file in UTF-8"),
        ("s.npz", b"PK\x03\x04 truncated", "not a whole npz file"),
        ("s.txt", "DR", "expected a file ending in"),
    ],
)
def test_bad_files_are_named_with_line_and_column(tmp_path, capsys, name, content, message):
    labels = bad(tmp_path, "labels.csv", "ID,DR\na,1\nb,0\n")
    assert run("tune", bad(tmp_path, name, content), "--labels", labels) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert name in printed
    assert not (tmp_path / "thresholds.json").exists()


def test_bad_combinations(tables, npz, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scores, labels = tables
    short = bad(tmp_path, "short.csv", "ID,DR,MH\nimg0,1,0\n")
    no_class = bad(tmp_path, "no_class.csv", "ID,DR\nimg0,1\n")
    no_ids = bad(tmp_path, "no_ids.csv", "DR,MH\n1,0\n")
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, y_true=np.array([{}], dtype=object), y_score=np.zeros((1, 1)))
    labels_alone = tmp_path / "labels_alone.npz"
    np.savez(labels_alone, y_true=np.zeros((1, 1)))
    for arguments, message in (
        (["tune", scores], "name the file with the labels"),
        (["tune", tmp_path / "none.npz"], "no such file"),
        (["tune", scores, "--labels", short], "no row for 79 ids"),
        (["tune", scores, "--labels", no_class], "no column for ['MH']"),
        (["tune", scores, "--labels", labels, "--groups", "Site"], "no column 'Site'"),
        (["tune", scores, "--labels", no_ids], "no_ids.csv has 1 rows and"),
        (["tune", pickled], "of plain arrays"),
        (["tune", labels_alone], "labels_alone.npz: no array 'y_score'; there are ['y_true']"),
        (["tune", npz, "--groups", "Site"], "no array 'Site'"),
        (["tune", npz, "--min-recall", 2], "min_recall must lie in [0, 1]"),
        (["tune", npz, "--objective", "F9"], "unknown objective 'F9'"),
        (["apply", scores, "--thresholds", short], "not a whole JSON file"),
    ):
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "thresholds.json").exists()


def test_labels_neither_0_nor_1_are_refused_by_place(tmp_path, tables, capsys):
    rows = "".join(f"img{i},0,{2 * (i == 5)}\n" for i in range(80))
    labels = bad(tmp_path, "l.csv", "ID,DR,MH\n" + rows)
    assert run("tune", tables[0], "--labels", labels, "-o", tmp_path / "t.json") == 2
    assert "y_true[5, 1] is 2.0" in capsys.readouterr().err


def test_it_runs_as_a_program():
    shown = subprocess.run(
        [sys.executable, "-m", "mlthresh.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert "tune" in shown.stdout


def test_report_by_patients_and_subgroups(data, tmp_path, capsys):
    lines = ["ID,Patient,sex,site,DR,MH"]
    lines += [
        f"img{i},p{i // 2},{['f', 'm', ''][i % 3]},{i % 2},{data[0][i, 0]:.0f},{data[0][i, 1]:.0f}"
        for i in range(80)
    ]
    labels, scores = tmp_path / "labels.csv", tmp_path / "scores.csv"
    labels.write_text("\n".join(lines) + "\n")
    rows = [f"img{i},{data[1][i, 0]},{data[1][i, 1]}" for i in range(80)]
    scores.write_text("\n".join(["ID,DR,MH", *rows]) + "\n")
    arguments = ["--threshold", 0.5, "--groups", "Patient", "--subgroups", "sex", "site"]
    assert run("report", scores, "--labels", labels, *arguments, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    expected = multilabel_report(
        *data,
        0.5,
        class_names=NAMES,
        groups=[f"p{i // 2}" for i in range(80)],
        subgroups={"sex": ["f", "m", None] * 26 + ["f", "m"], "site": np.arange(80) % 2},
    )
    assert found == json.loads(expected.to_json())
    pl.read_csv(labels).write_parquet(tmp_path / "labels.parquet")
    assert run("report", scores, "--labels", tmp_path / "labels.parquet", *arguments) == 0
    text = capsys.readouterr().out
    assert text == f"{expected}\n"
    assert "unknown" in text
    arguments = ["--threshold", 0.5, "--groups", "sex", "--subgroups", "Patient", "site"]
    assert run("report", scores, "--labels", labels, *arguments) == 2
    assert "26 rows have no 'sex' to group them by" in capsys.readouterr().err
