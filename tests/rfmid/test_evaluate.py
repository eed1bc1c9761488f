from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from examples.rfmid.data.glossary import RFMID
from examples.rfmid.errors import RecipeError
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.scoring.calibration import calibration
from examples.rfmid.scoring.comparison import Rule, macro_f1_difference
from examples.rfmid.scoring.evaluate import evaluate
from examples.rfmid.scoring.subgroups import by_subgroup, in_bands
from mlthresh import FileFormatError, ThresholdSet, multilabel_report
from tests.rfmid.simulation import (
    CODES,
    choose_as_trained,
    simulate_labels,
    simulate_run,
    simulate_scores,
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = simulate_run(tmp_path / "run")
    choose_as_trained(run)
    return run


def naive_counts(y_true, y_score, threshold) -> tuple[int, int, int]:
    tp = fp = fn = 0
    for label, score in zip(y_true, y_score, strict=True):
        if np.isnan(label):
            continue
        alarm = score >= threshold
        tp += bool(alarm and label == 1)
        fp += bool(alarm and label == 0)
        fn += bool(not alarm and label == 1)
    return tp, fp, fn


def naive_f1(y_true, y_score, threshold) -> float:
    tp, fp, fn = naive_counts(y_true, y_score, threshold)
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def naive_recall(y_true, y_score, threshold) -> float:
    tp, _, fn = naive_counts(y_true, y_score, threshold)
    return tp / (tp + fn)


def naive_grid_threshold(y_true, y_score) -> np.float32:
    """The deck's loop, with both ends of the grid: the first of the best that keep the recall."""
    best, best_f1 = None, -1.0
    for step in range(17):
        threshold = np.float32(round(0.10 + 0.05 * step, 2))
        if threshold > np.float32(0.7) or naive_recall(y_true, y_score, threshold) < 0.3:
            continue
        f1 = naive_f1(y_true, y_score, threshold)
        if f1 > best_f1:
            best, best_f1 = threshold, f1
    assert best is not None
    return best


def by_key(result: dict) -> dict[str, dict]:
    return {rule["key"]: rule for rule in result["rules"]}


def test_the_rules_agree_with_naive_loops(folder: RunFolder) -> None:
    rules = by_key(evaluate(folder.path, n_resamples=20))
    val, test = (Predictions.load(folder.predictions(split)) for split in ("val", "test"))
    grid = [naive_grid_threshold(val.y_true[:, c], val.y_score[:, c]) for c in range(len(CODES))]
    assert rules["fixed"]["thresholds"] == [0.5] * len(CODES)
    assert rules["grid"]["thresholds"] == [float(t) for t in grid]
    assert rules["in_use"]["thresholds"] == rules["grid"]["thresholds"]
    for rule in rules.values():
        for split, predictions in (("val", val), ("test", test)):
            expected = [
                naive_f1(predictions.y_true[:, c], predictions.y_score[:, c], np.float32(t))
                for c, t in enumerate(rule["thresholds"])
            ]
            assert rule[split]["macro_f1"] == pytest.approx(np.mean(expected), abs=1e-12)
            low, high = rule[split]["macro_f1_interval"]
            assert low <= rule[split]["macro_f1"] <= high
    assert rules["exact"]["val"]["macro_f1"] >= rules["grid"]["val"]["macro_f1"]


def test_references_follow_from_the_prevalence(folder: RunFolder) -> None:
    result = evaluate(folder.path, n_resamples=0)
    test = by_key(result)["in_use"]["test"]
    labels = Predictions.load(folder.predictions("test")).y_true
    prevalence = labels.mean(axis=0, dtype=float)
    everything = np.mean(2 * prevalence / (1 + prevalence))
    assert test["macro_f1_all_positive"] == pytest.approx(everything)
    assert test["macro_f1_chance"] == pytest.approx(prevalence.mean())
    nothing = result["test"]["accuracy_predicting_nothing"]
    assert nothing == pytest.approx(1 - labels.mean(dtype=float))


def test_every_rule_is_scored_on_the_classes_with_test_positives(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels = {name: simulate_labels(150, 5, rng) for name in ("train", "val", "test")}
    labels["test"][:, 3] = 0  # its false alarms would count in one rule and not in another
    labels["test"][rng.random((150, 5)) < 0.1] = np.nan
    folder = simulate_run(tmp_path / "run", labels=labels)
    choose_as_trained(folder)
    result = evaluate(folder.path, n_resamples=0)
    test = Predictions.load(folder.predictions("test"))
    for rule in result["rules"]:
        assert rule["test"]["n_with_support"] == 4
        expected = [
            naive_f1(test.y_true[:, c], test.y_score[:, c], np.float32(rule["thresholds"][c]))
            for c in (0, 1, 2, 4)
        ]
        assert rule["test"]["macro_f1"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert result["test"]["classes"][3]["recall"] is None
    assert CODES[3] not in result["recall_floor"]["met_on_validation"]


def test_the_floor_is_checked_class_by_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = {
        name: simulate_labels(150, 12, rng, commonest=0.05) for name in ("train", "val", "test")
    }
    codes = tuple(RFMID)[:12]
    folder = simulate_run(tmp_path / "run", codes=codes, labels=labels)
    choose_as_trained(folder)
    result = evaluate(folder.path, n_resamples=0)
    val, test = (Predictions.load(folder.predictions(split)) for split in ("val", "test"))
    met, broken = [], {}
    for c, threshold in enumerate(by_key(result)["in_use"]["thresholds"]):
        t = np.float32(threshold)
        if naive_recall(val.y_true[:, c], val.y_score[:, c], t) >= 0.3:
            met.append(codes[c])
            recall = naive_recall(test.y_true[:, c], test.y_score[:, c], t)
            if recall < 0.3:
                broken[codes[c]] = pytest.approx(recall)
    assert broken, "the simulation should break the floor somewhere, else this shows nothing"
    assert result["recall_floor"]["met_on_validation"] == met
    found = {one["class"]: one["test_recall"] for one in result["recall_floor"]["broken_on_test"]}
    assert found == broken


def test_the_difference_is_paired(folder: RunFolder) -> None:
    result = evaluate(folder.path, n_resamples=200)
    rules, test = by_key(result), Predictions.load(folder.predictions("test"))
    in_use = ThresholdSet.load(folder.path / "thresholds.json")
    for key, one in result["against_half"].items():
        expected = rules[key]["test"]["macro_f1"] - rules["fixed"]["test"]["macro_f1"]
        assert one["macro_f1_difference"] == pytest.approx(expected)
        low, high = one["interval"]
        assert low <= one["macro_f1_difference"] <= high
    rule = Rule("in_use", "", in_use)
    same = macro_f1_difference(test, rule, rule)
    assert same == {"macro_f1_difference": 0.0, "interval": [0.0, 0.0]}
    assert macro_f1_difference(test, rule, rule, n_resamples=0)["interval"] == [None, None]


def test_the_file_is_strict_json_and_repeatable(folder: RunFolder) -> None:
    result = evaluate(folder.path, n_resamples=50)
    first = (folder.path / "evaluation.json").read_text("utf-8")
    assert json.loads(first, parse_constant=pytest.fail) == result
    evaluate(folder.path, n_resamples=50)
    assert (folder.path / "evaluation.json").read_text("utf-8") == first


def test_the_summary_names_what_matters(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(folder.path, n_resamples=20)
    printed = capsys.readouterr().out
    for text in (
        "apparent",
        "0.5 on raw scores",
        "every class in every image",
        "at random",
        "macro-AUROC",
        "calling nothing",
        "broken on test",
    ):
        assert text in printed


def test_nothing_is_certified_by_data_that_chose(folder: RunFolder) -> None:
    certified = evaluate(folder.path, n_resamples=0)["certified"]
    assert certified["classes"] == []
    assert "set aside" in certified["why_not"]


def test_recall_is_certified_by_patients_set_aside(tmp_path: Path) -> None:
    folder = simulate_run(tmp_path / "run", n_patients=50)
    choose_as_trained(folder)
    rng = np.random.default_rng(5)
    labels = simulate_labels(90, len(CODES), rng)
    aside = Predictions(
        ids=tuple(f"aside_{i}" for i in range(90)),
        class_names=CODES,
        y_true=labels,
        y_score=simulate_scores(labels, rng),
        patients=tuple(str(i // 3) for i in range(90)),
    )
    aside.save(folder.predictions("certify"))
    result = evaluate(folder.path, n_resamples=0)["certified"]
    assert (result["n_images"], result["n_patients"], result["why_not"]) == (90, 30, None)
    thresholds = ThresholdSet.load(folder.path / "thresholds.json").thresholds
    for c, one in enumerate(result["classes"]):
        patients: dict[str, bool] = {}
        for i in np.flatnonzero(labels[:, c] == 1):
            called = bool(aside.y_score[i, c] >= thresholds[c])
            name = str(i // 3)
            patients[name] = patients.get(name, True) and called
        found, n = sum(patients.values()), len(patients)
        assert (one["found"], one["with_disease"]) == (found, n)
        # the smallest recall under which so many are found with a probability above 10 %
        bound = one["recall_at_least"]
        assert binom.sf(found - 1, n, bound) == pytest.approx(0.1) if found else bound == 0


def test_calibration_against_a_naive_loop(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    y_score = rng.random((200, 2)) ** 2
    y_true = (rng.random((200, 2)) < y_score).astype(np.float32)
    y_true[:17, 1] = np.nan
    logits = rng.normal(size=(200, 2)).astype(np.float32)
    test = Predictions(tuple(map(str, range(200))), ("a", "b"), y_true, y_score, y_logit=logits)
    found = calibration(test)
    for scores, result in ((y_score, found["probability"]), (test.y_sigmoid, found["raw"])):
        errors, losses = [], []
        for c in range(2):
            rows = [i for i in range(200) if not np.isnan(y_true[i, c])]
            rows.sort(key=lambda i: scores[i, c])
            bins = np.array_split(rows, 10)
            errors.append(
                sum(abs(sum(scores[i, c] - y_true[i, c] for i in part)) for part in bins)
                / len(rows)
            )
            losses += [-np.log(scores[i, c] if y_true[i, c] else 1 - scores[i, c]) for i in rows]
        assert result["macro_error"] == pytest.approx(np.mean(errors))
        assert result["log_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["observed"][1] == pytest.approx(np.nanmean(y_true[:, 1]))
    assert found["probability"]["macro_error"] < found["raw"]["macro_error"]


def test_subgroups_are_measured_by_themselves(folder: RunFolder) -> None:
    test = Predictions.load(folder.predictions("test"))
    n = len(test.ids)
    thresholds = ThresholdSet.load(folder.path / "thresholds.json")
    columns = {"Sex": tuple("fm f"[k % 4].strip() for k in range(n)), "Site": ("x",) * n}
    test = replace(test, subgroups=columns, patients=tuple(str(k // 2) for k in range(n)))
    test.save(folder.predictions("test"))
    assert Predictions.load(folder.predictions("test")).subgroups == columns
    found = by_subgroup(test, thresholds, 20)
    assert set(found["left_out"]) == {"Site"}
    parts = {part["value"]: part for part in found["variables"]["Sex"]}
    assert list(parts) == ["f", "m", "unknown"]
    for value, part in parts.items():
        cell = "" if value == "unknown" else value
        rows = test.rows(np.flatnonzero(np.array(columns["Sex"]) == cell))
        assert rows.subgroups["Sex"] == (cell,) * len(rows.ids)
        alone = multilabel_report(
            rows.y_true, rows.y_score, thresholds, groups=rows.patients, n_resamples=0
        )
        assert part["n_images"] == len(rows.ids)
        assert part["n_patients"] == len(set(rows.patients or ()))
        assert part["micro_recall"] == pytest.approx(alone.micro_recall)
        assert [one["support"] for one in part["classes"]] == alone.support.tolist()
    many = replace(test, subgroups={"Site": tuple(f"site {k}" for k in range(n))})
    assert "200 different values" in by_subgroup(many, thresholds, 0)["left_out"]["Site"]


def test_numbers_are_cut_at_their_quartiles() -> None:
    ages = [str(a) for a in np.random.default_rng(0).integers(18, 95, 400)]
    bands = in_bands([*ages, "", "nan"])
    assert bands[-2:] == ["", ""]
    assert len(set(bands)) == 5
    for label in set(bands) - {""}:
        low, high = (float(end) for end in label.split(": ")[1].split(" to "))
        inside = [float(age) for age, band in zip(ages, bands, strict=False) if band == label]
        assert (min(inside), max(inside)) == (low, high)
        assert 80 <= len(inside) <= 120
    assert in_bands(["1"] * 90 + [str(k) for k in range(10)])[0] == "2: 1 to 9"


def test_intervals_take_patients_for_the_units(folder: RunFolder) -> None:
    """Every image twice, as two of one patient, says no more than every image once."""
    test = Predictions.load(folder.predictions("test"))
    once = evaluate(folder.path, n_resamples=200)
    index = np.repeat(np.arange(len(test.ids)), 2)
    twice = replace(test.rows(index), patients=tuple(f"{k:03d}" for k in index))
    twice.save(folder.predictions("test"))
    again = evaluate(folder.path, n_resamples=200)
    replace(twice, patients=None).save(folder.predictions("test"))
    naive = evaluate(folder.path, n_resamples=200)

    def width(result, key) -> float:
        low, high = result["against_half"][key]["interval"]
        return high - low

    assert again["n_patients"]["test"] == len(test.ids)
    assert again["against_half"] == once["against_half"]
    assert width(naive, "exact") < 0.9 * width(once, "exact")
    for one, other, narrow in zip(
        *(r["test"]["classes"] for r in (once, again, naive)), strict=True
    ):
        for figure in ("recall_interval", "auroc_interval"):
            (low, high), (low_again, high_again) = one[figure], other[figure]
            assert high_again - low_again > 0.85 * (high - low)
            assert narrow[figure][1] - narrow[figure][0] < high - low


def test_a_class_without_validation_positives_is_never_called(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    labels = {name: simulate_labels(120, 3, rng) for name in ("train", "val", "test")}
    labels["val"][:, 2] = 0
    folder = simulate_run(tmp_path / "run", codes=CODES[:3], labels=labels)
    choose_as_trained(folder)
    rules = by_key(evaluate(folder.path, n_resamples=0))
    assert rules["exact"]["thresholds"][2] == "inf"
    assert rules["exact"]["test"]["n_with_support"] == 3


def test_missing_files_name_the_step_that_writes_them(tmp_path: Path) -> None:
    folder = simulate_run(tmp_path / "run")
    with pytest.raises(RecipeError, match=r"thresholds\.json doesn't exist: run tune"):
        evaluate(folder.path)
    folder.predictions("test").unlink()
    with pytest.raises(RecipeError, match=r"predictions_test\.npz.*train"):
        evaluate(folder.path)


def test_thresholds_of_other_classes_are_named(folder: RunFolder) -> None:
    path = folder.path / "thresholds.json"
    thresholds = ThresholdSet.load(path)
    thresholds.select(CODES[1:]).save(path)
    with pytest.raises(RecipeError, match=r"none too many, DR missing"):
        evaluate(folder.path)
    thresholds.select(CODES[::-1]).save(path)
    with pytest.raises(RecipeError, match="another order"):
        evaluate(folder.path)
    assert not (folder.path / "evaluation.json").exists()


def test_predictions_of_other_classes_are_named(folder: RunFolder, tmp_path: Path) -> None:
    other = simulate_run(tmp_path / "other", codes=("DR", "CL"))
    folder.predictions("test").write_bytes(other.predictions("test").read_bytes())
    with pytest.raises(RecipeError, match="other classes.*DR, CL"):
        evaluate(folder.path)


def test_a_split_without_disease_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    labels = {name: simulate_labels(60, 2, rng) for name in ("train", "val", "test")}
    labels["test"][:] = 0
    folder = simulate_run(tmp_path / "run", codes=CODES[:2], labels=labels)
    choose_as_trained(folder)
    with pytest.raises(RecipeError, match="no test image"):
        evaluate(folder.path)


@pytest.mark.parametrize("name", ["predictions_val.npz", "predictions_test.npz", "thresholds.json"])
def test_truncated_files_are_refused(folder: RunFolder, name: str) -> None:
    path = folder.path / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises((RecipeError, FileFormatError), match=name):
        evaluate(folder.path)


def test_tuning_and_evaluating_load_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys, examples.rfmid.scoring.tune, examples.rfmid.scoring.evaluate;"
        "print(sorted({'torch', 'torchvision', 'matplotlib'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run(  # our own interpreter and code
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "[]", run.stderr
