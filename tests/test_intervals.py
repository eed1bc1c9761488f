"""Intervals against exact binomial sums, an O(n^2) DeLong and seeded simulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mlthresh._intervals import (
    auroc_interval,
    clopper_pearson,
    f1_interval,
    hoeffding_interval,
    rate,
)
from mlthresh._ranking import placements


def test_rate_is_nan_without_a_denominator():
    np.testing.assert_array_equal(rate([1, 0, 0], [4, 2, 0]), [0.25, 0.0, np.nan])


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("n", [1, 2, 7, 400])
def test_clopper_pearson_is_scipys_exact_interval(n, confidence):
    for k in sorted({0, 1, n // 3, n - 1, n}):
        expected = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
        np.testing.assert_allclose(clopper_pearson(k, n, confidence), expected, rtol=1e-7)


def coverage_of_binomial(intervals, n, p):
    """Sum the probabilities of the counts whose interval holds p."""
    k = np.arange(n + 1)
    return stats.binom.pmf(k, n, p)[(intervals[:, 0] <= p) & (p <= intervals[:, 1])].sum()


@pytest.mark.parametrize("n", [1, 5, 40])
def test_clopper_pearson_never_covers_less_than_it_says(n):
    intervals = clopper_pearson(np.arange(n + 1), np.full(n + 1, n), 0.95)
    coverage = [coverage_of_binomial(intervals, n, p) for p in np.linspace(0.001, 0.999, 199)]
    assert min(coverage) >= 0.95 - 1e-12


def test_without_trials_there_is_no_interval():
    assert np.isnan(clopper_pearson(0, 0, 0.95)).all()
    assert np.isnan(f1_interval(0, 0, 0, 0.95)).all()
    assert clopper_pearson([3, 1], [4, 0], 0.9).shape == (2, 2)


def test_f1_interval_covers_the_f1_of_the_population():
    # A row is TP, FP, FN or TN with these probabilities; F1 is theirs.
    p = np.array([0.01, 0.02, 0.015, 0.955])
    f1 = 2 * p[0] / (2 * p[0] + p[1] + p[2])
    counts = np.random.default_rng(0).multinomial(300, p, size=4000)
    tp, fp, fn, _ = counts[counts[:, :3].sum(axis=1) > 0].T
    interval = f1_interval(tp, fp, fn, 0.9)
    assert np.mean((interval[:, 0] <= f1) & (f1 <= interval[:, 1])) >= 0.9
    estimate = 2 * tp / (2 * tp + fp + fn)
    assert ((interval[:, 0] <= estimate) & (estimate <= interval[:, 1])).all()


def test_f1_interval_depends_on_the_errors_by_their_sum_alone():
    np.testing.assert_array_equal(f1_interval(5, 3, 1, 0.95), f1_interval(5, 0, 4, 0.95))


@pytest.mark.parametrize("mean", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("n", [3, 50])
def test_hoeffding_interval_ends_where_the_bound_is_met(mean, n):
    lower, upper = hoeffding_interval(mean, n, 0.9)
    for end in (lower, upper):
        divergence = mean * np.log(mean / end) + (1 - mean) * np.log((1 - mean) / (1 - end))
        assert n * divergence == pytest.approx(np.log(2 / 0.1), rel=1e-6)
    assert 0 < lower < mean < upper < 1


@pytest.mark.parametrize("n", [1, 4, 30])
def test_hoeffding_interval_of_a_perfect_mean_is_clopper_pearsons(n):
    for k, mean in ((0, 0.0), (n, 1.0)):
        expected = clopper_pearson(k, n, 0.95)
        np.testing.assert_allclose(hoeffding_interval(mean, n, 0.95), expected, atol=1e-12)


def test_hoeffding_interval_never_covers_a_binomial_mean_less_than_it_says():
    n = 12
    intervals = np.array([hoeffding_interval(k / n, n, 0.9) for k in range(n + 1)])
    assert min(coverage_of_binomial(intervals, n, p) for p in np.linspace(0.01, 0.99, 99)) >= 0.9


def delong(positive, negative, confidence):
    """Return the interval from pairwise comparisons, as the paper writes it."""
    wins = np.array([[(x > y) + 0.5 * (x == y) for y in negative] for x in positive])
    area = wins.mean()
    variance = wins.mean(axis=1).var(ddof=1) / len(positive)
    variance += wins.mean(axis=0).var(ddof=1) / len(negative)
    freedom = min(len(positive), len(negative)) - 1
    half = stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(variance) / (area * (1 - area))
    centre = np.log(area / (1 - area))
    return 1 / (1 + np.exp(-centre + half)), 1 / (1 + np.exp(-centre - half))


@pytest.mark.parametrize(("n_positive", "n_negative"), [(2, 9), (6, 30), (25, 8)])
def test_auroc_interval_is_delongs(n_positive, n_negative):
    rng = np.random.default_rng(3)
    positive = np.sort(rng.integers(2, 9, n_positive).astype(float))
    negative = np.sort(rng.integers(0, 7, n_negative).astype(float))
    interval = auroc_interval(*placements(positive, negative), 0.95)
    np.testing.assert_allclose(interval, delong(positive, negative, 0.95), rtol=1e-10)


def test_auroc_interval_mirrors_when_positives_and_negatives_change_places():
    rng = np.random.default_rng(0)
    positive, negative = np.sort(rng.normal(1, 1, 8)), np.sort(rng.normal(0, 1, 50))
    lower, upper = auroc_interval(*placements(positive, negative), 0.95)
    mirrored = auroc_interval(*placements(negative, positive), 0.95)
    np.testing.assert_allclose(mirrored, (1 - upper, 1 - lower), rtol=1e-10)


@pytest.mark.parametrize(
    ("positive", "negative", "area"),
    [
        ([0.9], [0.1, 0.2, 0.3, 0.95], 0.75),  # a single positive
        ([0.1, 0.9], [0.5], 0.5),  # a single negative
        ([0.8, 0.9, 0.95], [0.1, 0.2, 0.3, 0.4], 1.0),  # perfect
        ([0.1, 0.2], [0.3, 0.5, 0.8], 0.0),  # reversed
        ([0.5, 0.5], [0.5, 0.5, 0.5], 0.5),  # constant scores
    ],
)
def test_auroc_without_a_variance_gets_the_distribution_free_interval(positive, negative, area):
    placed = placements(np.array(positive), np.array(negative))
    n = min(len(positive), len(negative))
    assert auroc_interval(*placed, 0.95) == hoeffding_interval(area, n, 0.95)


def test_auroc_of_one_kind_alone_has_no_interval():
    scores = np.array([0.1, 0.5])
    for pair in ((scores, scores[:0]), (scores[:0], scores)):
        assert np.isnan(auroc_interval(*placements(*pair), 0.95)).all()


@pytest.mark.parametrize(("n_positive", "at_least"), [(1, 0.95), (2, 0.93), (5, 0.9), (20, 0.9)])
def test_auroc_interval_covers_the_area_of_the_population(n_positive, at_least):
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(600):
        positive = np.sort(rng.normal(1.0, 1.0, n_positive))
        negative = np.sort(rng.normal(0.0, 1.0, 200))
        lower, upper = auroc_interval(*placements(positive, negative), 0.95)
        covered.append(lower <= stats.norm.cdf(np.sqrt(0.5)) <= upper)
    assert np.mean(covered) >= at_least
