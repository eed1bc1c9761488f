"""The promise on unseen patients: exact ranks, and coverage that a simulation can refute."""

from __future__ import annotations

import sys
from fractions import Fraction
from functools import partial
from math import comb
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlthresh import (
    InputError,
    ThresholdSearch,
    cost,
    find_optimal_thresholds,
    positives_needed,
)
from mlthresh.certify import Units, certify, largest_rank
from mlthresh.evidence import Rows


def of_rows(score, label, groups, **floors):
    """Return the certificate of one class."""
    rows = Rows(score[:, None], label[:, None], groups=groups)
    return certify(partial(rows.units, 0), score.dtype, **floors)


def at_most(m, n, p):
    """P(Binomial(n, p) <= m), in exact fractions."""
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(m + 1))


@given(st.integers(0, 40), st.sampled_from([0.3, 0.5, 0.8]), st.sampled_from([0.8, 0.9, 0.95]))
def test_the_rank_is_the_largest_that_keeps_the_promise(n, floor, confidence):
    p, wanted = Fraction(floor), Fraction(confidence)
    kept = [k for k in range(1, n + 1) if at_most(n - k, n, p) >= wanted]
    assert largest_rank(n, floor, confidence) == max(kept, default=0)


@given(st.floats(0, 0.99), st.floats(0.01, 0.999))
@example(0.01, 0.9999)  # where rounding puts the quotient of logarithms above 2
@example(0.8, 1 - 0.8**4)  # and here the power
def test_positives_needed_is_the_fewest_that_certify(min_recall, confidence):
    n = positives_needed(min_recall, confidence)
    assert largest_rank(n, min_recall, confidence) >= 1
    assert n == 1 or largest_rank(n - 1, min_recall, confidence) == 0


def test_positives_needed_refuses():
    for min_recall, confidence in ((1.0, 0.9), (-0.1, 0.9), (0.3, 0.0), (0.3, 1.0), (0.3, "x")):
        with pytest.raises(InputError, match="min_recall must|confidence must"):
            positives_needed(min_recall, confidence)


NORMAL = NormalDist()


def strict(tp, fp, fn, tn):
    """Prefer the fewest alarms: the highest threshold that the floor allows."""
    return -(tp + fp)


def draw(rng, n_positive, n_negative, *, ties):
    score = np.concatenate([rng.normal(1, 1, n_positive), rng.normal(0, 1, n_negative)])
    label = np.r_[np.ones(n_positive), np.zeros(n_negative)]
    return np.round(score, 0 if ties else 12)[:, None], label[:, None]


def recall_of(threshold, *, ties):
    """Return the recall in the population that `draw` samples."""
    edge = np.ceil(threshold) - 0.5 if ties else threshold
    return 1 - NORMAL.cdf(float(edge) - 1)


def at_most_a_tenth(broken, rounds):
    """Tell whether a share is compatible with 10 %, within three standard errors."""
    return broken / rounds <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / rounds)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n_positive", [3, 10, 60, 500])
@pytest.mark.parametrize("objective", ["f1", strict], ids=["f1", "strict"])
def test_a_floor_on_recall_holds_on_unseen_samples(n_positive, ties, objective):
    rng = np.random.default_rng(n_positive)
    rounds, broken, feasible = 400, 0, 0
    for _ in range(rounds):
        score, label = draw(rng, n_positive, 50, ties=ties)
        found = find_optimal_thresholds(
            label, score, min_recall=0.3, confidence=0.9, objective=objective
        )
        assert found.certified[0] == (found.status[0] == "ok")
        feasible += found.certified[0]
        broken += found.certified[0] and recall_of(found.thresholds[0], ties=ties) < 0.3
    assert feasible == rounds  # three positives suffice for a floor of 0.3
    assert at_most_a_tenth(broken, rounds)
    if objective is strict and not ties and n_positive >= 60:
        assert broken > 0.02 * rounds, "a cap that hardly ever breaks is lower than it need be"


def test_without_confidence_the_same_floor_breaks_far_more_often():
    rng = np.random.default_rng(0)
    rounds, broken = 400, 0
    for _ in range(rounds):
        score, label = draw(rng, 4, 50, ties=False)
        found = find_optimal_thresholds(label, score, min_recall=0.5)
        broken += recall_of(found.thresholds[0], ties=False) < 0.5
    assert not at_most_a_tenth(broken, rounds)


def test_a_floor_on_specificity_is_the_mirror_image():
    rng = np.random.default_rng(0)
    rounds, broken = 400, 0
    for _ in range(rounds):
        score, label = draw(rng, 20, 30, ties=False)
        found = find_optimal_thresholds(
            label, score, min_specificity=0.8, confidence=0.9, objective=cost(miss=9, false_alarm=1)
        )
        assert found.status[0] == "ok"
        broken += NORMAL.cdf(float(found.thresholds[0])) < 0.8
    assert at_most_a_tenth(broken, rounds)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=30))
def test_the_cap_is_a_positives_score_and_mirrors(values):
    score = np.array(values, dtype=np.float64)
    label = (np.arange(len(score)) % 2).astype(float)
    recall = of_rows(score, label, None, min_recall=0.3, min_specificity=None, confidence=0.8)
    mirror = of_rows(-score, 1 - label, None, min_recall=None, min_specificity=0.3, confidence=0.8)
    assert recall.holds == mirror.holds
    positives = np.sort(score[label == 1])
    k = largest_rank(len(positives), 0.3, 0.8)
    assert recall.highest == positives[max(k, 1) - 1]
    if recall.holds:
        # s >= t for -t' strictly above the negatives: the mirror's bound is the next float.
        assert mirror.lowest == np.nextafter(-recall.highest, np.inf)


def test_patients_are_the_units_where_groups_are_given():
    # Four patients; each one's second eye scores lower.
    score = np.array([0.9, 0.5, 0.8, 0.4, 0.7, 0.3, 0.6, 0.2, 0.1])
    label = np.array([1.0] * 8 + [0])
    groups = np.array(["a", "a", "b", "b", "c", "c", "d", "d", "e"])
    codes = np.unique(groups, return_inverse=True)[1]
    by_row = of_rows(score, label, None, min_recall=0.5, min_specificity=None, confidence=0.9)
    by_patient = of_rows(score, label, codes, min_recall=0.5, min_specificity=None, confidence=0.9)
    assert by_row.highest == np.sort(score[:8])[largest_rank(8, 0.5, 0.9) - 1]
    lowest = np.array([0.2, 0.3, 0.4, 0.5])
    assert by_patient.highest == lowest[largest_rank(4, 0.5, 0.9) - 1]
    assert by_patient.highest < by_row.highest


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (["a", None, "b"], r"groups\[1\] is None"),
        ([0.0, 1.0, np.nan], r"groups\[2\] is nan"),
        (pd.Series(["a", None, "b"]), r"groups\[1\] is (None|nan)"),
        (pd.Series([1, 2, None], dtype="Int64"), r"groups\[2\] is (<NA>|nan)"),
        (np.array(["2026-11-23", "NaT", "NaT"], dtype="datetime64[D]"), r"groups\[1\] is NaT"),
        (np.array([1, "a", 2], dtype=object), "must be of one kind"),
    ],
)
def test_rows_without_a_patient_are_refused_and_not_taken_for_one_patient(groups, said):
    with pytest.raises(InputError, match=said):
        find_optimal_thresholds([[1], [0], [1]], [[0.9], [0.1], [0.8]], groups=groups)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_patient_is_seen_without_pandas(missing, monkeypatch):
    monkeypatch.delitem(sys.modules, "pandas")
    groups = np.array(["a", missing, "b"], dtype=object)
    with pytest.raises(InputError, match=r"groups\[1\] is"):
        find_optimal_thresholds([[1], [0], [1]], [[0.9], [0.1], [0.8]], groups=groups)


def test_a_floor_holds_with_several_images_a_patient():
    """Eyes of a patient share most of their score: rows are not independent, patients are."""
    rng = np.random.default_rng(5)
    rounds, n_patients, broken = 400, 12, 0
    groups = np.repeat(np.arange(n_patients), 4)
    population = NormalDist(0, np.sqrt(1 + 0.1**2))
    for _ in range(rounds):
        patient = rng.normal(size=n_patients)[groups]
        score = (patient + 0.1 * rng.normal(size=len(groups)))[:, None]
        found = find_optimal_thresholds(
            np.ones_like(score),
            score,
            groups=groups,
            min_recall=0.5,
            confidence=0.9,
            objective=strict,
        )
        broken += population.cdf(float(found.thresholds[0])) > 0.5
    assert at_most_a_tenth(broken, rounds)


def test_too_few_positives_say_how_many_more():
    y_true = np.array([[1, 1], [0, 1], [0, 1], [0, 1]])
    y_score = np.array([[0.9, 0.9], [0.2, 0.8], [0.3, 0.7], [0.1, 0.6]])
    found = find_optimal_thresholds(y_true, y_score, min_recall=0.5, confidence=0.9)
    assert found.status == ("infeasible", "ok")
    assert found.certified.tolist() == [False, True]
    assert found.positives_missing.tolist() == [positives_needed(0.5, 0.9) - 1, 0]
    assert "3 more positives to certify" in str(found)


def test_joint_asks_more_of_each_class():
    """Each of the caps, at which the strict objective stays, gets a fifth of the risk."""
    rng = np.random.default_rng(0)
    y_true = np.ones((40, 5))
    y_score = rng.random((40, 5))
    options = {"objective": strict, "min_recall": 0.5}
    alone = find_optimal_thresholds(y_true, y_score, confidence=0.9, **options)
    joint = find_optimal_thresholds(y_true, y_score, confidence=0.9, joint=True, **options)
    single = find_optimal_thresholds(y_true, y_score, confidence=0.98, **options)
    np.testing.assert_array_equal(joint.thresholds, single.thresholds)
    assert (joint.thresholds < alone.thresholds).all()
    assert joint.certified.all()


@pytest.mark.parametrize("floor", ["min_recall", "min_specificity"])
def test_a_floor_of_zero_certifies_nothing_and_takes_no_share_of_the_risk(floor):
    rng = np.random.default_rng(0)
    y_true = (np.arange(80) % 2)[:, None].repeat(4, axis=1).astype(float)
    y_true[1:, 2] = 0  # no class without a floor lacks positives, whatever it has
    y_score = rng.random((80, 4)) + 0.2 * y_true
    names = ["a", "b", "c", "d"]
    options = {"confidence": 0.9, "joint": True, "class_names": names}
    found = find_optimal_thresholds(y_true, y_score, **{floor: [0.5, 0, 0, 0.4]}, **options)
    assert found.certified.tolist() == [True, False, False, True]
    assert found.positives_missing.tolist() == [0, 0, 0, 0]
    kept = find_optimal_thresholds(
        y_true[:, [0, 3]], y_score[:, [0, 3]], **{floor: [0.5, 0.4]}, confidence=0.95
    )
    np.testing.assert_array_equal(found.thresholds[[0, 3]], kept.thresholds)
    free = find_optimal_thresholds(y_true, y_score)
    np.testing.assert_array_equal(found.thresholds[[1, 2]], free.thresholds[[1, 2]])
    assert found.select(["a"]).options["joint_classes"] == 2


def test_the_cap_binds_whatever_the_objective_prefers():
    rng = np.random.default_rng(3)
    label = np.r_[np.ones(30), np.zeros(300)][:, None]
    score = np.r_[rng.normal(1, 1, 30), rng.normal(0, 1, 300)][:, None]
    cap = np.sort(score[:30, 0])[largest_rank(30, 0.8, 0.95) - 1]
    free = find_optimal_thresholds(label, score)
    found = find_optimal_thresholds(label, score, min_recall=0.8, confidence=0.95)
    assert free.thresholds[0] > cap
    assert found.thresholds[0] <= cap
    # Not a lower one: the allowed optimum is the best of the cuts up to the cap.
    alternative = find_optimal_thresholds(label, score, max_threshold=cap)
    assert found.thresholds[0] == alternative.thresholds[0]


def two_sided(n_positive, n_negative, seed=0):
    rng = np.random.default_rng(seed)
    label = np.r_[np.ones(n_positive), np.zeros(n_negative)]
    return rng.normal(size=len(label)) + label, label


def test_two_floors_share_the_risk():
    score, label = two_sided(60, 200)
    both = of_rows(score, label, None, min_recall=0.6, min_specificity=0.7, confidence=0.8)
    halves = [
        of_rows(score, label, None, min_recall=r, min_specificity=s, confidence=0.9)
        for r, s in ((0.6, None), (None, 0.7))
    ]
    assert (both.lowest, both.highest) == (halves[1].lowest, halves[0].highest)
    whole = of_rows(score, label, None, min_recall=0.6, min_specificity=None, confidence=0.8)
    assert both.highest < whole.highest


@pytest.mark.parametrize(("n_positive", "n_negative"), [(3, 200), (200, 3), (3, 3), (0, 9), (9, 0)])
def test_two_floors_need_enough_of_both_labels(n_positive, n_negative):
    score, label = two_sided(n_positive, n_negative)
    floors = {"min_recall": 0.8, "min_specificity": 0.8, "confidence": 0.9}
    promise = of_rows(score, label, None, **floors)
    assert not promise.holds
    needed = positives_needed(0.8, 0.95)
    assert promise.positives_missing == (0 if n_positive == 200 else needed - n_positive)
    found = find_optimal_thresholds(label[:, None], score[:, None], **floors)
    assert not found.certified[0]


def test_a_promise_that_leaves_one_threshold_is_kept():
    # The negatives lie at one float, the positives at the next.
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))
    score = np.array([low] * 40 + [high] * 40)[:, None]
    label = (score > low).astype(int)
    found = find_optimal_thresholds(
        label, score, min_recall=0.8, min_specificity=0.8, confidence=0.9
    )
    assert found.thresholds[0] == high
    assert found.status == ("ok",)
    assert found.certified[0]


def test_a_lower_bound_at_the_cap_leaves_it():
    score = np.random.default_rng(0).random((60, 1))
    label = np.ones((60, 1), dtype=int)
    floor = {"min_recall": 0.5, "confidence": 0.9}
    cap = of_rows(score[:, 0], label[:, 0], None, min_specificity=None, **floor).highest
    found = find_optimal_thresholds(label, score, min_threshold=float(cap), **floor)
    assert found.thresholds[0] == cap
    assert found.certified[0]
    assert found.status == ("ok",)


def test_promises_that_exclude_each_other_are_not_kept():
    score, label = two_sided(40, 40)
    arguments = {"y_true": label[:, None], "y_score": score[:, None]}
    floors = {"min_recall": 0.55, "min_specificity": 0.55}
    promise = of_rows(score, label, None, confidence=0.9, **floors)
    assert promise.lowest > promise.highest
    assert find_optimal_thresholds(**arguments, **floors).status == ("ok",)
    found = find_optimal_thresholds(**arguments, confidence=0.9, **floors)
    assert found.status == ("infeasible",)
    assert not found.certified[0]


@pytest.mark.parametrize("floor", ["min_recall", "min_specificity"])
def test_patients_leave_the_scores_data_type_alone(floor):
    score, label = two_sided(40, 40)
    score = score.astype(np.float32)[:, None]
    options = {floor: 0.5, "confidence": 0.9}
    found = find_optimal_thresholds(label[:, None], score, groups=np.arange(80) // 2, **options)
    assert found.thresholds.dtype == np.float32


def test_without_rows_there_are_no_units():
    nothing = np.empty(0)
    groups = np.empty(0, dtype=np.intp)
    for units in (groups, None):
        assert Units.of_rows(nothing, nothing == 1, units).n == 0


def test_a_bound_above_the_cap_is_kept_and_not_certified():
    rng = np.random.default_rng(4)
    label, score = np.ones((20, 1)), rng.random((20, 1))
    found = find_optimal_thresholds(
        label, score, min_recall=0.5, confidence=0.9, min_threshold=0.95
    )
    assert found.status == ("infeasible",)
    assert not found.certified[0]
    assert found.thresholds[0] >= 0.95


def test_a_grid_above_the_cap_is_infeasible_not_an_error():
    rng = np.random.default_rng(4)
    label, score = np.ones((20, 1)), rng.random((20, 1)) * 0.05
    found = find_optimal_thresholds(label, score, strategy="grid", min_recall=0.5, confidence=0.9)
    assert found.status == ("infeasible",)
    assert not found.certified[0]


def test_options_that_do_not_apply_raise():
    arguments = {"y_true": [[1], [0]], "y_score": [[0.5], [0.2]]}
    with pytest.raises(InputError, match="confidence applies to min_recall"):
        ThresholdSearch(confidence=0.9)
    with pytest.raises(InputError, match="joint applies with confidence"):
        ThresholdSearch(joint=True)
    with pytest.raises(InputError, match="groups applies with confidence"):
        find_optimal_thresholds(**arguments, groups=["a", "b"])
    with pytest.raises(InputError, match="equal sample_weight"):
        find_optimal_thresholds(**arguments, sample_weight=[1, 2], min_recall=0.3, confidence=0.9)
    promise = {"min_recall": 0.3, "confidence": 0.6}
    even = find_optimal_thresholds(**arguments, sample_weight=[2, 2], **promise)
    assert (
        even.thresholds.tolist()
        == find_optimal_thresholds(**arguments, **promise).thresholds.tolist()
    )
    with pytest.raises(InputError, match="confidence must be"):
        ThresholdSearch(min_recall=0.3, confidence=1.5)
