"""The micro-averaged optimum against brute force over the product of all classes' cuts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlthresh import (
    InfeasibleError,
    InputError,
    Objective,
    ThresholdAccumulator,
    ThresholdSet,
    cost,
    fbeta,
    find_optimal_thresholds,
    pruning,
)
from mlthresh._segments import Segments
from mlthresh.cli import main
from mlthresh.counts import Counts
from mlthresh.joint import best_sum
from mlthresh.objectives import resolve_objective

OBJECTIVES = [
    "f1",
    "jaccard",
    "balanced_accuracy",
    "youden",
    fbeta(2),
    fbeta(0),
    cost(miss=4, false_alarm=1),
    cost(miss=1, false_alarm=0),
    cost(miss=0, false_alarm=1),
]
FLOORS = ("min_recall", "min_precision", "min_specificity")


def counts_at(label, score, weight, threshold):
    called = score >= threshold
    return tuple(
        float(weight[chosen].sum())
        for chosen in (
            (label == 1) & called,
            (label == 0) & called,
            (label == 1) & ~called,
            (label == 0) & ~called,
        )
    )


def shortfalls(counts, floors):
    tp, fp, fn, tn = counts
    missed = []
    for name, part, whole in zip(FLOORS, (tp, tp, tn), (tp + fn, tp + fp, tn + fp), strict=True):
        if name in floors:
            missed.append(floors[name] - part / whole if whole else math.inf)
    if "max_alarm_rate" in floors:
        missed.append((tp + fp) / (tp + fp + fn + tn) - floors["max_alarm_rate"])
    return missed


def admissible_cuts(label, score, weight, floors, points, *, give_up):
    """Return (threshold, counts) of the cuts that one class may take, and if they are feasible."""
    cuts = [(point, counts_at(label, score, weight, point)) for point in points]
    missed = [shortfalls(counts, floors) for _, counts in cuts]
    feasible = [i for i, m in enumerate(missed) if all(x <= 0 for x in m)]
    if feasible:
        return [cuts[i] for i in feasible], True
    if give_up:
        return [(math.inf, counts_at(label, score, weight, math.inf))], False
    nearest = min((max(m), m[0]) for m in missed)
    return [cuts[i] for i, m in enumerate(missed) if (max(m), m[0]) == nearest], False


def brute_force(label, score, weight, objective, floors, points_of, *, give_up):
    """Return the best value, the lowest thresholds that reach it, and each class's feasibility."""
    objective = resolve_objective(objective)
    choices, feasible = [], []
    for c in range(label.shape[1]):
        y, s = label[:, c], score[:, c]
        if not ((y == 1) & (weight > 0)).any():
            choices.append([(math.inf, counts_at(y, s, weight, math.inf))])
            feasible.append(None)
            continue
        cuts, is_feasible = admissible_cuts(
            y, s, weight, floors, points_of(s[~np.isnan(y) & (weight > 0)]), give_up=give_up
        )
        choices.append(cuts)
        feasible.append(is_feasible)
    combinations = list(itertools.product(*choices))
    summed = np.array([[cut[1] for cut in one] for one in combinations]).sum(axis=1)
    value = objective(*summed.T)
    best = [
        [cut[0] for cut in one]
        for one, v in zip(combinations, value, strict=True)
        if v > value.max() - 1e-12
    ]
    lowest = np.min(best, axis=0)
    assert lowest.tolist() in best  # all classes can take the lowest at once
    return value.max(), lowest, feasible


@st.composite
def problems(draw):
    n, c = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    label = draw(hnp.arrays(np.float64, (n, c), elements=st.sampled_from([0.0, 0.0, 1.0, np.nan])))
    scores = st.integers(0, 8).map(lambda i: i / 8)
    score = draw(hnp.arrays(draw(st.sampled_from([np.float32, float])), (n, c), elements=scores))
    weight = draw(st.none() | hnp.arrays(np.float64, n, elements=st.integers(0, 4)))
    if weight is not None and not weight.any():
        weight = None
    rates = st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.7, 0.9, 1.0])
    floors = draw(st.dictionaries(st.sampled_from([*FLOORS, "max_alarm_rate"]), rates, max_size=3))
    lowest, highest = sorted(draw(st.tuples(scores, scores)))
    bounds = {"min_threshold": lowest, "max_threshold": highest}
    kept = draw(st.sets(st.sampled_from(sorted(bounds))))
    return label, score, weight, floors, {name: bounds[name] for name in kept}


@given(
    problems(),
    st.sampled_from(OBJECTIVES),
    st.sampled_from(["exact", "grid"]),
    st.sampled_from(["closest", "never"]),
)
def test_the_best_of_all_combinations_of_cuts(problem, objective, strategy, on_infeasible):
    label, score, weight, floors, bounds = problem
    low, high = bounds.get("min_threshold", -math.inf), bounds.get("max_threshold", math.inf)
    grid = np.arange(9) / 8 if strategy == "grid" else None

    def points(known_scores):
        if strategy == "grid":
            return [p for p in grid.tolist() if low <= p <= high]
        return [*sorted({s for s in known_scores.tolist() if low <= s < high}), high]

    found = find_optimal_thresholds(
        label,
        score,
        sample_weight=weight,
        objective=objective,
        average="micro",
        strategy=strategy,
        grid=grid,
        on_infeasible=on_infeasible,
        **floors,
        **bounds,
    )
    rows = np.ones(len(label)) if weight is None else weight
    value, lowest, feasible = brute_force(
        label, score, rows, objective, floors, points, give_up=on_infeasible == "never"
    )
    np.testing.assert_allclose(found.objective_value, value, atol=1e-12)
    expected = ["no_positives" if f is None else "ok" if f else "infeasible" for f in feasible]
    assert list(found.status) == expected
    # The same decisions as the lowest thresholds of all optima.
    known = ~np.isnan(label) & (rows > 0)[:, None]
    np.testing.assert_array_equal((found.predict(score) & known), (score >= lowest) & known)


@given(problems(), st.sampled_from(OBJECTIVES), st.sampled_from(["exact", "grid"]))
def test_of_one_class_it_is_that_class_alone(problem, objective, strategy):
    label, score, weight, floors, bounds = problem
    options = {"objective": objective, "strategy": strategy, **floors, **bounds}
    if strategy == "grid":
        options["grid"] = np.arange(9) / 8
    one = label[:, :1], score[:, :1]
    alone = find_optimal_thresholds(*one, sample_weight=weight, **options)
    micro = find_optimal_thresholds(*one, sample_weight=weight, average="micro", **options)
    assert micro.thresholds.tolist() == alone.thresholds.tolist()
    assert micro.objective_value.tolist() == pytest.approx(alone.objective_value.tolist())
    assert micro.status == alone.status


def test_the_missed_positives_of_a_class_that_is_given_up_count():
    """Six more misses make the other class's last ten hits worth fifteen false alarms."""
    hits, alarms, late, silent = np.split(np.arange(65), [10, 25, 35])
    y_true, y_score = np.zeros((65, 2)), np.full((65, 2), 0.1)
    for rows, label, score in ((hits, 1, 0.9), (alarms, 0, 0.5), (late, 1, 0.3)):
        y_true[rows, 0], y_score[rows, 0] = label, score
    y_true[silent[:6], 1] = 1  # among negatives of the same score
    options = {"average": "micro", "min_precision": [0, 1], "on_infeasible": "never"}
    found = find_optimal_thresholds(y_true, y_score, **options)
    assert found.thresholds.tolist() == [pytest.approx(0.2), np.inf]
    assert found.objective_value[0] == pytest.approx(2 * 20 / (2 * 20 + 15 + 6))


def test_the_negatives_of_a_class_without_positives_count():
    """Among the 50 negatives of both classes six false alarms cost less than a fifth of recall."""
    y_true, y_score = np.zeros((40, 2)), np.tile(-np.arange(40.0), (2, 1)).T
    y_true[[0, 1, 2, 3, 10], 0], y_true[15:, 0] = 1, np.nan
    options = {"objective": "youden", "average": "micro"}
    found = find_optimal_thresholds(y_true, y_score, **options)
    assert (y_score >= found.thresholds).sum(axis=0).tolist() == [11, 0]
    alone = find_optimal_thresholds(y_true[:, :1], y_score[:, :1], **options)
    assert (y_score[:, :1] >= alone.thresholds).sum() == 4


def test_a_precision_of_zero_may_be_better_than_a_dear_hit():
    """Above its one positive, a class has to call something for a precision, and then calls one."""
    y_true, y_score = np.zeros((24, 2)), np.tile(np.arange(24) / 32, (2, 1)).T
    y_true[-8:, 0] = y_true[1, 1] = 1
    found = find_optimal_thresholds(y_true, y_score, average="micro", min_precision=[0.5, 0])
    assert (y_score >= found.thresholds).sum(axis=0).tolist() == [8, 1]
    free = find_optimal_thresholds(y_true, y_score, average="micro")
    assert (y_score >= free.thresholds).sum(axis=0).tolist() == [8, 0]


def test_the_alarms_that_a_class_is_spared_by_giving_it_up_do_not():
    """They would lower the average so far that five late hits were worth fifteen alarms."""
    y_true, y_score = np.zeros((100, 2)), np.full((100, 2), 0.1)
    hits, alarms, late, silent = np.split(np.arange(100), [20, 35, 40])
    for rows, label, score in ((hits, 1, 0.9), (alarms, 0, 0.5), (late, 1, 0.3)):
        y_true[rows, 0], y_score[rows, 0] = label, score
    y_true[silent[:2], 1] = 1  # among negatives of the same score
    options = {"average": "micro", "min_precision": [0.1, 1]}
    called = {
        policy: find_optimal_thresholds(y_true, y_score, on_infeasible=policy, **options)
        .predict(y_score)
        .sum(axis=0)
        .tolist()
        for policy in ("never", "closest")
    }
    assert called == {"never": [20, 0], "closest": [40, 100]}


def test_where_a_class_can_not_be_hit():
    """An alarm costs the average nothing if no class can be hit, else the fewest are best."""
    y_true, y_score = np.zeros((24, 2)), np.tile(np.arange(24) / 32, (2, 1)).T
    y_true[:3] = 1
    options = {"average": "micro", "min_threshold": [0.5, 0.5]}
    for chosen in ({}, {"min_precision": 0.5}):
        found = find_optimal_thresholds(y_true, y_score, **options, **chosen)
        assert (y_score >= found.thresholds).sum(axis=0).tolist() == [8, 8]
    y_true[20:, 0] = 1
    for chosen, alarms in (({}, 0), ({"min_precision": 0.5}, 1)):  # no alarm, no precision
        found = find_optimal_thresholds(y_true, y_score, **options, **chosen)
        assert (y_score >= found.thresholds).sum(axis=0).tolist() == [4, alarms]


def large(seed=0, n_samples=40_000):
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_samples, 5)) < [0.001, 0.01, 0.05, 0.2, 0]).astype(float)
    return y_true, (rng.normal(size=y_true.shape) + 2 * y_true).astype(np.float32)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: getattr(o, "name", o))
@pytest.mark.parametrize("floors", [{}, {"min_recall": 0.5, "max_alarm_rate": 0.2}], ids=str)
def test_large_data_is_searched_in_part(objective, floors, monkeypatch):
    y_true, y_score = large()
    y_true[::9, 1] = np.nan
    options = {"objective": objective, "average": "micro", **floors}
    part = find_optimal_thresholds(y_true, y_score, **options)
    monkeypatch.setattr(pruning, "_FEWEST_ROWS", 1 << 20)
    whole = find_optimal_thresholds(y_true, y_score, **options)
    np.testing.assert_array_equal(part.thresholds, whole.thresholds)
    np.testing.assert_array_equal(part.objective_value, whole.objective_value)
    np.testing.assert_array_equal(part.recall, whole.recall)


@pytest.mark.parametrize("objective", ["f1", "jaccard"])
def test_a_class_of_many_cuts_beside_one_of_few(objective):
    """Alone the vague class calls at its own best F1; beside the clear one only what is surer."""
    rng = np.random.default_rng(0)
    y_true = np.zeros((12_000, 2))
    y_true[:3000, 0] = y_true[-2000:, 1] = 1
    y_score = rng.normal(size=y_true.shape) + [0.8, 4] * y_true
    y_score[:, 1] = y_score[:, 1].round(1)
    found = find_optimal_thresholds(y_true, y_score, objective=objective, average="micro")
    every_cut = []
    for label, score in zip(y_true.T, y_score.T, strict=True):
        cuts = np.unique(score)
        hits, all_called = (
            len(scores) - np.sort(scores).searchsorted(cuts)
            for scores in (score[label == 1], score)
        )
        every_cut.append((cuts, hits, all_called - hits))
    (vague, *of_vague), (clear, *of_clear) = every_cut
    tp, fp = (a[:, None] + b for a, b in zip(of_vague, of_clear, strict=True))
    value = resolve_objective(objective)(tp, fp, 5000 - tp, 19_000 - fp)
    best = np.unravel_index(value.argmax(), value.shape)
    np.testing.assert_array_equal(
        found.predict(y_score), y_score >= [vague[best[0]], clear[best[1]]]
    )
    assert found.objective_value[0] == pytest.approx(value.max())


def test_micro_is_better_together_and_macro_better_alone():
    y_true, y_score = large(n_samples=3000)
    sets = {
        average: find_optimal_thresholds(y_true, y_score, average=average)
        for average in ("macro", "micro")
    }

    def micro_f1(thresholds):
        called = y_score >= thresholds
        return 2 * (called & (y_true == 1)).sum() / (called.sum() + (y_true == 1).sum())

    assert micro_f1(sets["micro"].thresholds) > micro_f1(sets["macro"].thresholds)
    assert sets["micro"].f1.mean() < sets["macro"].f1.mean()
    # In both, the mean of the objective's values is the average that was maximised.
    value = sets["micro"].objective_value.mean()
    assert value == pytest.approx(micro_f1(sets["micro"].thresholds))


def test_a_certified_floor_holds_for_each_class():
    y_true, y_score = large(n_samples=3000)
    floor = {"average": "micro", "min_recall": 0.6}
    observed = find_optimal_thresholds(y_true, y_score, **floor)
    certified = find_optimal_thresholds(y_true, y_score, confidence=0.9, **floor)
    assert certified.certified[1:4].all()
    assert (certified.recall[1:4] >= observed.recall[1:4]).all()
    assert (certified.thresholds[1:3] < observed.thresholds[1:3]).all()


def test_pooled_maximises_the_average_of_expected_counts():
    """With thousands of positives the expectation is nearly the observed counts."""
    rng = np.random.default_rng(0)
    y_true = (rng.random((60_000, 3)) < [0.1, 0.2, 0.4]).astype(float)
    logits = 2 * rng.normal(size=y_true.shape) + 3 * y_true - 2
    y_score = 1 / (1 + np.exp(-logits))
    exact = find_optimal_thresholds(y_true, y_score, average="micro")
    pooled = find_optimal_thresholds(y_true, y_score, average="micro", strategy="pooled")
    macro = find_optimal_thresholds(y_true, y_score, strategy="pooled")
    assert exact.objective_value[0] - 0.002 < pooled.objective_value[0] <= exact.objective_value[0]
    np.testing.assert_allclose(pooled.thresholds, exact.thresholds, atol=0.06)
    assert np.abs(macro.thresholds - exact.thresholds).max() > 0.1


def test_pooled_without_any_positive_is_never_positive():
    y_true, y_score = large(n_samples=2000)
    options = {"average": "micro", "strategy": "pooled", "score_scale": "real"}
    found = find_optimal_thresholds(y_true, y_score, **options)
    assert found.status[4] == "no_positives"
    assert np.isfinite(found.thresholds[1:4]).all()
    assert np.isinf(find_optimal_thresholds(0 * y_true, y_score, **options).thresholds).all()


def test_an_infeasible_class_raises_if_asked_to():
    with pytest.raises(InfeasibleError, match="class 1"):
        find_optimal_thresholds(
            [[1, 0], [0, 1]],
            [[0.9, 0.8], [0.1, 0.2]],
            average="micro",
            min_precision=0.9,
            on_infeasible="raise",
        )


@pytest.mark.parametrize(
    "objective",
    ["mcc", lambda tp, fp, fn, tn: tp - fp, Objective("own", lambda *counts: counts[0])],
)
def test_other_objectives_have_no_exact_average(objective):
    with pytest.raises(InputError, match="average='micro' applies to f1, fbeta"):
        find_optimal_thresholds([[1]], [[0.5]], objective=objective, average="micro")


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: getattr(o, "name", o))
@given(*(st.integers(1, 99) for _ in range(4)))
def test_the_worth_is_the_slope(objective, tp, fp, fn, tn):
    objective = resolve_objective(objective)
    step = 1e-4

    def slope(hits, alarms):
        ends = [
            [tp + d * hits, fp + d * alarms, fn - d * hits, tn - d * alarms] for d in (-step, step)
        ]
        low, high = objective(*np.array(ends).T)
        return (high - low) / (2 * step)

    gain, loss = objective.worth(*map(float, (tp, fp, fn, tn)))
    slopes = slope(1, 0), -slope(0, 1)
    np.testing.assert_allclose(
        np.array([gain, loss]) / (gain + loss), np.array(slopes) / sum(slopes), atol=1e-5
    )


def test_an_objective_has_to_say_what_a_hit_is_worth():
    counts = Counts(*np.ones((4, 1)))
    with pytest.raises(TypeError, match="objective 'mcc' does not say what a hit is worth"):
        best_sum(Segments([1]), counts, np.array([True]), resolve_objective("mcc"))


def test_an_objective_may_say_what_a_hit_is_worth():
    own = Objective(
        "twice", lambda tp, fp, fn, tn: 2 * tp - fp, True, True, lambda tp, fp, fn, tn: (2.0, 1.0)
    )
    found = find_optimal_thresholds(
        [[1, 0], [0, 1], [0, 0]],
        [[0.9, 0.8], [0.5, 0.2], [0.1, 0.4]],
        objective=own,
        average="micro",
    )
    assert found.objective_value.tolist() == [2.0, 2.0]
    assert found.predict([[0.9, 0.8], [0.5, 0.2]]).tolist() == [[True, True], [False, True]]


def test_an_unknown_average_is_refused():
    with pytest.raises(InputError, match="average must be one of"):
        find_optimal_thresholds([[1]], [[0.5]], average="weighted")


def test_an_accumulator_and_the_command_line_take_it_too(tmp_path, capsys):
    y_true, y_score = large(n_samples=3000)
    y_score = (1 / (1 + np.exp(-y_score))).astype(np.float32)
    exact = find_optimal_thresholds(y_true, y_score, average="micro")
    accumulator = ThresholdAccumulator(y_true.shape[1])
    accumulator.update(y_true, y_score)
    binned = accumulator.compute(average="micro")
    assert binned.objective_value[0] == pytest.approx(exact.objective_value[0], abs=1e-3)
    np.savez(tmp_path / "scores.npz", y_true=y_true, y_score=y_score)
    output = tmp_path / "thresholds.json"
    command = ["tune", str(tmp_path / "scores.npz"), "--average", "micro", "-o", str(output)]
    assert main(command) == 0
    loaded = ThresholdSet.load(output)
    np.testing.assert_array_equal(loaded.thresholds, exact.thresholds)
    assert loaded.options["average"] == "micro"
    assert "class 0" in capsys.readouterr().out
