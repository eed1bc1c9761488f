"""Displays: the numbers behind the pictures, what is drawn of them, and where."""

from __future__ import annotations

import math
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from mlthresh import (
    CoOccurrenceDisplay,
    ForestDisplay,
    ImbalanceDisplay,
    InputError,
    OperatingPointDisplay,
    ThresholdDisplay,
    find_optimal_thresholds,
    imbalance_report,
    multilabel_report,
)
from mlthresh._intervals import clopper_pearson, f1_interval
from mlthresh.certify import largest_rank
from mlthresh.plotting._one_class import thinned

NAN = math.nan
NAMES = ["DR", "MH", "RPEC"]


@pytest.fixture(autouse=True)
def without_pyplot(monkeypatch):
    """Another test may have imported it; it would then keep every figure that is drawn here."""
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)


def predictions(n_rows=200, *, seed=0, missing=0.1, dtype=np.float32):
    """Return labels of three classes, some missing and the last rare, and informative scores."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_rows, 3)) < [0.3, 0.2, 0.04]).astype(float)
    y_score = (1 / (1 + np.exp(1 - rng.normal(2 * y_true)))).round(2).astype(dtype)
    y_true[rng.random(y_true.shape) < missing] = NAN
    return y_true, y_score


def brute_counts(y_true, y_score, threshold):
    called = y_score >= threshold
    return [int((called & (y_true == label)).sum()) for label in (1, 0)]


def drawn_texts(axes):
    return [text.get_text() for text in axes.texts]


def labels_of(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def render(display):
    """Draw for good: layout and text raise or warn here if they ever do."""
    display.figure_.canvas.draw()


# Curves


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([np.float32, np.float64]))
def test_curves_hold_the_counts_of_every_threshold(seed, n_rows, dtype):
    y_true, y_score = predictions(n_rows, seed=seed, dtype=dtype)
    y_true[0, 0] = 1
    display = ThresholdDisplay.from_predictions(y_true, y_score, class_of_interest=0, band=None)
    for threshold in [-1.0, *np.linspace(0, 1, 23).astype(dtype), *y_score[:, 0], 2.0, np.inf]:
        tp, fp = brute_counts(y_true[:, 0], y_score[:, 0], threshold)
        i = display.thresholds.searchsorted(threshold)
        n = display.n_positive
        found = display.recall[i], display.precision[i], display.f1[i]
        expected = tp / n, tp / (tp + fp) if tp + fp else NAN, 2 * tp / (tp + fp + n)
        np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_curves_are_scikit_learns():
    y_true, y_score = predictions(missing=0)
    display = OperatingPointDisplay.from_predictions(y_true, y_score, class_of_interest=1)
    label, score = y_true[:, 1], y_score[:, 1]
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    np.testing.assert_allclose(display.fpr, fpr, atol=1e-15)
    np.testing.assert_allclose(display.recall, tpr, atol=1e-15)
    precision, recall, _ = precision_recall_curve(label, score)
    np.testing.assert_allclose(display.precision[:0:-1], precision[:-1], atol=1e-15)
    np.testing.assert_allclose(display.recall[::-1], recall, atol=1e-15)
    assert display.average_precision == pytest.approx(average_precision_score(label, score))


def test_figures_beside_the_curves_are_the_reports():
    y_true, y_score = predictions()
    report = multilabel_report(y_true, y_score, 0.4, n_resamples=0)
    for c in range(3):
        display = OperatingPointDisplay.from_predictions(
            y_true, y_score, 0.4, class_of_interest=c, kind="roc"
        )
        assert display.auroc == pytest.approx(report.auroc[c])
        assert display.auroc_interval == pytest.approx(tuple(report.auroc_interval[c]))
        assert display.average_precision == pytest.approx(report.average_precision[c])
        point = display.points["operating point"]
        assert point.recall == report.recall[c]
        assert point.precision == report.precision[c]
        assert point.fpr == pytest.approx(1 - report.specificity[c])
        np.testing.assert_array_equal(point.recall_interval, report.recall_interval[c])
        np.testing.assert_array_equal(point.precision_interval, report.precision_interval[c])
        specificity = 1 - report.specificity_interval[c][::-1]
        np.testing.assert_allclose(point.fpr_interval, specificity, atol=1e-12)


def test_a_rate_is_drawn_from_the_score_below_up_to_its_own():
    y_true, y_score = np.array([[0], [1], [0], [1]]), np.array([[1.0], [2.0], [4.0], [8.0]])
    display = ThresholdDisplay.from_predictions(y_true, y_score)
    (recall,) = (line for line in display.ax_.lines if line.get_label() == "recall")
    assert recall.get_drawstyle() == "steps-pre"
    left, right = display.ax_.get_xlim()
    assert recall.get_xdata().tolist() == [left, 1, 2, 4, 8, right]
    assert recall.get_ydata().tolist() == [1, 1, 1, 0.5, 0.5, 0]


def test_short_curves_are_whole():
    x = np.arange(4000.0)
    assert thinned(x, [x], []).tolist() == list(range(4000))


@pytest.mark.parametrize("spread", ["even", "crowded", "falling"])
def test_long_curves_keep_what_a_picture_shows(spread):
    rng = np.random.default_rng(0)
    n = 100_000
    x = np.sort(rng.random(n) if spread == "even" else rng.lognormal(sigma=3, size=n))
    x[-1] = math.inf
    if spread == "falling":
        x = x[::-1].copy()
    curves = [rng.random(n), np.append(NAN, rng.normal(size=n - 1)), np.linspace(0, 1, n)]
    index = thinned(x, curves, [777, 12_345])
    assert len(index) < 20_000
    assert {0, 777, 12_345, n - 1} <= set(index)
    finite = np.where(np.isinf(x), np.delete(x, np.isinf(x)).max(), x)
    column = ((finite - finite.min()) / np.ptp(finite) * 1000).astype(int)
    for curve in curves[::2]:  # each of 1000 columns of pixels spans the same heights
        whole, kept = np.full((2, 1001), -np.inf), np.full((2, 1001), -np.inf)
        for sign, row in ((1, 0), (-1, 1)):
            np.maximum.at(whole[row], column, sign * curve)
            np.maximum.at(kept[row], column[index], sign * curve[index])
        np.testing.assert_array_equal(kept, whole)


def test_thinning_moves_no_point():
    rng = np.random.default_rng(0)
    y_true = rng.random((50_000, 1)) < 0.01
    y_score = rng.normal(2.0 * y_true)
    display = ThresholdDisplay.from_predictions(y_true, y_score, 1.2345, band=None)
    assert len(display.thresholds) < 10_000
    for i in [0, display.chosen, *rng.integers(len(display.thresholds), size=20)]:
        tp, fp = brute_counts(y_true, y_score, display.thresholds[i])
        assert display.recall[i] == tp / y_true.sum()
        assert display.f1[i] == 2 * tp / (tp + fp + y_true.sum())
    tp, fp = brute_counts(y_true, y_score, 1.2345)
    assert display.precision[display.chosen] == tp / (tp + fp)


# The chosen threshold and what was allowed


@pytest.mark.parametrize("strategy", ["exact", "pooled", "grid"])
def test_the_chosen_point_is_what_the_search_reached(strategy):
    y_true, y_score = predictions()
    found = find_optimal_thresholds(y_true, y_score, class_names=NAMES, strategy=strategy)
    for c, name in enumerate(NAMES):
        display = ThresholdDisplay.from_predictions(
            y_true, y_score, found, class_of_interest=name, band=None
        )
        assert display.threshold == float(found.thresholds[c])
        at_choice = [getattr(display, rate)[display.chosen] for rate in ("recall", "f1")]
        assert at_choice == [found.recall[c], found.f1[c]]
        assert (display.class_name, display.n_positive) == (name, found.support[c])


def test_thresholds_decide_in_the_type_that_was_tuned():
    """A float64 0.1 lies below a float32 0.1: compared as they are, nothing would be called."""
    y_true, y_score = np.array([[1], [0]]), np.array([[0.1], [0.05]])
    found = find_optimal_thresholds(y_true, y_score.astype(np.float32), strategy="grid", grid=[0.1])
    display = ThresholdDisplay.from_predictions(y_true, y_score, found, band=None)
    assert display.recall[display.chosen] == 1


def test_bounds_of_the_search_are_the_allowed_range():
    y_true, y_score = predictions()
    found = find_optimal_thresholds(
        y_true, y_score, class_names=NAMES, min_threshold=[0.1, 0.2, 0.3], max_threshold=0.7
    )
    show = ThresholdDisplay.from_predictions
    picked = found.select(["RPEC"])
    display = show(y_true[:, 2:], y_score[:, 2:], picked)
    assert display.allowed == (0.3, 0.7)
    assert show(y_true, y_score, found, class_of_interest="MH").allowed == (0.2, 0.7)
    assert show(y_true, y_score, 0.5, class_of_interest="MH", class_names=NAMES).allowed is None
    _, labels = display.ax_.get_legend_handles_labels()
    assert labels.count("not allowed") == 1


@pytest.mark.parametrize("joint", [False, True])
def test_the_certified_range_is_the_searchs(joint):
    y_true, y_score = predictions(missing=0)
    found = find_optimal_thresholds(y_true, y_score, min_recall=0.3, confidence=0.9, joint=joint)
    display = ThresholdDisplay.from_predictions(y_true, y_score, found, class_of_interest=0)
    positives = np.sort(y_score[y_true[:, 0] == 1, 0])
    k = largest_rank(len(positives), 0.3, 1 - 0.1 / 3 if joint else 0.9)
    assert display.certified == (-math.inf, positives[k - 1])
    assert found.certified[0]
    assert display.threshold <= display.certified[1]
    assert display.promise.startswith("recall ≥ 0.3 (90% confidence")


def test_patients_are_the_units_that_certify():
    y_true, y_score = predictions(missing=0)
    groups = np.arange(200) // 10
    found = find_optimal_thresholds(y_true, y_score, groups=groups, min_recall=0.5, confidence=0.9)
    shown = ThresholdDisplay.from_predictions(
        y_true, y_score, found, class_of_interest=0, groups=groups, n_resamples=20
    )
    by_row = ThresholdDisplay.from_predictions(y_true, y_score, found, class_of_interest=0)
    assert shown.certified[1] < by_row.certified[1]
    assert found.thresholds[0] <= shown.certified[1]


def test_too_few_positives_certify_nothing_and_say_so():
    y_true = np.array([[1], [0], [0], [0]])
    y_score = np.array([[0.9], [0.8], [0.2], [0.1]])
    found = find_optimal_thresholds(y_true, y_score, min_recall=0.8, confidence=0.9)
    display = ThresholdDisplay.from_predictions(y_true, y_score, found)
    assert display.certified is None
    labels = display.ax_.get_legend_handles_labels()[1]
    assert "too few to certify recall ≥ 0.8 (90% confidence)" in labels


# Bands


def test_exact_bands_are_those_of_the_report():
    y_true, y_score = predictions()
    display = ThresholdDisplay.from_predictions(
        y_true, y_score, class_of_interest=2, confidence=0.9
    )
    assert display.band == "exact"
    for i in (0, 5, -1):
        tp, fp = brute_counts(y_true[:, 2], y_score[:, 2], display.thresholds[i])
        n = display.n_positive
        np.testing.assert_array_equal(display.recall_band[i], clopper_pearson(tp, n, 0.9))
        np.testing.assert_array_equal(display.precision_band[i], clopper_pearson(tp, tp + fp, 0.9))
        np.testing.assert_array_equal(display.f1_band[i], f1_interval(tp, fp, n - tp, 0.9))


@pytest.mark.parametrize("grouped", [False, True])
def test_bootstrap_bands_are_those_of_redrawn_rows(grouped):
    y_true, y_score = predictions(120)
    groups = np.arange(120) // 4 if grouped else None
    display = ThresholdDisplay.from_predictions(
        y_true,
        y_score,
        class_of_interest=0,
        groups=groups,
        band="bootstrap",
        n_resamples=1500,
        confidence=0.8,
    )
    rng = np.random.default_rng(1)
    known = ~np.isnan(y_true[:, 0])
    label, score = y_true[known, 0], y_score[known, 0]
    units = np.arange(len(label)) if groups is None else groups[known]
    i = len(display.thresholds) // 2
    drawn = []
    for _ in range(1500):
        names = np.unique(units)
        rows = [np.flatnonzero(units == u) for u in rng.choice(names, len(names))]
        rows = np.concatenate(rows)
        tp, fp = brute_counts(label[rows], score[rows], display.thresholds[i])
        n = int(label[rows].sum())
        drawn.append((tp / n, tp / (tp + fp), 2 * tp / (tp + fp + n)))
    expected = np.quantile(drawn, [0.1, 0.9], axis=0).T
    found = [display.recall_band[i], display.precision_band[i], display.f1_band[i]]
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_a_single_patient_is_always_drawn_whole():
    y_true, y_score = predictions(60)
    display = ThresholdDisplay.from_predictions(
        y_true, y_score, class_of_interest=0, groups=np.zeros(60), n_resamples=3
    )
    for rate in ("precision", "recall", "f1"):
        for end in getattr(display, f"{rate}_band").T:
            np.testing.assert_array_equal(end, getattr(display, rate))


def test_the_bootstrap_follows_its_seed():
    y_true, y_score = predictions(60)

    def band(rng):
        return ThresholdDisplay.from_predictions(
            y_true, y_score, class_of_interest=0, band="bootstrap", n_resamples=50, rng=rng
        ).f1_band

    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(band(None), band(0))
    assert (band(0) != band(1)).any()
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_a_resample_without_alarms_has_no_precision():
    y_true, y_score = [[1], [0], [0]], [[0.9], [0.1], [0.2]]
    display = ThresholdDisplay.from_predictions(y_true, y_score, band="bootstrap", n_resamples=30)
    assert display.precision_band[2].tolist() == [1.0, 1.0]
    assert np.isnan(display.precision_band[3]).all()
    assert display.recall_band[3].tolist() == [0.0, 0.0]


def test_only_the_bands_asked_for_are_drawn():
    y_true, y_score = predictions(60)
    display = ThresholdDisplay.from_predictions(y_true, y_score, class_of_interest=0)
    assert len(display.ax_.collections) == 1
    assert len(display.plot(bands=("recall", "precision")).ax_.collections) == 2
    none = ThresholdDisplay.from_predictions(y_true, y_score, class_of_interest=0, band=None)
    assert none.f1_band is None
    assert not none.ax_.collections


# Input


@pytest.mark.parametrize("convert", [torch.tensor, pd.DataFrame, pl.DataFrame, np.ndarray.tolist])
def test_any_kind_of_array_gives_the_same_numbers(convert):
    y_true, y_score = predictions(60, dtype=np.float64)
    plain = ThresholdDisplay.from_predictions(y_true, y_score, class_of_interest=1)
    other = ThresholdDisplay.from_predictions(
        convert(y_true), convert(y_score), class_of_interest=1
    )
    np.testing.assert_array_equal(other.f1_band, plain.f1_band)
    counts = ImbalanceDisplay.from_labels(convert(y_true)).counts["labels"]
    np.testing.assert_array_equal(counts.n_positive, (y_true == 1).sum(axis=0))


@pytest.mark.parametrize("display", [ThresholdDisplay, OperatingPointDisplay])
def test_a_class_is_chosen_by_name_or_column(display):
    y_true, y_score = predictions(60)
    show = display.from_predictions
    frame = pd.DataFrame(y_true, columns=NAMES)
    assert show(frame, y_score, class_of_interest="MH").class_name == "MH"
    assert show(frame, y_score, class_of_interest=np.int64(-1)).class_name == "RPEC"
    assert show(y_true, y_score, class_of_interest=1).class_name == "class 1"
    assert show(y_true[:, :1], y_score[:, :1]).class_name == "class 0"
    for chosen in ("XX", 3, -4, None, True, 1.0):
        with pytest.raises(InputError, match="class_of_interest must be one of"):
            show(frame, y_score, class_of_interest=chosen)
    with pytest.raises(InputError, match="class_of_interest must be a column from 0 to 2"):
        show(y_true, y_score, class_of_interest="MH")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"band": "wide"}, "band must be"),
        ({"confidence": 1.0}, "confidence must be"),
        ({"n_resamples": 0, "band": "bootstrap"}, "n_resamples"),
        ({"groups": np.zeros(60), "band": "exact"}, "with groups use 'bootstrap'"),
        ({"groups": np.zeros(3)}, "groups must have shape"),
        ({"bands": ["F1"]}, "bands may be of"),
        ({"thresholds": [0.5, 0.5]}, "thresholds must be a number or have shape"),
        ({"thresholds": find_optimal_thresholds([[1]], [[0.5]])}, "1 thresholds for 3 classes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_of_a_threshold_display_are_checked(options, message):
    y_true, y_score = predictions(60)
    with pytest.raises(InputError, match=message):
        ThresholdDisplay.from_predictions(y_true, y_score, class_of_interest=0, **options)


def test_a_class_without_any_known_label_raises():
    with pytest.raises(InputError, match="no label of 'DR' is known"):
        ThresholdDisplay.from_predictions([[NAN]], [[0.5]], class_names=["DR"])


# Degenerate classes


@pytest.mark.parametrize(
    ("label", "score"),
    [
        ([0, 0, 0], [0.1, 0.5, 0.9]),
        ([1, 1, 1], [0.1, 0.5, 0.9]),
        ([1], [0.5]),
        ([0, 1], [0.5, 0.5]),
        ([1, 0, NAN], [0.0, 1.0, 0.5]),
        ([1, 0], [-5.0, 12.0]),
    ],
    ids=["no positives", "no negatives", "one row", "one score", "missing", "logits"],
)
@pytest.mark.parametrize("threshold", [None, 0.5, math.inf])
def test_degenerate_classes_can_be_drawn(label, score, threshold):
    y_true, y_score = np.array([label]).T, np.array([score]).T
    curves = ThresholdDisplay.from_predictions(y_true, y_score, threshold)
    points = OperatingPointDisplay.from_predictions(y_true, y_score, threshold)
    for display in (curves, points):
        render(display)
    texts = drawn_texts(curves.ax_)
    assert ("never called " in texts) == (threshold == math.inf)
    one_label = len({value for value in label if value == value}) == 1
    assert ("only one label occurs" in drawn_texts(points.ax_[0])) == one_label
    assert ("no positives" in drawn_texts(points.ax_[1])) == (1 not in label)


def test_the_logit_scale_is_for_probabilities():
    y_true, y_score = predictions(60)
    y_score[0, 0] = 0.0
    display = ThresholdDisplay.from_predictions(
        y_true, y_score, 0.3, class_of_interest=0, x_scale="logit"
    )
    render(display)
    assert display.ax_.get_xscale() == "logit"
    left, right = display.ax_.get_xlim()
    assert 0 < left < 0.3 < right < 1
    with pytest.raises(InputError, match="is for probabilities"):
        ThresholdDisplay.from_predictions([[1], [0]], [[3.0], [-1.0]], x_scale="logit")


# Operating points


def test_several_operating_points_have_names():
    y_true, y_score = predictions()
    found = find_optimal_thresholds(y_true, y_score, class_names=NAMES)
    display = OperatingPointDisplay.from_predictions(
        y_true, y_score, {"tuned": found, "half": 0.5}, class_of_interest="DR"
    )
    assert list(display.points) == ["tuned", "half"]
    assert display.points["tuned"].recall == found.recall[0]
    labels = display.ax_[0].get_legend_handles_labels()[1]
    assert labels[1:] == [f"tuned: {found.thresholds[0]:.3g}", "half: 0.5"]


def test_a_point_that_is_undefined_is_not_drawn():
    display = OperatingPointDisplay.from_predictions([[1], [0]], [[0.9], [0.1]], math.inf)
    assert math.isnan(display.points["operating point"].precision)
    roc, precision_recall = (len(ax.get_legend_handles_labels()[1]) for ax in display.ax_)
    assert (roc, precision_recall) == (2, 1)


def test_curves_of_two_classes_share_axes():
    y_true, y_score = predictions()
    first = OperatingPointDisplay.from_predictions(y_true, y_score, class_of_interest=0, kind="roc")
    second = OperatingPointDisplay.from_predictions(
        y_true, y_score, class_of_interest=1, kind="roc", ax=first.ax_
    )
    assert second.ax_ is first.ax_
    curves = [line for line in first.ax_.lines if line.get_label().startswith("class")]
    assert len({line.get_color() for line in curves}) == len(curves) == 2


def test_both_curves_need_two_axes():
    y_true, y_score = predictions(60)
    figure = Figure()
    axes = figure.subplots(1, 2)
    display = OperatingPointDisplay.from_predictions(y_true, y_score, class_of_interest=0, ax=axes)
    assert display.figure_ is figure
    with pytest.raises(InputError, match="ax must hold 2 axes, got 1"):
        display.plot(ax=axes[0])
    with pytest.raises(InputError, match="kind must be"):
        display.plot(kind="det")


# Forest plots


def test_a_forest_shows_a_report():
    y_true, y_score = predictions(400)
    report = multilabel_report(y_true, y_score, 0.4, class_names=NAMES, n_resamples=50)
    display = ForestDisplay.from_report(report)
    np.testing.assert_array_equal(display.values, report.f1)
    np.testing.assert_array_equal(display.intervals, report.f1_interval)
    assert display.average == report.macro_f1
    assert labels_of(display.ax_) == [*NAMES, "macro average"]
    assert f"n = {report.support[0]}" in drawn_texts(display.ax_)
    assert drawn_texts(display.plot(annotate=False).ax_) == []
    direct = ForestDisplay.from_predictions(y_true, y_score, 0.4, class_names=NAMES, n_resamples=50)
    assert direct.average_interval == display.average_interval


@pytest.mark.parametrize("metric", ["f1", "recall", "precision", "specificity", "auroc"])
def test_a_forest_of_any_rate(metric):
    y_true, y_score = predictions(100)
    display = ForestDisplay.from_predictions(y_true, y_score, 0.4, metric=metric, n_resamples=5)
    report = multilabel_report(y_true, y_score, 0.4, n_resamples=5)
    np.testing.assert_array_equal(display.values, getattr(report, metric))
    assert ("macro average" in labels_of(display.ax_)) == (metric != "specificity")
    with pytest.raises(InputError, match="metric must be one of"):
        ForestDisplay.from_report(report, "macro_f1")


def test_a_forest_is_sorted():
    report = multilabel_report(
        [[1, 1, 0], [0, 1, 0], [1, 1, 0]],
        [[0.9, 0.1, 0.1], [0.2, 0.9, 0.2], [0.8, 0.2, 0.1]],
        0.5,
        class_names=["good", "frequent", "absent"],
        n_resamples=0,
    )
    orders = {
        key: labels_of(ForestDisplay.from_report(report, sort_by=key).ax_)[:3]
        for key in ("support", "value", None)
    }
    assert orders == {
        "support": ["frequent", "good", "absent"],
        "value": ["good", "frequent", "absent"],
        None: ["good", "frequent", "absent"],
    }
    assert "undefined" in drawn_texts(ForestDisplay.from_report(report).ax_)
    with pytest.raises(InputError, match="sort_by must be"):
        ForestDisplay.from_report(report, sort_by="name")


@pytest.mark.parametrize("n_classes", [1, 16, 43])
def test_figures_grow_with_the_classes(n_classes):
    rng = np.random.default_rng(0)
    y_true = rng.random((80, n_classes)) < 0.1
    names = [f"a long name of class {c} that would not fit at all" for c in range(n_classes)]
    displays = [
        ForestDisplay.from_predictions(
            y_true, rng.random(y_true.shape), 0.5, class_names=names, n_resamples=0
        ),
        ImbalanceDisplay.from_labels(y_true, names),
        CoOccurrenceDisplay.from_labels(y_true, names),
    ]
    for display in displays:
        render(display)
        height = display.figure_.get_size_inches()[1]
        assert 0.24 * n_classes < height < 3.5 + 0.45 * n_classes
        assert len(labels_of(display.ax_)) == n_classes + (
            isinstance(display, ForestDisplay) and display.average == display.average > 0
        ) * (n_classes > 1)
        assert all(len(label) < 50 for label in labels_of(display.ax_))


# Imbalance and co-occurrence


def test_counts_of_several_sets_share_an_order():
    training = pd.DataFrame({"DR": [1, 1, 0, 1], "VH": [0, 0, 0, 0], "MH": [0, 1, 1, NAN]})
    test = pd.DataFrame({"DR": [0, 0], "VH": [0, 1], "MH": [1, 1]})
    display = ImbalanceDisplay.from_labels({"training": training, "test": test}, min_count=2)
    assert labels_of(display.ax_) == ["DR", "MH", "VH"]
    by_name = {line.get_label(): list(line.get_xdata()) for line in display.ax_.lines}
    assert by_name["training (5 positive labels)"] == [3, 2, 0.5]  # drawn where the axis says 0
    assert by_name["test (3 positive labels)"] == [0.5, 2, 1]
    assert "0" in [text.get_text() for text in display.ax_.get_xticklabels()]
    assert "min_count = 2" in by_name
    assert drawn_texts(display.ax_)[2:4] == ["2", "66.67%"]  # of the three known labels
    render(display)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({}, "empty dict"),
        ({"a": [[1, 0]], "b": [[1]]}, r"\[2, 1\] classes"),
        ({"a": pd.DataFrame({"x": [1]}), "b": pd.DataFrame({"y": [1]})}, "disagree"),
        ({"a": [[2]]}, r"a\[0, 0\] is 2"),
    ],
    ids=["none", "shapes", "names", "value"],
)
def test_sets_of_labels_must_agree(labels, message):
    with pytest.raises(InputError, match=message):
        ImbalanceDisplay.from_labels(labels)


@pytest.mark.parametrize("labels", [np.zeros((3, 2)), np.full((3, 2), NAN), np.zeros((0, 2))])
def test_nothing_to_count_is_drawn_as_nothing(labels):
    display = ImbalanceDisplay.from_labels(labels)
    render(display)
    assert drawn_texts(display.ax_)[0] == "0"


def test_a_million_positives_fit_the_scale():
    display = ImbalanceDisplay.from_labels(np.ones((20_000, 1), dtype=bool))
    ticks = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert ticks == ["1", "10", "100", "1,000", "10,000"]


def test_co_occurrence_is_the_reports_with_the_frequent_first():
    labels = np.array([[0, 1, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])
    report = imbalance_report(labels, NAMES)
    display = CoOccurrenceDisplay.from_report(report)
    np.testing.assert_array_equal(display.conditional, report.conditional)
    assert labels_of(display.ax_) == ["MH (3)", "DR (1)", "RPEC (0)"]
    assert sorted(drawn_texts(display.ax_)) == ["100%", "33%"]
    assert sorted(drawn_texts(display.plot(values="counts").ax_)) == ["1", "1"]
    assert drawn_texts(display.plot(annotate=False).ax_) == []
    render(display)
    shown = display.ax_.images[0].get_array()
    assert shown.mask.sum() == 7
    with pytest.raises(InputError, match="values must be"):
        display.plot(values="lift")


def test_numbers_are_left_out_where_they_would_not_fit():
    labels = np.ones((2, 25))
    assert drawn_texts(CoOccurrenceDisplay.from_labels(labels).ax_) == []
    assert len(drawn_texts(CoOccurrenceDisplay.from_labels(labels[:, :7]).ax_)) == 7 * 6


def test_a_rare_pair_is_not_called_zero():
    labels = np.zeros((1000, 2))
    labels[:, 0] = 1
    labels[0, 1] = 1
    assert "<1%" in drawn_texts(CoOccurrenceDisplay.from_labels(labels).ax_)


# scikit-learn's convention


def all_displays(ax=None):
    y_true, y_score = predictions(60)
    return [
        ThresholdDisplay.from_predictions(y_true, y_score, 0.5, class_of_interest=0, ax=ax),
        OperatingPointDisplay.from_predictions(
            y_true, y_score, 0.5, class_of_interest=0, kind="roc", ax=ax
        ),
        ForestDisplay.from_predictions(y_true, y_score, 0.5, n_resamples=5, ax=ax),
        ImbalanceDisplay.from_labels(y_true, ax=ax),
        CoOccurrenceDisplay.from_labels(np.nan_to_num(y_true), ax=ax),
    ]


def test_given_axes_are_drawn_on_and_their_figure_is_named():
    figure = Figure()
    ax = figure.add_subplot()
    for display in all_displays(ax):
        assert display.ax_ is ax
        assert display.figure_ is figure
    assert display.plot() is display
    assert display.figure_ is not figure


def test_axes_of_a_subfigure_name_the_whole_figure():
    figure = Figure()
    ax = figure.subfigures(1, 2)[0].subplots()
    assert ForestDisplay.from_predictions([[1]], [[0.5]], 0.5, ax=ax).figure_ is figure


def test_drawing_changes_no_global_setting():
    def settings_now():  # asking for the backend would load pyplot
        return {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}

    before = settings_now()
    for display in all_displays():
        render(display)
    assert settings_now() == before


def test_a_notebook_shows_the_picture():
    assert all_displays()[3]._repr_png_().startswith(b"\x89PNG")
    bare = ImbalanceDisplay(counts={}, class_names=None)
    assert bare._repr_png_() is None
    assert not hasattr(bare, "ax_")


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()


DRAW = "import mlthresh; d = mlthresh.ImbalanceDisplay.from_labels([[1, 0], [0, 1]]); "


def test_importing_is_light_and_drawing_leaves_pyplot_unloaded():
    code = "import sys, mlthresh.plotting; print('matplotlib' in sys.modules); "
    code += DRAW + "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    assert run_python(code) == ["False", "True", "False"]


def test_pyplot_knows_the_figure_where_it_is_in_use():
    code = (
        "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as plt; "
        + DRAW
        + "print(plt.gcf() is d.figure_, len(plt.get_fignums()), d._repr_png_())"
    )
    assert run_python(code) == ["True", "1", "None"]


WITHOUT_MATPLOTLIB = """
import sys
sys.modules["matplotlib"] = None
import mlthresh
labels, scores, one = [[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]], {"class_of_interest": 0}
for draw in (
    lambda: mlthresh.ThresholdDisplay.from_predictions(labels, scores, 0.5, **one),
    lambda: mlthresh.OperatingPointDisplay.from_predictions(labels, scores, 0.5, **one),
    lambda: mlthresh.ForestDisplay.from_predictions(labels, scores, 0.5, n_resamples=5),
    lambda: mlthresh.ImbalanceDisplay.from_labels(labels),
    lambda: mlthresh.CoOccurrenceDisplay.from_labels(labels),
):
    try:
        draw()
    except ImportError as error:
        print(str(error).rpartition(" ")[2])
"""


def test_without_matplotlib_every_display_names_the_extra():
    assert run_python(WITHOUT_MATPLOTLIB) == ['"mlthresh[plot]"'] * 5
