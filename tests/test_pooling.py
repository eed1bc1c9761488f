from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlthresh import InputError, find_optimal_thresholds, pooling
from mlthresh._hierarchical import fit_logistic
from mlthresh._support import LOGIT, REAL, condense, sigmoid
from mlthresh.counts import SortedClass
from mlthresh.objectives import cost, fbeta

PREVALENCE = np.array([0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.012])


def simulated(n_samples: int, seed: int, prevalence=PREVALENCE, separability: float = 2.0):
    """Return labels and calibrated logits; classes differ in how well they separate."""
    rng = np.random.default_rng(seed)
    apart = separability + np.linspace(-0.5, 0.5, len(prevalence))
    y_true = (rng.random((n_samples, len(prevalence))) < prevalence).astype(np.int8)
    latent = rng.normal(size=y_true.shape) + apart * y_true
    return y_true, np.log(prevalence / (1 - prevalence)) - apart**2 / 2 + apart * latent


def pooled(y_true, logits, **options):
    return find_optimal_thresholds(y_true, logits, strategy="pooled", score_scale="real", **options)


def f1_of(thresholds, y_true, y_score):
    called = y_score >= thresholds
    return 2 * (called & (y_true == 1)).sum(axis=0) / (called.sum(axis=0) + y_true.sum(axis=0))


def test_holds_better_than_the_exact_optimum_on_new_data():
    y_new, new = simulated(40_000, seed=99)
    difference = []
    for seed in range(12):
        y_true, logits = simulated(400, seed=seed)
        by_pooling = f1_of(pooled(y_true, logits).thresholds, y_new, new)
        exact = find_optimal_thresholds(y_true, logits, score_scale="real")
        difference.append(by_pooling - f1_of(exact.thresholds, y_new, new))
    difference = np.mean(difference, axis=1)
    assert difference.mean() > 0.005
    assert difference.mean() > 3 * difference.std(ddof=1) / np.sqrt(len(difference))


def test_ends_at_the_exact_optimum_where_positives_abound():
    rng = np.random.default_rng(0)
    # A shape that no model here can take: the class sits in a band of the scores.
    score = rng.random((60_000, 1))
    y_true = (rng.random(score.shape) < np.where(np.abs(score - 0.6) < 0.05, 0.9, 0.05)).astype(int)
    exact = find_optimal_thresholds(y_true, score)
    found = find_optimal_thresholds(y_true, score, strategy="pooled")
    assert found.objective_value[0] == pytest.approx(exact.objective_value[0], abs=0.002)


def test_thresholds_follow_their_columns():
    y_true, logits = simulated(300, seed=1)
    order = np.random.default_rng(0).permutation(y_true.shape[1])
    np.testing.assert_allclose(
        pooled(y_true[:, order], logits[:, order]).thresholds,
        pooled(y_true, logits).thresholds[order],
    )


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 7.0), (3.0, 0.0), (0.1, -50.0)])
def test_real_scores_have_no_origin_and_no_unit(scale, shift):
    y_true, logits = simulated(300, seed=2)
    np.testing.assert_allclose(
        pooled(y_true, scale * logits + shift).thresholds,
        scale * pooled(y_true, logits).thresholds + shift,
        rtol=1e-6,
    )


def test_probabilities_are_seen_through_the_logit():
    y_true, logits = simulated(300, seed=3)
    by_probability = find_optimal_thresholds(y_true, sigmoid(logits), strategy="pooled")
    np.testing.assert_allclose(
        by_probability.thresholds, sigmoid(pooled(y_true, logits).thresholds), rtol=1e-6
    )


def test_rows_in_any_order_and_missing_labels_are_left_out():
    y_true, logits = simulated(300, seed=4)
    expected = pooled(y_true, logits).thresholds
    labels = np.concatenate([y_true.astype(float), np.full((50, y_true.shape[1]), np.nan)])
    scores = np.concatenate([logits, np.full((50, y_true.shape[1]), 3.0)])
    order = np.random.default_rng(0).permutation(len(labels))
    np.testing.assert_allclose(pooled(labels[order], scores[order]).thresholds, expected)


def test_weights_count_rows():
    y_true, logits = simulated(300, seed=5)
    weight = np.random.default_rng(0).integers(0, 2, size=300)
    chosen = weight > 0
    expected = pooled(y_true[chosen], logits[chosen]).thresholds
    for unit in (1.0, 0.25):
        found = pooled(y_true, logits, sample_weight=unit * weight)
        np.testing.assert_allclose(found.thresholds, expected)


def test_a_class_without_positives_borrows_from_the_others():
    y_true, logits = simulated(600, seed=6)
    y_true[:, -1] = 0
    found = pooled(y_true, logits)
    assert found.status[-1] == "no_positives"
    assert np.isfinite(found.thresholds[-1])
    y_new, new = simulated(40_000, seed=98)
    best = find_optimal_thresholds(y_new, new, score_scale="real").objective_value
    assert f1_of(found.thresholds, y_new, new)[-1] > 0.6 * best[-1]


def test_a_class_without_any_label_gets_a_typical_threshold():
    y_true, logits = simulated(300, seed=7)
    labels = y_true.astype(float)
    labels[:, 2] = np.nan
    found = pooled(labels, logits)
    assert found.status[2] == "no_positives"
    assert found.thresholds.min() <= found.thresholds[2] <= found.thresholds.max()


def test_without_any_positive_nothing_is_called():
    found = find_optimal_thresholds([[0, 0], [0, 0]], [[0.2, 0.4], [0.3, 0.1]], strategy="pooled")
    assert found.status == ("no_positives",) * 2
    assert np.isposinf(found.thresholds).all()


@pytest.mark.parametrize(
    "options",
    [
        {"min_recall": 0.8},
        {"min_precision": 0.5},
        {"min_specificity": 0.97},
        {"max_alarm_rate": 0.05},
        {"min_recall": 0.5, "max_alarm_rate": 0.3},
        {"min_recall": 0.5, "max_threshold": 0.05},
        {"min_threshold": 0.3, "max_threshold": 0.35},
    ],
)
def test_constraints_hold_on_the_data(options):
    y_true, logits = simulated(500, seed=8)
    probability = sigmoid(logits).astype(np.float32)
    found = find_optimal_thresholds(y_true, probability, strategy="pooled", **options)
    exact = find_optimal_thresholds(y_true, probability, **options)
    assert found.status == exact.status
    ok = np.array(found.status) == "ok"
    assert ok.any()
    assert (found.objective_value[ok] <= exact.objective_value[ok]).all()
    specificity = [
        (probability[:, c] < found.thresholds[c])[y_true[:, c] == 0].mean()
        for c in range(y_true.shape[1])
    ]
    rates = {
        "min_recall": found.recall,
        "min_precision": found.precision,
        "min_specificity": np.array(specificity),
        "max_alarm_rate": -found.alarm_rate,
        "min_threshold": found.thresholds,
        "max_threshold": -found.thresholds,
    }
    for name, bound in options.items():
        floor = np.float32(bound) if name.endswith("threshold") else bound
        assert (rates[name][ok] >= (-floor if name.startswith("max") else floor)).all()


def test_a_constraint_moves_the_threshold_no_further_than_it_must():
    y_true, logits = simulated(500, seed=9)
    free = pooled(y_true, logits)
    bound = pooled(y_true, logits, max_alarm_rate=0.1)
    inside = free.alarm_rate <= 0.09
    assert inside.any()
    assert (~inside).any()
    np.testing.assert_array_equal(bound.thresholds[inside], free.thresholds[inside])
    assert (bound.alarm_rate[free.alarm_rate > 0.1] > 0.08).all()


def test_certified_floors_are_kept():
    y_true, logits = simulated(800, seed=10)
    options = {"min_recall": 0.5, "confidence": 0.9}
    found = pooled(y_true, logits, **options)
    exact = find_optimal_thresholds(y_true, logits, score_scale="real", **options)
    np.testing.assert_array_equal(found.certified, exact.certified)
    assert found.certified.any()


@pytest.mark.parametrize("objective", ["jaccard", "mcc", "balanced_accuracy", "youden"])
def test_every_named_objective_is_near_its_optimum(objective):
    y_true, logits = simulated(3000, seed=11)
    found = pooled(y_true, logits, objective=objective)
    y_new, new = simulated(60_000, seed=97)
    best = find_optimal_thresholds(y_new, new, score_scale="real", objective=objective)
    reached = [
        find_optimal_thresholds(
            y_new[:, [c]],
            new[:, [c]],
            strategy="grid",
            grid=[t],
            score_scale="real",
            objective=objective,
        ).objective_value[0]
        for c, t in enumerate(found.thresholds)
    ]
    assert np.mean(best.objective_value - reached) < 0.02


def test_the_objective_decides_between_misses_and_alarms():
    y_true, logits = simulated(1000, seed=12)
    careful = pooled(y_true, logits, objective=cost(miss=20, false_alarm=1)).alarm_rate
    even = pooled(y_true, logits, objective=cost(miss=1, false_alarm=1)).alarm_rate
    assert (careful > even).all()
    # At equal costs the threshold of calibrated logits is 0, at 20 : 1 it is -log 20.
    found = pooled(y_true, logits, objective=cost(miss=20, false_alarm=1)).thresholds
    np.testing.assert_allclose(found[:4], -np.log(20), atol=0.8)


def test_a_callable_is_the_objective_that_it_computes():
    y_true, logits = simulated(300, seed=13)

    def f2(tp, fp, fn, tn):
        return 5 * tp / np.maximum(5 * tp + 4 * fn + fp, 1e-12)

    np.testing.assert_allclose(
        pooled(y_true, logits, objective=f2).thresholds,
        pooled(y_true, logits, objective=fbeta(2.0)).thresholds,
    )


def test_scores_outside_the_declared_scale_raise():
    with pytest.raises(InputError, match="score_scale='real'"):
        find_optimal_thresholds([[1], [0]], [[1.5], [0.2]], strategy="pooled")


DEGENERATE = {
    "two rows": ([[1], [0]], [[0.9], [0.1]]),
    "one row": ([[1]], [[0.4]]),
    "all positive": ([[1], [1], [1]], [[0.2], [0.5], [0.9]]),
    "separated": ([[0, 1]] * 40 + [[1, 0]] * 40, [[0.01, 0.99]] * 40 + [[0.99, 0.01]] * 40),
    "constant": ([[1, 0], [0, 1], [0, 0]], [[0.5, 0.3]] * 3),
    "saturated": ([[1], [0], [0], [1], [0]], [[1.0], [0.0], [0.0], [0.0], [1.0]]),
    "subnormal": ([[1], [0], [0]], [[1e-300], [5e-324], [0.0]]),
    "huge": ([[1], [0], [0], [1]], [[1e38], [-1e38], [3e38], [3.2e38]]),
    "minute": ([[1], [0], [0]], [[3e-38], [1e-38], [2e-38]]),
    "reversed": ([[0]] * 30 + [[1]] * 30, [[0.9]] * 30 + [[0.1]] * 30),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("score_scale", ["probability", "real"])
def test_degenerate_classes(name, dtype, score_scale):
    y_true, y_score = DEGENERATE[name]
    y_score = np.array(y_score, dtype=dtype)
    if score_scale == "probability" and y_score.max() > 1:
        pytest.skip("not probabilities")
    if name == "huge" and dtype == np.float64:
        y_score *= 1e270 / 2
    found = find_optimal_thresholds(y_true, y_score, strategy="pooled", score_scale=score_scale)
    assert found.thresholds.dtype == dtype
    assert not np.isnan(found.thresholds).any()
    if name == "separated":
        np.testing.assert_array_equal(found.f1, 1)
    if name in ("two rows", "one row", "all positive"):
        np.testing.assert_array_equal(found.recall, 1)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n_samples=st.integers(1, 30),
    n_classes=st.integers(1, 4),
    n_levels=st.sampled_from([1, 2, 5, 1000]),
    weighted=st.booleans(),
)
def test_any_data_gives_a_threshold_and_the_same_one_again(
    seed, n_samples, n_classes, n_levels, weighted
):
    rng = np.random.default_rng(seed)
    shape = (n_samples, n_classes)
    y_true = rng.choice([0.0, 1.0, np.nan], p=[0.5, 0.4, 0.1], size=shape)
    y_score = rng.integers(0, n_levels + 1, size=shape) / n_levels
    weight = rng.random(n_samples) + 0.01 if weighted else None
    found = find_optimal_thresholds(y_true, y_score, strategy="pooled", sample_weight=weight)
    again = find_optimal_thresholds(y_true, y_score, strategy="pooled", sample_weight=weight)
    assert not np.isnan(found.thresholds).any()
    np.testing.assert_array_equal(found.thresholds, again.thresholds)
    exact = find_optimal_thresholds(y_true, y_score, sample_weight=weight)
    assert (found.f1 <= exact.f1 + 1e-12).all()


def test_condensing_keeps_all_weight_and_all_cuts_near_the_ends():
    rng = np.random.default_rng(0)
    score = rng.random(100_000)
    label = rng.random(100_000) < 0.01
    support = condense([SortedClass(score, label)], LOGIT)
    assert support.positive.sum() == label.sum()
    assert support.weight.sum() == 100_000
    assert support.score.shape[1] < 1000
    assert (np.diff(support.score[0]) >= 0).all()
    np.testing.assert_array_equal(support.cuts[0][-50:], np.sort(score)[-50:])
    np.testing.assert_array_equal(support.cuts[0][:50], np.sort(score)[:50])
    decided = [(score >= t).sum() for t in support.thresholds[0]]
    np.testing.assert_array_equal(decided, [(score >= cut).sum() for cut in support.cuts[0]])


def test_ties_are_one_point_and_short_classes_are_filled_up_without_weight():
    tied = SortedClass(np.array([1.0, 1, 1, 2, 2, 5]), np.array([0, 1, 0, 1, 1, 0]))
    longer = SortedClass(np.arange(9.0), np.arange(9) % 2)
    support = condense([tied, longer], REAL)
    assert support.cuts[0].tolist() == [1, 2, 5]
    assert support.thresholds[0].tolist() == [1, 1.5, 3.5]
    assert support.score[0].tolist() == [1, 2] + [5] * 7
    assert support.positive[0].tolist() == [1, 2] + [0] * 7
    assert support.negative[0].tolist() == [2, 0, 1] + [0] * 6
    assert support.weight[1].tolist() == [1] * 9


def test_points_grow_with_the_logarithm_of_the_number_of_rows():
    def n_points(n):
        return condense([SortedClass(np.arange(n) / n, np.arange(n) % 9 == 0)], REAL).score.shape[1]

    assert n_points(300_000) - n_points(30_000) <= 1.3 * (n_points(30_000) - n_points(3_000))


@pytest.mark.parametrize(("scale", "middle"), [(REAL, 0.4), (LOGIT, 1 / (1 + np.sqrt(8 / 3)))])
def test_a_threshold_parts_a_point_from_the_one_below_midway_on_the_line(scale, middle):
    after = np.nextafter(0.6, 1)
    support = condense([SortedClass(np.array([0.2, 0.6, after]), np.array([0, 1, 1]))], scale)
    np.testing.assert_array_equal(support.cuts[0], [0.2, 0.6, after])
    np.testing.assert_array_equal(support.thresholds[0][[0, 2]], [0.2, after])
    assert support.thresholds[0][1] == pytest.approx(middle)


def test_weights_are_counted_in_samples():
    weight = np.array([0.5, 2.0, 0.5, 1.0, 4.0])
    support = condense([SortedClass(np.arange(5.0), np.array([0, 1, 0, 1, 0]), weight)], REAL)
    np.testing.assert_allclose(support.positive[0], np.array([0, 2, 0, 1, 0]) * 5 / 8)
    np.testing.assert_allclose(support.negative[0], np.array([0.5, 0, 0.5, 0, 4]) * 5 / 8)
    assert support.unit[0] == 8 / 5


def test_small_data_is_not_condensed():
    score = np.arange(60.0)
    support = condense([SortedClass(score, score > 50)], REAL)
    np.testing.assert_array_equal(support.score[0], score)


def test_the_prior_is_learnt_from_the_classes():
    """With many classes of few rows each, shrunk coefficients are closer than each alone."""
    rng = np.random.default_rng(0)
    n_classes, n_points = 60, 40
    x = rng.normal(size=(n_classes, n_points))
    features = np.stack([np.ones_like(x), x], axis=2)
    true = np.array([-1.0, 1.5]) + 0.2 * rng.normal(size=(n_classes, 2))
    p = sigmoid(np.einsum("cnp,cp->cn", features, true))
    positive = (rng.random(p.shape) < p).astype(float)
    weight = np.ones_like(p)
    together = fit_logistic(features, positive, weight).probability
    alone = np.concatenate(
        [
            fit_logistic(features[[c]], positive[[c]], weight[[c]]).probability
            for c in range(n_classes)
        ]
    )
    assert ((together - p) ** 2).mean() < 0.6 * ((alone - p) ** 2).mean()


def test_the_evidence_prefers_the_scale_that_the_data_come_from():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(10, 400))
    positive = (rng.random(x.shape) < sigmoid(3 * x - 1)).astype(float)
    good = np.stack([np.ones_like(x), x], axis=2)
    bad = np.stack([np.ones_like(x), np.sign(x) * x**2], axis=2)
    weight = np.ones_like(x)
    evidence = [fit_logistic(f, positive, weight).log_evidence.sum() for f in (good, bad)]
    assert evidence[0] > evidence[1] + 5


def test_models_that_a_class_contradicts_lose_their_say(monkeypatch):
    """Each class on a unit of its own: one scale for all of them misleads."""
    y_true, logits = simulated(400, seed=15)
    unit = np.geomspace(1, 1000, y_true.shape[1])[np.random.default_rng(0).permutation(8)]
    classes = [SortedClass(unit[c] * logits[:, c], y_true[:, c]) for c in range(len(unit))]
    support = condense(classes, REAL)
    truth = sigmoid(support.score / unit[:, None])

    def error():
        return np.average((pooling.class_probability(support) - truth) ** 2, weights=support.weight)

    weighted = error()
    monkeypatch.setattr(
        pooling,
        "fit_logistic",
        lambda *arrays: fit_logistic(*arrays)._replace(log_evidence=np.zeros(len(unit))),
    )
    assert weighted < 0.8 * error()
