"""The bootstrap tells how sure tuned thresholds and their figures are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from mlthresh import InputError, bootstrap_thresholds, find_optimal_thresholds
from mlthresh._intervals import clopper_pearson
from mlthresh._tables import rate_cell

FIGURES = {"precision": precision_score, "recall": recall_score, "f1": f1_score}


def simulated(rng, n_samples=200, prevalence=(0.02, 0.05, 0.2)):
    y_true = (rng.random((n_samples, len(prevalence))) < prevalence).astype(float)
    return y_true, rng.normal(size=y_true.shape) + 1.5 * y_true


def test_optimism_is_how_far_a_resample_flatters_the_thresholds_found_on_it():
    y_true, y_score = simulated(np.random.default_rng(0))
    result = bootstrap_thresholds(y_true, y_score, n_resamples=30, rng=5)
    found = find_optimal_thresholds(y_true, y_score)
    np.testing.assert_array_equal(result.threshold_set.thresholds, found.thresholds)
    rng = np.random.default_rng(5)
    optimism = {figure: [] for figure in FIGURES}
    for i in range(30):
        rows = rng.integers(200, size=200)
        again = find_optimal_thresholds(y_true[rows], y_score[rows])
        np.testing.assert_array_equal(result.thresholds[i], again.thresholds)
        decided = again.predict(y_score)
        for figure, function in FIGURES.items():
            optimism[figure].append(
                function(y_true[rows], decided[rows], average=None, zero_division=np.nan)
                - function(y_true, decided, average=None, zero_division=np.nan)
            )
    for figure in FIGURES:
        expected = np.nanmean(optimism[figure], axis=0)
        np.testing.assert_allclose(result.optimism[figure], expected, atol=1e-12)
        apparent = getattr(found, figure)
        np.testing.assert_allclose(result.corrected(figure), np.clip(apparent - expected, 0, 1))


def test_fixed_thresholds_flatter_nobody_and_have_exact_intervals():
    y_true, y_score = simulated(np.random.default_rng(1))
    y_true[:30, 1] = np.nan
    fixed = {"min_threshold": 0.5, "max_threshold": 0.5}
    result = bootstrap_thresholds(y_true, y_score, n_resamples=400, **fixed)
    decided, positive = (y_score >= 0.5) & ~np.isnan(y_true), y_true == 1
    trials = {"precision": decided, "recall": positive, "f1": decided | positive}
    for figure, rows in trials.items():
        np.testing.assert_array_equal(result.trials[figure], rows.sum(axis=0))
        assert (np.abs(result.optimism[figure]) < 0.02).all()
    recall = (decided & positive).sum(axis=0)
    exact = clopper_pearson(recall, positive.sum(axis=0), 0.9)
    np.testing.assert_allclose(result.interval("recall", 0.9), exact, atol=0.03)


def test_intervals_hold_the_truth_of_tuned_thresholds():
    """At a handful of positives, where apparent figures are far too high."""
    rng = np.random.default_rng(5)
    y_true = (np.arange(240) < 4).astype(float)[:, None]
    population = np.tile(y_true, (80, 1))
    score = rng.normal(size=population.shape) + 1.5 * population
    rounds = 40
    held = dict.fromkeys(FIGURES, 0)
    apparent, corrected, truth = [], [], []
    for _ in range(rounds):
        y_score = rng.normal(size=y_true.shape) + 1.5 * y_true
        result = bootstrap_thresholds(y_true, y_score, n_resamples=40)
        called = result.threshold_set.predict(score)
        for figure, function in FIGURES.items():
            value = function(population, called)
            low, high = result.interval(figure)[0]
            held[figure] += low <= value <= high
        apparent.append(result.threshold_set.f1[0])
        corrected.append(result.corrected("f1")[0])
        truth.append(value)
    assert min(held.values()) >= 0.9 * rounds
    flattery = np.mean(apparent) - np.mean(truth)
    assert flattery > 0.1
    assert abs(np.mean(corrected) - np.mean(truth)) < 0.6 * flattery


def test_the_interval_of_a_threshold_widens_as_positives_grow_few():
    y_true, y_score = simulated(np.random.default_rng(2), 2000, (0.005, 0.02, 0.2))
    result = bootstrap_thresholds(y_true, y_score, n_resamples=100)
    low, high = result.interval("thresholds", 0.9).T
    assert (np.diff(high - low) < 0).all()
    assert (
        (low <= result.threshold_set.thresholds) & (result.threshold_set.thresholds <= high)
    ).all()
    # With hundreds of positives it is the percentile interval.
    percentiles = np.quantile(result.thresholds[:, 2], [0.05, 0.95])
    np.testing.assert_allclose([low[2], high[2]], percentiles, atol=0.1)
    narrower = result.interval("thresholds", 0.5)
    assert (low <= narrower[:, 0]).all()
    assert (narrower[:, 1] <= high).all()


def test_one_positive_says_nothing_about_the_threshold():
    y_true = (np.arange(50) == 7).astype(int)[:, None]
    result = bootstrap_thresholds(y_true, np.linspace(0, 1, 50)[:, None], n_resamples=20)
    np.testing.assert_array_equal(result.interval("thresholds"), [[-np.inf, np.inf]])


def test_patients_are_drawn_whole_and_count_once_where_their_rows_agree():
    groups = np.repeat(np.arange(10), 3)
    y_true = (groups % 2)[:, None].astype(float)
    y_score = groups[:, None] / 10.0
    result = bootstrap_thresholds(y_true, y_score, groups=groups, n_resamples=40)
    by_patient = bootstrap_thresholds(y_true[::3], y_score[::3], n_resamples=40)
    np.testing.assert_array_equal(result.thresholds, by_patient.thresholds)
    for figure in FIGURES:
        np.testing.assert_allclose(result.trials[figure], by_patient.trials[figure])
        np.testing.assert_allclose(result.interval(figure), by_patient.interval(figure))


def test_the_same_seed_gives_the_same_result():
    y_true, y_score = simulated(np.random.default_rng(3))
    once, again = (bootstrap_thresholds(y_true, y_score, n_resamples=9, rng=4) for _ in "12")
    np.testing.assert_array_equal(once.thresholds, again.thresholds)
    np.testing.assert_array_equal(once.interval("f1"), again.interval("f1"))


def test_an_undefined_figure_has_no_interval():
    result = bootstrap_thresholds([[0], [0]], [[0.2], [0.4]], n_resamples=5)
    for figure in FIGURES:
        assert np.isnan(result.interval(figure)).all()
        assert np.isnan(result.corrected(figure)).all()
    assert np.isinf(result.interval("thresholds")).all()


def test_bad_input():
    y_true, y_score = simulated(np.random.default_rng(6), 20)
    with pytest.raises(InputError, match="n_resamples must be"):
        bootstrap_thresholds(y_true, y_score, n_resamples=0)
    result = bootstrap_thresholds(y_true, y_score, n_resamples=2)
    with pytest.raises(InputError, match="confidence must be"):
        result.interval("f1", 2)
    with pytest.raises(InputError, match="figure must be one of"):
        result.interval("support")


def test_a_result_prints_with_its_intervals_and_becomes_json(tmp_path):
    y_true, y_score = simulated(np.random.default_rng(0))
    y_true[:, 0] = 0
    names = ["never", "rare", "common"]
    result = bootstrap_thresholds(y_true, y_score, n_resamples=20, class_names=names)
    rows = {line.split("  ")[0]: line for line in str(result).splitlines() if line}
    assert list(rows)[2:5] == ["common", "rare", "never"]
    low, high = result.interval("thresholds")[1]
    assert f"{result.threshold_set.thresholds[1]:.4g} [{low:.3g}, {high:.3g}]" in rows["rare"]
    for figure in FIGURES:
        assert rate_cell(result.corrected(figure)[1], result.interval(figure)[1]) in rows["rare"]
    assert rows["never"].split()[-5:-1] == ["inf]", "-", "-", "-"]
    assert "Resamples: 20." in str(result)
    assert repr(result) == str(result)
    content = json.loads(result.to_json(tmp_path / "result.json"))
    assert content["classes"][1]["f1_interval"] == result.interval("f1")[1].tolist()
    assert content["classes"][0]["recall"] is None
