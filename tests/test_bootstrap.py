"""Resampled rows, and the interval made of resampled values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mlthresh import _bootstrap
from mlthresh._bootstrap import bias_corrected_interval, row_multiplicities


def all_multiplicities(n_rows, n_resamples, seed):
    blocks = row_multiplicities(n_rows, n_resamples, np.random.default_rng(seed))
    return np.concatenate(list(blocks), axis=1)


def test_each_resample_has_as_many_rows_as_the_sample():
    multiplicity = all_multiplicities(50, 400, seed=0)
    assert multiplicity.shape == (50, 400)
    assert (multiplicity >= 0).all()
    assert (multiplicity.sum(axis=0) == 50).all()
    # Each row comes Binomial(50, 1/50) times: absent with probability 0.364.
    assert np.mean(multiplicity == 0) == pytest.approx(0.98**50, abs=0.02)


def test_resamples_depend_on_the_seed_and_not_on_the_blocks(monkeypatch):
    whole = all_multiplicities(30, 20, seed=5)
    assert not np.array_equal(whole, all_multiplicities(30, 20, seed=6))
    monkeypatch.setattr(_bootstrap, "_BLOCK_ELEMENTS", 90)  # three resamples at a time
    np.testing.assert_array_equal(all_multiplicities(30, 20, seed=5), whole)


def test_no_resamples():
    assert list(row_multiplicities(10, 0, np.random.default_rng(0))) == []
    assert np.isnan(bias_corrected_interval(0.5, np.empty(0), 0.95)).all()


def test_an_estimate_at_the_median_gets_the_percentile_interval():
    values = np.random.default_rng(0).gamma(2.0, size=1001)
    interval = bias_corrected_interval(np.median(values), values, 0.9)
    np.testing.assert_allclose(interval, np.quantile(values, [0.05, 0.95]), rtol=1e-3)


def test_an_estimate_above_the_median_moves_the_interval_up():
    values = np.random.default_rng(0).normal(size=1000)
    estimate = np.quantile(values, 0.7)
    z0, z = stats.norm.ppf(np.mean(values < estimate)), stats.norm.ppf(0.975)
    expected = np.quantile(values, stats.norm.cdf([2 * z0 - z, 2 * z0 + z]))
    interval = bias_corrected_interval(estimate, values, 0.95)
    np.testing.assert_allclose(interval, expected, rtol=1e-9)
    assert interval[0] > np.quantile(values, 0.025)


def test_estimates_outside_the_resampled_values_lie_half_a_value_beyond_them():
    values = np.linspace(0, 1, 101)
    for estimate, below in ((-1.0, 0.5 / 101), (2.0, 1 - 0.5 / 101)):
        z0, z = stats.norm.ppf(below), stats.norm.ppf(0.75)
        expected = np.quantile(values, stats.norm.cdf([2 * z0 - z, 2 * z0 + z]))
        found = bias_corrected_interval(estimate, values, 0.5)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert bias_corrected_interval(1.0, np.ones(50), 0.95) == (1.0, 1.0)


def test_undefined_values_are_left_out():
    values = np.array([0.1, np.nan, 0.3, 0.2, np.nan])
    expected = bias_corrected_interval(0.2, values[~np.isnan(values)], 0.9)
    assert bias_corrected_interval(0.2, values, 0.9) == expected
    assert np.isnan(bias_corrected_interval(np.nan, values, 0.9)).all()
