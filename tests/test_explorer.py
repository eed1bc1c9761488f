"""The explorer's page: which cuts it keeps, what it embeds, and that data can't break it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlthresh import (
    InputError,
    ThresholdSet,
    find_optimal_thresholds,
    multilabel_report,
    write_explorer,
)
from mlthresh._intervals import clopper_pearson, f1_of_jaccard
from mlthresh.cli import main
from mlthresh.counts import SortedClass
from mlthresh.explorer.curves import round_thresholds, thin


def embedded(path):
    text = path.read_text(encoding="utf-8")
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(data)


def explored(tmp_path, *arrays, **options):
    write_explorer(tmp_path / "explorer.html", *arrays, **options)
    return embedded(tmp_path / "explorer.html")


def number(value):
    return float(value)  # "inf" too


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    y_true = (rng.random((400, 3)) < [0.4, 0.1, 0.02]).astype(float)
    y_true[:7, 1] = np.nan
    y_score = 1 / (1 + np.exp(2 - 2 * np.nan_to_num(y_true) - rng.normal(size=y_true.shape)))
    return y_true, y_score


def f1_and_youden(tp, fp, positives, negatives):
    with np.errstate(invalid="ignore"):
        return 2 * tp / (tp + fp + positives), tp / positives - fp / negatives


SCORES = {
    "ties": st.integers(0, 12).map(lambda i: i / 12),
    "any": st.floats(-1e6, 1e6, width=32),
    "close": st.floats(0.5, 0.5 + 2**-20, width=32),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", SCORES)
@given(data=st.data())
def test_kept_cuts_have_the_optima_and_come_close_to_every_other(kind, dtype, data):
    n = data.draw(st.integers(1, 120))
    score = data.draw(hnp.arrays(np.float64, n, elements=SCORES[kind])).astype(dtype)
    label = data.draw(hnp.arrays(np.int8, n, elements=st.integers(0, 1)))
    marks = data.draw(hnp.arrays(np.float64, 2, elements=SCORES[kind])).astype(dtype)
    steps = data.draw(st.integers(1, 30))
    curve = thin(SortedClass(score, label), marks, ticks=(0.25, 0.5), steps=steps)

    threshold = curve.threshold.astype(dtype)
    assert (np.diff(threshold) > 0).all()
    assert threshold[-1] == np.inf
    assert np.isin(marks, threshold).all()
    called = score >= threshold[:, None]
    np.testing.assert_array_equal(curve.tp, (called & (label == 1)).sum(axis=1))
    np.testing.assert_array_equal(curve.fp, (called & (label == 0)).sum(axis=1))

    every = np.append(np.unique(score), np.inf)
    called = score >= every[:, None]
    tp, fp = (called & (label == 1)).sum(axis=1), (called & (label == 0)).sum(axis=1)
    positives, negatives = (label == 1).sum(), (label == 0).sum()
    if positives and negatives:
        kept = f1_and_youden(curve.tp, curve.fp, positives, negatives)
        whole = f1_and_youden(tp, fp, positives, negatives)
        for one, other in zip(kept, whole, strict=True):
            assert np.nanmax(one) == np.nanmax(other)
    # The kept cut that decides no more than a cut is nearly that cut.
    for hits, alarms in zip(tp, fp, strict=True):
        fewer = (curve.tp <= hits) & (curve.fp <= alarms)
        at = np.argmax(fewer)
        assert hits - curve.tp[at] <= -(-positives // steps)
        assert alarms - curve.fp[at] <= -(-negatives // steps)


def test_few_false_alarms_are_kept_to_a_tenth():
    rng = np.random.default_rng(0)
    label = np.arange(100_000) < 30
    curve = thin(SortedClass(rng.random(len(label)) + label, label), np.array([0.5]))
    fp = np.sort(curve.fp[(curve.fp > 0) & (curve.fp < 1000)])
    assert (np.diff(fp) <= np.maximum(1, 0.11 * fp[:-1])).all()
    assert len(curve.threshold) < 400


def test_of_cuts_that_decide_alike_the_round_one_stays():
    one_class = SortedClass(np.array([0.1, 0.61, 0.62]), np.array([0, 1, 0]))
    curve = thin(one_class, np.array([0.5]), ticks=(0.4, 0.3))
    assert curve.threshold.tolist() == [0.1, 0.3, 0.4, 0.5, 0.615, np.inf]


def test_round_thresholds_are_decimals():
    assert round_thresholds(-3.3, 4.1, 10) == [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    assert 0.15 in round_thresholds(0.0, 1.0)
    assert round_thresholds(2.0, 2.0) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_preset_is_embedded_with_its_figures(tmp_path, arrays, dtype):
    y_true, y_score = arrays[0], arrays[1].astype(dtype)
    known = explored(tmp_path, y_true, y_score, min_recall=0.5, confidence=0.9)
    assert [preset["name"] for preset in known["presets"]] == [
        *("Fixed 0.5", "Grid", "Exact", "Pooled", "Certified")
    ]
    certified = find_optimal_thresholds(
        y_true, y_score, strategy="pooled", min_recall=0.5, confidence=0.9
    )
    for preset in known["presets"]:
        found = ThresholdSet.from_dict(preset["file"])
        for c, cut in enumerate(preset["cuts"]):
            one = known["classes"][c]
            assert dtype(number(one["threshold"][cut])) == found.thresholds[c]
            alarm = y_score[:, c] >= found.thresholds[c]
            assert one["tp"][cut] == (alarm & (y_true[:, c] == 1)).sum()
            assert one["fp"][cut] == (alarm & (y_true[:, c] == 0)).sum()
            assert found.recall[c] == one["tp"][cut] / one["positives"]
    np.testing.assert_array_equal(found.thresholds, certified.thresholds)


def test_certified_are_the_cuts_up_to_the_cap(tmp_path, arrays):
    for groups in (None, np.arange(400) // 4):
        known = explored(tmp_path, *arrays, min_recall=0.35, confidence=0.9, groups=groups)
        for floor in (0.35, 0.7, 0.99):
            at = known["floors"].index(floor)
            capped = find_optimal_thresholds(
                *arrays, groups=groups, min_recall=floor, confidence=0.9, objective=lambda *n: -n[0]
            )
            for c, one in enumerate(known["classes"]):
                assert (one["misses"][at] >= 0) == (capped.positives_missing[c] == 0)
                if one["misses"][at] < 0:
                    assert known["needed"][at] - one["units"] == capped.positives_missing[c]
                    continue
                # The highest threshold of fewest hits is as high as the promise lets it be.
                hits = round(capped.recall[c] * one["positives"])
                assert one["positives"] - hits == one["misses"][at]


def test_rows_are_worth_what_the_report_makes_of_their_patients(tmp_path, arrays):
    y_true, y_score = arrays
    for groups in (np.arange(400) // 5, np.arange(400) % 7, np.zeros(400), np.arange(400)):
        known = explored(tmp_path, y_true, y_score, groups=groups)
        for threshold in (0.02, 0.5, 0.99):
            options = {"groups": groups, "n_resamples": 0}
            report = multilabel_report(y_true, y_score, threshold, **options)
            for c, one in enumerate(known["classes"]):
                cut = np.searchsorted(list(map(number, one["threshold"])), threshold)
                if one["threshold"][cut] != threshold:  # beyond the scores
                    continue
                tp, fp = one["tp"][cut], one["fp"][cut]
                fn, tn = one["positives"] - tp, one["negatives"] - fp
                shares = {
                    "recall": (tp, tp + fn),
                    "precision": (tp, tp + fp),
                    "specificity": (tn, tn + fp),
                    "alarm_rate": (tp + fp, tp + fp + fn + tn),
                    "f1": (tp, tp + fp + fn),
                }
                for name, (part, whole) in shares.items():
                    worth = one["effective"][name.replace("alarm_rate", "alarms")][cut]
                    assert worth <= whole
                    interval = clopper_pearson(part / max(whole, 1) * worth, worth, 0.95)
                    if worth == 0:
                        interval = np.array([0.0, 1.0]) if whole else np.full(2, np.nan)
                    if name == "f1":
                        interval = f1_of_jaccard(interval)
                    expected = getattr(report, f"{name}_interval")[c]
                    np.testing.assert_allclose(interval, expected, atol=1e-4)


def test_given_thresholds_come_first_and_set_the_type(tmp_path, arrays):
    y_true, y_score = arrays
    tuned = find_optimal_thresholds(y_true, y_score.astype(np.float32), class_names=["a", "b", "c"])
    known = explored(tmp_path, y_true, y_score, thresholds=tuned)
    first = known["presets"][0]
    assert (first["name"], known["dtype"]) == ("File", "float32")
    assert [one["name"] for one in known["classes"]] == ["a", "b", "c"]
    with pytest.raises(InputError, match="disagree"):
        explored(tmp_path, y_true, y_score, thresholds=tuned, class_names=["c", "a", "b"])
    unnamed = find_optimal_thresholds(y_true[:, :2], y_score[:, :2])
    with pytest.raises(InputError, match="2 thresholds, 3 classes"):
        explored(tmp_path, y_true, y_score, thresholds=unnamed)


def test_real_scores_have_no_probability_presets(tmp_path, arrays):
    known = explored(tmp_path, arrays[0], 5 * arrays[1] - 2)
    assert [preset["name"] for preset in known["presets"]] == ["Exact", "Pooled", "Certified"]
    assert known["score_scale"] == "real"
    assert -1.0 in map(number, known["classes"][0]["threshold"])


def test_classes_of_one_kind_and_a_single_row(tmp_path):
    known = explored(tmp_path, [[1, 0, np.nan]], [[0.3, 0.3, 0.3]])
    for one, positives in zip(known["classes"], (1, 0, 0), strict=True):
        assert one["positives"] == positives
        assert one["auroc"] is None
        assert number(one["threshold"][-1]) == np.inf


NASTY = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "a \"quoted\" & 'named' \\ class",
    "{{script}} {{data}}",
    "глаз 👁\u2028\u2029",
]


def test_names_are_data_whatever_they_hold(tmp_path):
    rng = np.random.default_rng(0)
    y_true, y_score = rng.integers(0, 2, (30, 5)), rng.random((30, 5))
    known = explored(tmp_path, y_true, y_score, class_names=NASTY, source="</title>{{data}}<b>")
    assert [one["name"] for one in known["classes"]] == NASTY
    text = (tmp_path / "explorer.html").read_text(encoding="utf-8")
    assert "<title>Thresholds of &lt;/title&gt;{{data}}&lt;b&gt;</title>" in text
    assert text.count("<script") == 3
    assert "alert(1)<" not in text


def test_the_page_holds_its_library_with_the_licence_and_no_address_to_load(tmp_path, arrays):
    explored(tmp_path, *arrays)
    text = (tmp_path / "explorer.html").read_text(encoding="utf-8")
    assert "Permission is hereby granted" in text
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", text)
    assert "not a medical device" in text.lower()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_recall": 1.0}, "min_recall"),
        ({"confidence": 1.5}, "confidence"),
        ({"class_names": ["a"]}, "class names"),
        ({"groups": [1, 2]}, "groups"),
    ],
)
def test_bad_options_are_refused(tmp_path, arrays, options, message):
    with pytest.raises(InputError, match=message):
        write_explorer(tmp_path / "explorer.html", *arrays, **options)
    assert not any(tmp_path.iterdir())


def test_no_rows_are_refused(tmp_path):
    with pytest.raises(InputError, match="no rows"):
        write_explorer(tmp_path / "explorer.html", np.empty((0, 2)), np.empty((0, 2)))


def test_the_command_reads_a_file_and_a_run_folder(tmp_path, arrays, capsys):
    y_true, y_score = arrays
    run = tmp_path / "run"
    run.mkdir()
    names, patients = np.array(["a", "b", "c"]), np.array([f"p{i // 2}" for i in range(400)])
    file = run / "predictions_val.npz"
    np.savez(file, y_true=y_true, y_score=y_score, class_names=names, patients=patients)
    output = tmp_path / "explorer.html"
    assert main(["explore", str(file), "-o", str(output), "--min-recall", "0.5"]) == 0
    assert str(output) in capsys.readouterr().out
    known = embedded(output)
    assert known["source"] == "predictions_val.npz"
    assert (known["patients"], known["floors"][known["floor"]]) == (None, 0.5)

    tuned = find_optimal_thresholds(y_true, y_score, class_names=names, min_recall=0.3)
    tuned.save(run / "thresholds.json")
    assert main(["explore", str(run), "-o", str(output)]) == 0
    known = embedded(output)
    assert (known["source"], known["patients"]) == ("run/predictions_val.npz", 200)
    assert known["presets"][0]["file"] == tuned.to_dict()

    assert main(["explore", str(tmp_path), "-o", str(output)]) == 2
    assert "predictions_val.npz: no such file" in capsys.readouterr().err


def test_a_hundred_classes_stay_under_five_megabytes(tmp_path):
    # Scores that are all distinct and long in their decimals, as the largest files have them.
    rng = np.random.default_rng(0)
    y_true = rng.random((3000, 100)) < 0.3
    y_score = rng.random(y_true.shape) * 0.7 + 0.3 * y_true
    known = explored(tmp_path, y_true, y_score, groups=np.arange(3000) // 10)
    assert max(len(one["threshold"]) for one in known["classes"]) <= 450
    size = (tmp_path / "explorer.html").stat().st_size
    assert size < 5e6
