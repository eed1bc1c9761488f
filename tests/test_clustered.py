"""Intervals for several images a patient: exact where patients have one, honest where not."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from benchmarks.clustered_intervals import coverage_of_rates, coverage_of_reports, draw_patients
from mlthresh import multilabel_report
from mlthresh._clustered import clustered_auroc_interval, clustered_interval, sum_by_unit
from mlthresh._intervals import auroc_interval, clopper_pearson, hoeffding_interval
from mlthresh._ranking import placements

RATES = ("prevalence", "alarm_rate", "recall", "specificity", "precision", "f1", "auroc")


def test_sums_of_a_patients_rows():
    rng = np.random.default_rng(0)
    rows, units = (
        rng.random((50, 3)) < 0.4,
        np.unique(rng.integers(9, size=50), return_inverse=True)[1],
    )
    expected = [rows[units == unit].sum(axis=0) for unit in range(units.max() + 1)]
    np.testing.assert_array_equal(sum_by_unit(rows, units), expected)


@given(
    hnp.arrays(
        np.int64, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=st.integers(0, 2)
    ),
    st.sampled_from([0.5, 0.9, 0.99]),
)
def test_one_row_a_patient_is_clopper_and_pearsons_interval(code, confidence):
    trials, successes = (code > 0).astype(float), (code == 2).astype(float)
    expected = clopper_pearson(successes.sum(axis=0), trials.sum(axis=0), confidence)
    found = clustered_interval(successes, trials, confidence)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@st.composite
def patients(draw):
    n_units = draw(st.integers(1, 12))
    trials = draw(hnp.arrays(np.int64, (n_units, 2), elements=st.integers(0, 6)))
    share = draw(hnp.arrays(np.float64, (n_units, 2), elements=st.floats(0, 1)))
    return np.floor(trials * share + 0.5), trials.astype(float)


@given(patients())
def test_an_interval_holds_the_rate_and_is_no_narrower_than_for_independent_rows(counts):
    successes, trials = counts
    x, n = successes.sum(axis=0), trials.sum(axis=0)
    found = clustered_interval(successes, trials, 0.95)
    alone = [clustered_interval(successes[:, [c]], trials[:, [c]], 0.95)[0] for c in (0, 1)]
    np.testing.assert_allclose(found, alone, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(np.isnan(found), np.stack([n == 0] * 2, axis=1))
    exact = clopper_pearson(x, n, 0.95)
    for (lower, upper), (least, most), p in zip(
        found[n > 0], exact[n > 0], x[n > 0] / n[n > 0], strict=True
    ):
        assert 0 <= lower <= p + 1e-12
        assert p - 1e-12 <= upper <= 1
        assert lower <= least + 1e-12
        assert upper >= most - 1e-12


def test_rows_that_agree_count_as_one_at_most():
    outcome = np.array([1.0] * 12 + [0.0] * 4)[:, None]
    once = clopper_pearson([12], [16], 0.95)[0]
    tenfold = clustered_interval(10 * outcome, np.full((16, 1), 10.0), 0.95)[0]
    assert tenfold[0] < once[0]
    assert tenfold[1] > once[1]
    # All of them right: nothing tells how far they agree, so they count as patients.
    sure = clustered_interval(np.full((16, 1), 10.0), np.full((16, 1), 10.0), 0.95)[0]
    assert sure[1] == 1
    quantiles = stats.t.ppf(0.975, [159, 15])
    n = 16 * (quantiles[0] / quantiles[1]) ** 2
    assert sure[0] == pytest.approx(clopper_pearson(n, n, 0.95)[0])


def test_a_single_patient_of_several_rows_says_nothing_of_others():
    for hits, rows in ((3.0, 5.0), (1.0, 2.0), (2.0, 2.0)):
        found = clustered_interval(np.array([[hits]]), np.array([[rows]]), 0.95)
        assert found.tolist() == [[0, 1]]


def test_the_design_effect_is_the_ratio_of_variances():
    # Enough patients that neither the prior nor Student's quantile matters.
    rng = np.random.default_rng(0)
    trials = rng.integers(1, 5, size=(20000, 1)).astype(float)
    rate = rng.beta(2, 2, size=trials.shape)  # agreement 1 / (2 + 2 + 1)
    successes = rng.binomial(trials.astype(int), rate).astype(float)
    lower, upper = clustered_interval(successes, trials, 0.95)[0]
    n = trials.sum()
    effect = 1 + 0.2 * ((trials**2).sum() / n - 1)
    width = 2 * stats.norm.ppf(0.975) * np.sqrt(0.25 / n * effect)
    assert upper - lower == pytest.approx(width, rel=0.02)


@pytest.mark.parametrize("rows_each", ["two", "one to ten"])
def test_intervals_of_rates_cover_the_truth_however_rows_agree(rows_each):
    for case in product((8, 60), [rows_each], (0.5, 0.95), (0.0, 0.5, 1.0)):
        covered, _, independent, _ = coverage_of_rates(*case, n_samples=1000, seed=1)
        assert covered >= 0.93, case  # 0.95, less three standard errors
        if case[1:] == ("one to ten", 0.5, 1.0):
            assert independent < 0.7  # what ignoring patients would have done


def test_intervals_of_a_whole_report_cover_the_truth():
    found = coverage_of_reports(60, "one to ten", 0.3, 0.8, n_samples=150)
    for name, (covered, _) in found.items():
        assert covered >= 0.9, name
    assert min(independent for _, independent in found.values()) < 0.75


def pairs_auroc(positive, negative):
    return placements(np.sort(positive), np.sort(negative))


def test_auroc_of_one_row_a_patient_is_delongs():
    rng = np.random.default_rng(0)
    for n_positive, n_negative in ((12, 40), (2, 5), (1, 9), (30, 1)):
        placed = pairs_auroc(rng.normal(1, 1, n_positive), rng.normal(0, 1, n_negative))
        units = np.arange(n_positive), n_positive + np.arange(n_negative)
        found = clustered_auroc_interval(*placed, *units, 0.9)
        np.testing.assert_allclose(found, auroc_interval(*placed, 0.9), rtol=1e-9)


def test_auroc_has_the_variance_of_a_bootstrap_over_patients():
    rng = np.random.default_rng(3)
    y_true, y_score, units = draw_patients(rng, 400, "one to ten", 0.3, 0.5)
    report = multilabel_report(
        y_true, y_score, 0.0, groups=units, confidence=0.6827, n_resamples=400
    )
    np.testing.assert_allclose(report.auroc_interval[0], report.macro_auroc_interval, atol=0.004)
    independent = multilabel_report(y_true, y_score, 0.0, confidence=0.6827, n_resamples=0)
    assert np.ptp(report.auroc_interval[0]) > 1.2 * np.ptp(independent.auroc_interval[0])


def test_auroc_without_a_variance_has_hoeffdings_interval_of_patients():
    placed = pairs_auroc(np.full(6, 2.0), np.arange(2, dtype=float) - 1)
    units = np.repeat([0, 1], 3), np.array([2, 3])
    expected = hoeffding_interval(1.0, 2, 0.95)
    assert clustered_auroc_interval(*placed, *units, 0.95) == expected
    empty = np.empty(0)
    none = clustered_auroc_interval(empty, placed[1], np.empty(0, int), units[1], 0.95)
    assert np.isnan(none).all()


# --- reports -----------------------------------------------------------------------------------


def sample(n_samples=240, seed=0):
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_samples, 3)) < [0.4, 0.2, 0.05]).astype(float)
    return y_true, 1 / (1 + np.exp(1 - rng.normal(size=y_true.shape) - 2 * y_true))


def test_a_patient_a_row_changes_no_class_interval():
    y_true, y_score = sample()
    y_true[::9, 1] = np.nan
    plain = multilabel_report(y_true, y_score, 0.5, n_resamples=50)
    names = np.array([f"p{i}" for i in range(240)])
    by_patient = multilabel_report(y_true, y_score, 0.5, groups=names, n_resamples=50)
    assert by_patient.n_groups == 240
    np.testing.assert_array_equal(by_patient.support_groups, plain.support)
    for name in RATES:
        expected = getattr(plain, f"{name}_interval")
        np.testing.assert_allclose(getattr(by_patient, f"{name}_interval"), expected, rtol=1e-9)
    assert plain.n_groups is None
    assert plain.support_groups is None


def test_the_same_rows_again_say_nothing_new():
    y_true, y_score = sample()
    once = multilabel_report(y_true, y_score, 0.5, n_resamples=400)
    twice = [np.repeat(array, 2, axis=0) for array in (y_true, y_score)]
    patients = np.repeat(np.arange(240), 2)
    doubled = multilabel_report(*twice, 0.5, groups=patients, n_resamples=400)
    careless = multilabel_report(*twice, 0.5, n_resamples=400)
    np.testing.assert_array_equal(doubled.support, 2 * once.support)
    np.testing.assert_array_equal(doubled.support_groups, once.support)
    for name in RATES:
        width, expected, narrow = (
            np.ptp(getattr(report, f"{name}_interval"), axis=1)
            for report in (doubled, once, careless)
        )
        assert (width >= 0.98 * expected).all(), name
        assert (width <= 1.35 * expected).all(), name
        assert (narrow < 0.9 * width).all(), name
    # The bootstrap draws the same patients for the same seed.
    np.testing.assert_allclose(doubled.macro_f1_interval, once.macro_f1_interval)
    assert np.ptp(careless.macro_f1_interval) < 0.85 * np.ptp(doubled.macro_f1_interval)
