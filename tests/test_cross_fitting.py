"""Cross-fitting tells the truth about tuning."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from mlthresh import (
    InputError,
    cross_fit_thresholds,
    find_optimal_thresholds,
    multilabel_stratified_kfold,
)


def simulated(rng, n_samples=200, prevalence=(0.02, 0.05, 0.2)):
    y_true = (rng.random((n_samples, len(prevalence))) < prevalence).astype(float)
    return y_true, rng.normal(size=y_true.shape) + 1.5 * y_true


def test_cross_fitting_pools_the_decisions_of_held_out_folds():
    y_true, y_score = simulated(np.random.default_rng(0))
    y_true[:20, 0] = np.nan
    result = cross_fit_thresholds(y_true, y_score, n_splits=4, rng=7)
    seed = int(np.random.default_rng(7).integers(2**63))
    decided = np.zeros(y_true.shape, dtype=bool)
    for k, fold in enumerate(multilabel_stratified_kfold(y_true, n_splits=4, seed=seed)):
        found = find_optimal_thresholds(y_true[fold.train], y_score[fold.train])
        np.testing.assert_array_equal(result.fold_thresholds[k], found.thresholds)
        decided[fold.test] = found.predict(y_score[fold.test])
    for c in range(3):
        known = ~np.isnan(y_true[:, c])
        pair = y_true[known, c], decided[known, c]
        assert result.f1[c] == pytest.approx(f1_score(*pair, zero_division=0))
        assert result.precision[c] == pytest.approx(precision_score(*pair, zero_division=0))
        assert result.recall[c] == pytest.approx(recall_score(*pair))
    np.testing.assert_array_equal(
        result.threshold_set.thresholds, find_optimal_thresholds(y_true, y_score).thresholds
    )
    assert result.macro_f1 == pytest.approx(result.f1.mean())
    known = ~np.isnan(y_true)
    assert result.micro_f1 == pytest.approx(f1_score(y_true[known], decided[known]))


def test_the_apparent_f1_flatters_and_the_cross_fitted_one_does_not():
    """At a handful of positives, against the F1 of the same thresholds in the population."""
    rng = np.random.default_rng(1)
    population = (np.arange(20_000) % 50 == 0).astype(float)[:, None]
    score = rng.normal(size=population.shape) + 1.5 * population
    y_true = population[:200]  # four positives: the population's prevalence exactly
    apparent, cross_fitted, true = [], [], []
    for _ in range(200):
        y_score = rng.normal(size=y_true.shape) + 1.5 * y_true
        result = cross_fit_thresholds(y_true, y_score, n_splits=5)
        apparent.append(result.threshold_set.f1[0])
        cross_fitted.append(result.f1[0])
        true.append(f1_score(population, result.threshold_set.predict(score)))
    assert np.mean(apparent) - np.mean(true) > 0.1
    assert abs(np.mean(cross_fitted) - np.mean(true)) < 0.03


def test_repeats_are_averaged_and_reproducible():
    y_true, y_score = simulated(np.random.default_rng(2))
    once = cross_fit_thresholds(y_true, y_score, n_repeats=3, rng=0)
    again = cross_fit_thresholds(y_true, y_score, n_repeats=3, rng=0)
    assert once.fold_thresholds.shape == (15, 3)
    np.testing.assert_array_equal(once.fold_thresholds, again.fold_thresholds)
    by_repeat = 2 * once.tp / (2 * once.tp + once.fp + once.fn)
    np.testing.assert_allclose(once.f1, by_repeat.mean(axis=0))


def test_weights_and_patients_pass_through():
    y_true, y_score = simulated(np.random.default_rng(3), 60)
    weight = np.tile([1.0, 0.0], 30)
    half = cross_fit_thresholds(y_true, y_score, sample_weight=weight)
    assert (half.tp + half.fp + half.fn + half.tn == 30).all()
    groups = np.arange(60) // 2
    grouped = cross_fit_thresholds(y_true, y_score, groups=groups, min_recall=0.1, confidence=0.8)
    assert grouped.threshold_set.options["confidence"] == 0.8


def test_bad_input():
    y_true, y_score = simulated(np.random.default_rng(6), 20)
    with pytest.raises(InputError, match="n_repeats must be"):
        cross_fit_thresholds(y_true, y_score, n_repeats=0)
    with pytest.raises(InputError, match="unknown objective"):
        cross_fit_thresholds(y_true, y_score, objective="g")


def test_a_result_prints_held_out_beside_apparent_figures_and_becomes_json(tmp_path):
    y_true, y_score = simulated(np.random.default_rng(0))
    y_true[:, 0] = 0  # nothing is known of its recall
    names = ["never", "rare", "common"]
    result = cross_fit_thresholds(y_true, y_score, n_splits=3, n_repeats=2, class_names=names)
    lines = str(result).splitlines()
    starts = [line.split()[0] for line in lines if line]
    assert starts[2:5] == ["common", "rare", "never"]
    rare = next(line for line in lines if line.startswith("rare"))
    assert rare.split()[-2:] == [f"{result.f1[1]:.3f}", f"{result.threshold_set.f1[1]:.3f}"]
    macro = next(line for line in lines if line.startswith("macro average"))
    apparent = result.threshold_set.f1[1:].mean()
    assert macro.split()[-2:] == [f"{result.macro_f1:.3f}", f"{apparent:.3f}"]
    assert result.macro_f1 == pytest.approx(result.f1[1:].mean())
    assert "folds: 3, repeats: 2" in str(result)
    assert repr(result) == str(result)
    content = json.loads(result.to_json(tmp_path / "result.json"))
    assert content == json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert content["classes"][1]["f1"] == result.f1[1]
    assert content["classes"][2]["fold_thresholds"] == result.fold_thresholds[:, 2].tolist()
    assert content["classes"][0]["threshold"] == "inf"
    nothing = cross_fit_thresholds(np.zeros((6, 1)), np.arange(6)[:, None], n_splits=2)
    macro = next(line for line in str(nothing).splitlines() if line.startswith("macro average"))
    assert macro.split()[-2:] == ["-", "-"]
