"""The report against a Python loop, scikit-learn, and resamples that are spelled out."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from mlthresh import InputError, find_optimal_thresholds, multilabel_report
from mlthresh._bootstrap import bias_corrected_interval, row_multiplicities

RATES = ("prevalence", "alarm_rate", "recall", "specificity", "precision")
RESAMPLED = (
    *("macro_recall", "macro_precision", "macro_f1", "macro_auroc"),
    *("micro_recall", "micro_precision", "micro_f1"),
)
nan = math.nan


def sample(n_samples=300, prevalences=(0.4, 0.1, 0.03), seed=0, dtype=np.float64):
    """Draw labels, and scores with ties that rank positives higher."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_samples, len(prevalences))) < prevalences).astype(np.int64)
    y_score = 1 / (1 + np.exp(1.0 - rng.normal(size=y_true.shape) - 1.5 * y_true))
    return y_true, y_score.round(2).astype(dtype)


def divide(part, whole):
    return part / whole if whole else nan


def loop(y_true, y_score, thresholds):
    """Return each class's figures, counted one entry at a time."""
    figures = []
    for c, threshold in enumerate(thresholds):
        counts = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
        for label, score in zip(y_true[:, c], y_score[:, c], strict=True):
            if not math.isnan(label):
                called = score >= threshold
                counts[("t" if called == label else "f") + ("p" if called else "n")] += 1
        tp, fp, fn, tn = counts.values()
        figures.append(
            {
                **counts,
                "support": tp + fn,
                "n_known": tp + fp + fn + tn,
                "prevalence": divide(tp + fn, tp + fp + fn + tn),
                "alarm_rate": divide(tp + fp, tp + fp + fn + tn),
                "recall": divide(tp, tp + fn),
                "specificity": divide(tn, tn + fp),
                "precision": divide(tp, tp + fp),
                "f1": divide(2 * tp, 2 * tp + fp + fn),
            }
        )
    return figures


def mean_of(values, undefined):
    values = [0.0 if math.isnan(v) and undefined == "zero" else v for v in values]
    values = [v for v in values if not math.isnan(v)]
    return divide(sum(values), len(values))


@st.composite
def problems(draw):
    n_samples, n_classes = draw(st.integers(1, 10)), draw(st.integers(1, 4))
    shape = (n_samples, n_classes)
    y_true = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0, nan])))
    y_true[0, 0] = draw(st.sampled_from([0.0, 1.0]))  # some label is known
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    y_score = draw(hnp.arrays(dtype, shape, elements=st.sampled_from([0, 0.25, 0.5, 0.75, 1])))
    levels = st.sampled_from([0.25, 0.5, 0.6, 1.0, math.inf])
    thresholds = draw(hnp.arrays(np.float64, n_classes, elements=levels))
    return y_true, y_score, thresholds


@given(problems(), st.sampled_from(["omit", "zero"]))
def test_figures_are_those_of_a_loop(problem, undefined):
    y_true, y_score, thresholds = problem
    report = multilabel_report(y_true, y_score, thresholds, undefined=undefined, n_resamples=0)
    figures = loop(y_true, y_score, thresholds)
    for name in figures[0]:
        expected = [one[name] for one in figures]
        np.testing.assert_allclose(getattr(report, name), expected, rtol=1e-12, err_msg=name)
    for name in ("recall", "precision", "f1"):
        expected = mean_of([one[name] for one in figures], undefined)
        assert getattr(report, f"macro_{name}") == pytest.approx(expected, nan_ok=True), name
    tp, fp, fn, tn = (sum(one[name] for one in figures) for name in ("tp", "fp", "fn", "tn"))
    micro = {
        "micro_recall": divide(tp, tp + fn),
        "micro_precision": divide(tp, tp + fp),
        "micro_f1": divide(2 * tp, 2 * tp + fp + fn),
    }
    for name, value in micro.items():
        expected = mean_of([value], undefined)
        assert getattr(report, name) == pytest.approx(expected, nan_ok=True), name
    assert report.accuracy == pytest.approx((tp + tn) / (tp + fp + fn + tn))
    assert report.accuracy_predicting_nothing == pytest.approx((fp + tn) / (tp + fp + fn + tn))
    assert report.n_with_support == sum(one["support"] > 0 for one in figures)
    assert report.n_learned == sum(one["f1"] > 0 for one in figures)


@given(problems())
def test_undefined_figures_are_nan_and_have_no_interval(problem):
    y_true, y_score, thresholds = problem
    report = multilabel_report(y_true, y_score, thresholds, n_resamples=0)
    for name in (*RATES, "f1", "auroc"):
        value, interval = getattr(report, name), getattr(report, f"{name}_interval")
        defined = ~np.isnan(value)
        np.testing.assert_array_equal(np.isnan(interval), np.stack([~defined] * 2, axis=1))
        lower, upper = interval[defined].T
        assert (lower >= 0).all(), name
        assert (lower <= value[defined] + 1e-12).all(), name
        assert (value[defined] <= upper + 1e-12).all(), name
        assert (upper <= 1).all(), name
    one_kind = (report.support == 0) | (report.support == report.n_known)
    np.testing.assert_array_equal(np.isnan(report.auroc), one_kind)
    np.testing.assert_array_equal(np.isnan(report.average_precision), report.support == 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("prevalences", [(0.4, 0.1, 0.03), (0.004, 0.5), (0.3,)])
def test_parity_with_scikit_learn(prevalences, dtype):
    y_true, y_score = sample(prevalences=prevalences, seed=4, dtype=dtype)
    if len(prevalences) == 2:
        y_true[:, 0] = 0
        y_true[7, 0] = 1  # a single positive
    threshold = y_score.dtype.type(0.6)
    y_pred = y_score >= threshold
    report = multilabel_report(y_true, y_score, 0.6, undefined="zero", n_resamples=0)
    for function, name in (
        (f1_score, "f1"),
        (precision_score, "precision"),
        (recall_score, "recall"),
    ):
        # One column is a binary problem to scikit-learn unless the labels are named.
        columns = list(range(y_true.shape[1])) if y_true.shape[1] > 1 else [1]
        options = {"zero_division": 0, "labels": columns}
        per_class = function(y_true, y_pred, average=None, **options)
        np.testing.assert_allclose(np.nan_to_num(getattr(report, name)), per_class)
        for average in ("macro", "micro"):
            expected = function(y_true, y_pred, average=average, **options)
            assert getattr(report, f"{average}_{name}") == pytest.approx(expected)
    for function, name in (
        (roc_auc_score, "auroc"),
        (average_precision_score, "average_precision"),
    ):
        expected = [function(y_true[:, c], y_score[:, c]) for c in range(y_true.shape[1])]
        np.testing.assert_allclose(getattr(report, name), expected, rtol=1e-12)
        assert getattr(report, f"macro_{name}") == pytest.approx(np.mean(expected))
    assert report.subset_accuracy == pytest.approx(accuracy_score(y_true, y_pred))
    nothing = accuracy_score(y_true, np.zeros_like(y_true))
    assert report.subset_accuracy_predicting_nothing == pytest.approx(nothing)


def test_class_intervals_are_exact_binomial():
    y_true, y_score = sample()
    report = multilabel_report(y_true, y_score, 0.5, confidence=0.9, n_resamples=0)
    parts = {
        "prevalence": (report.support, report.n_known),
        "alarm_rate": (report.tp + report.fp, report.n_known),
        "recall": (report.tp, report.support),
        "specificity": (report.tn, report.tn + report.fp),
        "precision": (report.tp, report.tp + report.fp),
    }
    for name, (part, whole) in parts.items():
        for c in range(report.n_classes):
            expected = stats.binomtest(int(part[c]), int(whole[c])).proportion_ci(0.9)
            np.testing.assert_allclose(getattr(report, f"{name}_interval")[c], expected, rtol=1e-7)
    union = report.tp + report.fp + report.fn
    for c in range(report.n_classes):
        jaccard = np.array(stats.binomtest(int(report.tp[c]), int(union[c])).proportion_ci(0.9))
        np.testing.assert_allclose(report.f1_interval[c], 2 * jaccard / (1 + jaccard), rtol=1e-7)


@pytest.mark.parametrize("undefined", ["omit", "zero"])
def test_intervals_of_averages_come_from_reports_on_resampled_rows(undefined):
    y_true, y_score = sample(40, prevalences=(0.4, 0.05, 0.02), seed=3)
    y_true = y_true.astype(float)
    y_true[::7, 1] = nan
    thresholds = [0.4, 0.7, math.inf]
    options = {"undefined": undefined, "confidence": 0.8}
    report = multilabel_report(y_true, y_score, thresholds, n_resamples=60, rng=5, **options)
    multiplicity = np.concatenate(
        list(row_multiplicities(40, 60, np.random.default_rng(5))), axis=1
    )
    resampled = []
    for resample in range(60):
        rows = np.repeat(np.arange(40), multiplicity[:, resample].astype(int))
        resampled.append(
            multilabel_report(y_true[rows], y_score[rows], thresholds, n_resamples=0, **options)
        )
    for name in RESAMPLED:
        values = np.array([getattr(one, name) for one in resampled])
        expected = bias_corrected_interval(getattr(report, name), values, 0.8)
        np.testing.assert_allclose(getattr(report, f"{name}_interval"), expected, err_msg=name)


def test_intervals_of_averages_cover_the_population():
    # Three classes of normal scores at fixed thresholds, so that the truth is known.
    prevalence, shift, threshold = np.array([0.3, 0.2, 0.1]), 1.5, np.array([0.7, 0.9, 1.2])
    tp, fp = (
        prevalence * stats.norm.sf(threshold - shift),
        (1 - prevalence) * stats.norm.sf(threshold),
    )
    truth = {
        "macro_f1": np.mean(2 * tp / (tp + fp + prevalence)),
        "macro_auroc": stats.norm.cdf(shift / np.sqrt(2)),
        "micro_f1": 2 * tp.sum() / (tp + fp + prevalence).sum(),
    }
    covered = dict.fromkeys(truth, 0)
    rng = np.random.default_rng(0)
    for _ in range(200):
        y_true = rng.random((300, 3)) < prevalence
        y_score = rng.normal(size=(300, 3)) + shift * y_true
        report = multilabel_report(y_true, y_score, threshold, confidence=0.9, n_resamples=200)
        for name, value in truth.items():
            lower, upper = getattr(report, f"{name}_interval")
            covered[name] += lower <= value <= upper
    assert min(covered.values()) >= 0.84 * 200, covered
    assert max(covered.values()) <= 0.96 * 200, covered


def test_the_seed_decides():
    y_true, y_score = sample()

    def interval(rng):
        return multilabel_report(y_true, y_score, 0.5, n_resamples=50, rng=rng).macro_f1_interval

    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert interval(None) == interval(0) == interval(np.random.default_rng(0))
    assert interval(1) != interval(0)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_without_resamples_averages_have_no_interval():
    report = multilabel_report(*sample(), 0.5, n_resamples=0)
    assert all(np.isnan(getattr(report, f"{name}_interval")).all() for name in RESAMPLED)
    assert report.macro_f1 > 0


def test_references_are_what_such_a_caller_gets():
    y_true, _ = sample(4000)
    p = y_true.mean(axis=0)
    report = multilabel_report(y_true, np.ones(y_true.shape), 0.5, n_resamples=0)
    assert report.macro_f1 == pytest.approx(report.macro_f1_all_positive)
    assert report.macro_f1_all_positive == pytest.approx(np.mean(2 * p / (1 + p)))
    assert report.macro_f1_chance == pytest.approx(p.mean())
    rng = np.random.default_rng(1)
    calls = [rng.random(y_true.shape) < p for _ in range(50)]
    chance = [multilabel_report(y_true, call, 1, n_resamples=0).macro_f1 for call in calls]
    assert np.mean(chance) == pytest.approx(report.macro_f1_chance, rel=0.02)
    nothing = multilabel_report(y_true, np.zeros(y_true.shape), 0.5, n_resamples=0)
    assert nothing.accuracy == nothing.accuracy_predicting_nothing == 1 - y_true.mean()
    assert nothing.macro_f1 == 0
    assert nothing.n_learned == 0


def test_degenerate_classes():
    # Columns: positives and never called, alarms without positives, neither, all positive.
    y_true = np.array([[1, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 1]])
    y_score = np.array([[0.1, 0.9, 0.1, 0.9], [0.2, 0.1, 0.1, 0.9], [0.3, 0.1, 0.1, 0.1]])
    report = multilabel_report(y_true, y_score, 0.5, n_resamples=0)
    np.testing.assert_array_equal(report.f1, [0, 0, nan, 0.8])
    np.testing.assert_array_equal(report.recall, [0, nan, nan, 2 / 3])
    np.testing.assert_array_equal(report.precision, [nan, 0, nan, 1])
    np.testing.assert_array_equal(report.specificity, [1, 2 / 3, 1, nan])
    np.testing.assert_array_equal(report.auroc, [0.5, nan, nan, nan])
    assert report.macro_f1 == pytest.approx(0.8 / 3)
    zero = multilabel_report(y_true, y_score, 0.5, undefined="zero", n_resamples=0)
    assert zero.macro_f1 == pytest.approx(0.2)
    assert zero.macro_recall == pytest.approx((2 / 3) / 4)
    assert zero.macro_auroc == 0.5
    assert zero.macro_f1_chance == pytest.approx((2 / 3 + 1) / 4)
    assert report.macro_f1_chance == pytest.approx((2 / 3 + 1) / 3)


def test_nothing_defined_at_all():
    report = multilabel_report(np.zeros((4, 2)), np.zeros((4, 2)), math.inf)
    for name in RESAMPLED:
        assert np.isnan(getattr(report, name))
        assert np.isnan(getattr(report, f"{name}_interval")).all()
    assert np.isnan(report.macro_f1_chance)
    zero = multilabel_report(np.zeros((4, 2)), np.zeros((4, 2)), math.inf, undefined="zero")
    assert zero.macro_f1 == zero.micro_f1 == 0


def test_missing_labels_leave_a_class_figures():
    y_true, y_score = sample()
    missing = y_true.astype(float)
    missing[:100, 1] = nan
    report = multilabel_report(missing, y_score, 0.5, n_resamples=0)
    kept = multilabel_report(y_true[100:, [1]], y_score[100:, [1]], 0.5, n_resamples=0)
    full = multilabel_report(y_true, y_score, 0.5, n_resamples=0)
    for name in (*RATES, "f1", "auroc", "average_precision", "support", "n_known"):
        assert getattr(report, name)[1] == getattr(kept, name)[0]
        np.testing.assert_array_equal(getattr(report, name)[[0, 2]], getattr(full, name)[[0, 2]])
    assert np.isnan(report.subset_accuracy)
    assert not np.isnan(full.subset_accuracy)


@pytest.mark.parametrize("given", [0.7, np.float64(0.7), [0.7, 0.7], np.array([0.7, 0.7])])
def test_a_threshold_is_compared_in_the_scores_own_type(given):
    y_score = np.full((2, 2), 0.7, dtype=np.float32)  # less than the float64 0.7
    report = multilabel_report(np.ones((2, 2)), y_score, given, n_resamples=0)
    assert report.threshold.dtype == np.float32
    np.testing.assert_array_equal(report.recall, 1.0)


def test_a_threshold_beyond_the_scores_type_is_never_reached():
    y_score = np.full((1, 1), np.finfo(np.float32).max)
    report = multilabel_report([[1]], y_score.astype(np.float32), 1e300, n_resamples=0)
    assert np.isposinf(report.threshold[0])
    assert report.fn[0] == 1


def test_a_threshold_set_brings_its_decisions_and_names():
    y_true, y_score = sample(dtype=np.float32)
    names = ("DR", "MH", "ODC")
    tuned = find_optimal_thresholds(y_true, y_score, class_names=names)
    report = multilabel_report(y_true, y_score.astype(np.float64), tuned, n_resamples=0)
    assert report.class_names == names
    np.testing.assert_array_equal(report.threshold, tuned.thresholds)
    np.testing.assert_array_equal(report.f1, tuned.f1)
    np.testing.assert_array_equal(report.support, tuned.support)
    with pytest.raises(InputError, match="class names disagree at column 1: 'GLA' and 'MH'"):
        multilabel_report(y_true, y_score, tuned, class_names=["DR", "GLA", "ODC"])
    with pytest.raises(InputError, match="2"):
        multilabel_report(y_true[:, :2], y_score[:, :2], tuned)


def test_tensors_and_frames_give_the_same_report():
    y_true, y_score = sample(dtype=np.float32)
    columns = ["DR", "MH", "ODC"]
    expected = multilabel_report(y_true, y_score, 0.5, class_names=columns, n_resamples=20)
    for convert in (
        lambda a: pd.DataFrame(a, columns=columns),
        lambda a: pl.DataFrame(a, schema=columns),
    ):
        found = multilabel_report(convert(y_true), convert(y_score), 0.5, n_resamples=20)
        assert found.to_json() == expected.to_json()
    scores = torch.from_numpy(y_score).requires_grad_()
    found = multilabel_report(
        torch.from_numpy(y_true), scores, torch.full((3,), 0.5), class_names=columns, n_resamples=20
    )
    assert found.to_json() == expected.to_json()
    rounded = torch.from_numpy(y_score).bfloat16()
    found = multilabel_report(torch.from_numpy(y_true), rounded, 0.5, n_resamples=0)
    expected = multilabel_report(y_true, rounded.float().numpy(), 0.5, n_resamples=0)
    np.testing.assert_array_equal(found.f1, expected.f1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": np.zeros((0, 2)), "y_score": np.zeros((0, 2))}, "no rows"),
        ({"y_true": np.zeros((3, 0)), "y_score": np.zeros((3, 0))}, "no columns"),
        ({"y_true": np.zeros(3)}, r"y_true must have shape .* got shape \(3,\)"),
        ({"y_score": np.zeros((3, 1))}, r"y_score has shape \(3, 1\)"),
        ({"y_true": np.full((3, 2), 2)}, r"y_true\[0, 0\] is 2"),
        ({"y_true": np.full((3, 2), nan)}, "every label"),
        ({"y_score": np.full((3, 2), nan)}, r"y_score\[0, 0\] is nan"),
        ({"y_score": np.full((3, 2), math.inf)}, r"y_score\[0, 0\] is inf"),
        ({"thresholds": nan}, "thresholds must not be NaN"),
        ({"thresholds": [0.5, nan]}, "thresholds must not be NaN"),
        ({"thresholds": [0.5, 0.5, 0.5]}, r"thresholds must be a number or have shape \(2,\)"),
        ({"class_names": ["a"]}, "1 class names for 2 classes"),
        ({"class_names": ["a", "a"]}, "more than once"),
        ({"undefined": "one"}, "undefined must be 'omit' or 'zero', got 'one'"),
        ({"confidence": 1.0}, r"confidence must lie between 0 and 1, got 1\.0"),
        ({"confidence": 95}, "confidence must lie between 0 and 1, got 95"),
        ({"n_resamples": -1}, "n_resamples must be a whole number >= 0, got -1"),
        ({"n_resamples": 1e3}, "n_resamples must be a whole number"),
    ],
)
def test_bad_input(change, message):
    arguments = {"y_true": np.eye(3)[:, :2], "y_score": np.eye(3)[:, :2], "thresholds": 0.5}
    with pytest.raises(InputError, match=message):
        multilabel_report(**(arguments | change))


def test_a_published_models_scores(data_dir):
    with np.load(data_dir / "ptbxl" / "ptbxl_exp0_xresnet1d101.npz") as file:
        y_true, y_score = file["y_test"], file["score_test"]
    report = multilabel_report(y_true, y_score, 0.5, undefined="zero", n_resamples=50)
    y_pred = y_score >= y_score.dtype.type(0.5)
    expected = f1_score(y_true, y_pred, average="macro", zero_division=0)
    assert report.macro_f1 == pytest.approx(expected)
    assert report.macro_f1_interval[0] < expected < report.macro_f1_interval[1]
    with_both = (report.support > 0) & (report.support < len(y_true))
    expected = roc_auc_score(y_true[:, with_both], y_score[:, with_both], average="macro")
    assert report.macro_auroc == pytest.approx(expected)
