"""Large data searched in part gives what the search of the whole gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmarks import fuzz
from mlthresh import Objective, cost, fbeta, find_optimal_thresholds, pruning, search, thinning
from mlthresh.constraints import Constraints
from mlthresh.counts import SortedClass
from mlthresh.evidence import Rows
from mlthresh.joint import Worth
from mlthresh.objectives import resolve_objective

OBJECTIVES = ["f1", "jaccard", "mcc", "youden", fbeta(2), cost(miss=5, false_alarm=1)]


def searched_whole(objective):
    """Return the same objective without the promise that lets a search stop early."""
    objective = resolve_objective(objective)
    return Objective(objective.name, objective.function, objective.falls_with_false_alarms)


def assert_same(y_true, y_score, objective, **options):
    part = find_optimal_thresholds(y_true, y_score, objective=objective, **options)
    whole = find_optimal_thresholds(y_true, y_score, objective=searched_whole(objective), **options)
    np.testing.assert_array_equal(part.thresholds, whole.thresholds)
    np.testing.assert_array_equal(part.recall, whole.recall)
    np.testing.assert_array_equal(part.alarm_rate, whole.alarm_rate)
    np.testing.assert_array_equal(part.support, whole.support)
    assert part.status == whole.status


@given(st.data(), st.sampled_from(OBJECTIVES))
def test_any_small_data(data, objective):
    # A context, since hypothesis runs many examples within one fixture.
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "_FEWEST_ROWS": 1,
            "_SAMPLED_ROWS": 5,
            "_BLOCK_ELEMENTS": 8,
            "_LARGEST_PART": 0.95,
        }.items():
            patch.setattr(pruning, name, value)
        shape = (data.draw(st.integers(5, 60)), 2)
        label = data.draw(hnp.arrays(float, shape, elements=st.sampled_from([0, 0, 0, 1, np.nan])))
        score = data.draw(hnp.arrays(np.float32, shape, elements=st.integers(0, 12)))
        options = data.draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "min_recall": st.sampled_from([0.3, 0.9]),
                    "min_precision": st.sampled_from([0.0, 0.5]),
                    "max_threshold": st.integers(2, 10),
                    "min_threshold": st.integers(0, 2),
                },
            )
        )
        assert_same(label, score, objective, **options)


def large(seed=0, n_samples=40_000):
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_samples, 4)) < [0.001, 0.01, 0.05, 0.4]).astype(float)
    return y_true, (rng.normal(size=y_true.shape) + 1.5 * y_true).astype(np.float32)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: getattr(o, "name", o))
def test_large_data(objective):
    assert_same(*large(), objective, min_recall=0.3)


def test_large_data_is_really_searched_in_part():
    y_true, y_score = large()
    f1 = resolve_objective("f1")
    parts = pruning.promising_parts(y_score, y_true, f1, Constraints())
    for part in parts[:3]:
        assert part is not None
        assert len(part.negative) < 0.25 * len(y_true)
    assert parts[3] is None  # a common class has to be sorted


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_where_parts_prove_enough_nothing_else_is_sorted(average, monkeypatch):
    y_true, y_score = (array[:, :3] for array in large())
    whole = find_optimal_thresholds(y_true, y_score, average=average)
    monkeypatch.delattr(Rows, "sorted_classes")
    part = find_optimal_thresholds(y_true, y_score, average=average)
    np.testing.assert_array_equal(part.thresholds, whole.thresholds)


@pytest.mark.parametrize("decimals", [0, 1])
def test_heavy_ties(decimals):
    y_true, y_score = large(1)
    assert_same(y_true, y_score.round(decimals), "f1")


def test_a_sample_that_misleads_costs_time_only():
    """Every row that the sample sees scores low: the floor suggested is far too low or absent."""
    y_true, y_score = large(2, 1 << 16)
    stride = len(y_true) // pruning._SAMPLED_ROWS
    for low in (True, False):
        misled = y_score.copy()
        rows = slice(None, None, stride)
        misled[rows] = np.where(y_true[rows] == 1, misled[rows], -20 if low else 20)
        assert_same(y_true, misled, "f1")


def test_missing_labels_and_bounds():
    y_true, y_score = large(3)
    y_true[::7] = np.nan
    assert_same(y_true, y_score, "f1", max_threshold=[0.5, 1.0, 3.0, 0.0], min_recall=0.2)
    assert_same(y_true, y_score, "f1", min_recall=0.9, confidence=0.9)


def test_weights_count_rows():
    y_true, y_score = large(5)
    weight = np.random.default_rng(0).integers(0, 3, len(y_true))
    repeated = np.repeat(np.arange(len(y_true)), weight)
    weighted = find_optimal_thresholds(y_true, y_score, sample_weight=weight)
    counted = find_optimal_thresholds(y_true[repeated], y_score[repeated])
    np.testing.assert_array_equal(weighted.thresholds, counted.thresholds)
    np.testing.assert_array_equal(weighted.f1, counted.f1)


def test_memory_order_and_integer_labels_do_not_matter():
    y_true, y_score = large(4)
    found = find_optimal_thresholds(y_true, y_score).thresholds
    for labels, scores in (
        (np.asfortranarray(y_true), np.asfortranarray(y_score)),
        (y_true.astype(np.int8), y_score),
        (y_true.astype(bool), y_score[:, ::1]),
    ):
        np.testing.assert_array_equal(find_optimal_thresholds(labels, scores).thresholds, found)


@given(st.integers(0, 10_000))
def test_cuts_searched_block_by_block_give_the_same(seed):
    case = fuzz.draw(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_CUTS_AT_ONCE", 2)
        fuzz.check(case)


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_cuts_that_are_thinned_give_the_same(seed, stretch):
    case = fuzz.draw(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thinning, "_FEW", 2)
        patch.setattr(thinning, "_STRETCH", stretch)
        fuzz.check(case)


@pytest.mark.parametrize("floors", [{}, {"min_recall": [0.5]}], ids=str)
@pytest.mark.parametrize("objective", ["f1", "mcc", Worth(1.0, 1.0)])
def test_most_cuts_of_a_large_class_are_not_looked_at(objective, floors):
    if isinstance(objective, str):
        objective = resolve_objective(objective)
    y_true, y_score = large()
    one_class = SortedClass(y_score[:, 3], y_true[:, 3])
    cuts, constraints = np.append(one_class.positive, np.float32(np.inf)), Constraints(**floors)
    kept = thinning.thinned(one_class, cuts, constraints, 0, objective)
    assert len(kept) < len(cuts) / 10
    counts = one_class.counts(cuts)
    feasible = np.all(constraints.of(0).shortfalls(counts) <= 0, axis=0)
    value = np.where(feasible, objective(*counts), -np.inf)
    assert set(cuts[value == value.max()]) <= set(kept)
    assert kept[-1] == np.inf  # which no positive lies above, so nothing bounds it


def test_no_cut_is_left_out_where_more_hits_may_be_worse():
    y_true, y_score = large()
    wanted = Objective("1,000 hits", lambda tp, fp, fn, tn: (tp == 1000) - fp / 1e6, True)
    found = find_optimal_thresholds(y_true[:, 3:], y_score[:, 3:], objective=wanted)
    assert found.recall[0] == 1000 / found.support[0]


def test_a_few_cuts_and_those_of_which_none_is_feasible_stay_as_they_are():
    y_true, y_score = large()
    for c, floors in ((1, {}), (3, {"max_alarm_rate": [-1.0]})):
        one_class = SortedClass(y_score[:, c], y_true[:, c])
        cuts, f1 = one_class.positive, resolve_objective("f1")
        assert thinning.thinned(one_class, cuts, Constraints(**floors), 0, f1) is cuts
