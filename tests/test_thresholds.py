"""The search against an oracle that tries every cut, one Python loop at a time."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from sklearn.metrics import f1_score, fbeta_score, precision_recall_curve, recall_score

from mlthresh import (
    InfeasibleError,
    InputError,
    Objective,
    cost,
    fbeta,
    find_optimal_thresholds,
)
from mlthresh.objectives import resolve_objective


def _divide(a, b):
    return a / b if b else 0.0


OBJECTIVES = {
    "f1": lambda tp, fp, fn, tn: _divide(2 * tp, 2 * tp + fp + fn),
    "jaccard": lambda tp, fp, fn, tn: _divide(tp, tp + fp + fn),
    "mcc": lambda tp, fp, fn, tn: _divide(
        tp * tn - fp * fn,
        math.sqrt((tp + fp) * (tp + fn)) * math.sqrt((tn + fp) * (tn + fn)),
    ),
    "balanced_accuracy": lambda tp, fp, fn, tn: (_divide(tp, tp + fn) + _divide(tn, tn + fp)) / 2,
    "youden": lambda tp, fp, fn, tn: _divide(tp, tp + fn) + _divide(tn, tn + fp) - 1,
    fbeta(2): lambda tp, fp, fn, tn: _divide(5 * tp, 5 * tp + 4 * fn + fp),
    fbeta(0): lambda tp, fp, fn, tn: _divide(tp, tp + fp),
    cost(miss=4, false_alarm=1): lambda tp, fp, fn, tn: -(4 * fn + fp) / (tp + fp + fn + tn),
    cost(miss=1, false_alarm=0): lambda tp, fp, fn, tn: -fn / (tp + fp + fn + tn),
}
FLOORS = ("min_recall", "min_precision", "min_specificity")


def oracle(label, score, weight, objective, floors, lowest, highest):
    """Return (threshold, value, feasible) of one class with positives."""
    rows = [
        (s, y, w) for s, y, w in zip(score, label, weight, strict=True) if not np.isnan(y) and w > 0
    ]
    cuts = [*sorted({s for s, _, _ in rows if lowest <= s < highest}), highest]
    best = None
    for cut in cuts:
        tp = sum(w for s, y, w in rows if s >= cut and y == 1)
        fp = sum(w for s, y, w in rows if s >= cut and y == 0)
        fn = sum(w for s, y, w in rows if s < cut and y == 1)
        tn = sum(w for s, y, w in rows if s < cut and y == 0)
        rates = {
            "min_recall": (tp, tp + fn),
            "min_precision": (tp, tp + fp),
            "min_specificity": (tn, tn + fp),
        }
        missed = [
            floors[name] - rates[name][0] / rates[name][1] if rates[name][1] else math.inf
            for name in FLOORS
            if name in floors
        ]
        if "max_alarm_rate" in floors:
            missed.append((tp + fp) / (tp + fp + fn + tn) - floors["max_alarm_rate"])
        value = OBJECTIVES[objective](tp, fp, fn, tn)
        if all(m <= 0 for m in missed):
            key = (0.0, 0.0, -value)
        else:
            key = (max(missed), missed[0], -value)
        feasible = all(m <= 0 for m in missed)
        ranked = (not feasible, *key)
        if best is None or ranked < best[0]:
            best = (ranked, cut, value, feasible)
    _, cut, value, feasible = best
    below = [s for s, _, _ in rows if s < cut]
    if math.isinf(cut) or not below:
        return cut, value, feasible
    middle = max(below) / 2 + cut / 2
    return (max(middle, lowest) if middle > max(below) else cut), value, feasible


# Few distinct scores make ties; multiples of 1/8 make exact sums and exact middles.
scores = st.integers(0, 8).map(lambda i: i / 8)
bounds = st.none() | st.integers(-1, 9).map(lambda i: i / 8)
floor_values = st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.7, 0.9, 1.0])


@st.composite
def problems(draw):
    n = draw(st.integers(1, 12))
    c = draw(st.integers(1, 3))
    label = draw(hnp.arrays(np.float64, (n, c), elements=st.sampled_from([0.0, 1.0, np.nan])))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    score = draw(hnp.arrays(dtype, (n, c), elements=scores))
    weight = draw(st.none() | hnp.arrays(np.float64, n, elements=st.integers(0, 4)))
    if weight is not None and not weight.any():
        weight = None
    floors = draw(
        st.dictionaries(st.sampled_from([*FLOORS, "max_alarm_rate"]), floor_values, max_size=4)
    )
    lowest, highest = draw(bounds), draw(bounds)
    if lowest is not None and highest is not None and lowest > highest:
        lowest, highest = highest, lowest
    return label, score, weight, floors, lowest, highest


@given(problems(), st.sampled_from(list(OBJECTIVES)))
def test_exact_is_the_best_of_all_cuts(problem, objective):
    label, score, weight, floors, lowest, highest = problem
    found = find_optimal_thresholds(
        label,
        score,
        sample_weight=weight,
        objective=objective,
        min_threshold=lowest,
        max_threshold=highest,
        **floors,
    )
    assert found.thresholds.dtype == score.dtype
    rows = np.ones(len(label)) if weight is None else weight
    for c in range(label.shape[1]):
        if not ((label[:, c] == 1) & (rows > 0)).any():
            assert found.status[c] == "no_positives"
            assert found.thresholds[c] == np.inf
            continue
        threshold, value, feasible = oracle(
            label[:, c].tolist(),
            score[:, c].tolist(),
            rows.tolist(),
            objective,
            floors,
            -math.inf if lowest is None else lowest,
            math.inf if highest is None else highest,
        )
        assert found.status[c] == ("ok" if feasible else "infeasible")
        assert found.objective_value[c] == pytest.approx(value, abs=1e-12)
        if OBJECTIVES[objective] is not OBJECTIVES["mcc"] and objective != "youden":
            # Sums of rounded ratios tie by luck; elsewhere the threshold itself is the oracle's.
            assert found.thresholds[c] == threshold


@given(problems())
def test_the_reported_figures_are_those_of_the_decisions(problem):
    label, score, weight, floors, lowest, highest = problem
    found = find_optimal_thresholds(
        label,
        score,
        sample_weight=weight,
        min_threshold=lowest,
        max_threshold=highest,
        **floors,
    )
    decided = found.predict(score)
    rows = np.ones(len(label)) if weight is None else weight
    for c in range(label.shape[1]):
        known = ~np.isnan(label[:, c])
        y, p, w = label[known, c], decided[known, c], rows[known]
        tp, fp, fn = (w @ m for m in ((y == 1) & p, (y == 0) & p, (y == 1) & ~p))
        assert found.f1[c] == pytest.approx(_divide(2 * tp, 2 * tp + fp + fn))
        for rate, part, whole in (
            (found.recall[c], tp, tp + fn),
            (found.precision[c], tp, tp + fp),
            (found.alarm_rate[c], tp + fp, w.sum()),
        ):
            assert np.isnan(rate) if whole == 0 else rate == pytest.approx(part / whole)
        assert found.support[c] == ((y == 1) & (w > 0)).sum()


@given(problems(), st.sampled_from(["f1", "jaccard", "balanced_accuracy"]))
def test_a_promise_to_fall_with_false_alarms_changes_nothing(problem, name):
    label, score, weight, floors, lowest, highest = problem
    options = {"min_threshold": lowest, "max_threshold": highest, **floors}

    def by_hand(tp, fp, fn, tn):
        return np.array(
            [
                OBJECTIVES[name](*counts)
                for counts in zip(tp.tolist(), fp.tolist(), fn.tolist(), tn.tolist(), strict=True)
            ]
        )

    quick = find_optimal_thresholds(label, score, sample_weight=weight, objective=name, **options)
    full = find_optimal_thresholds(label, score, sample_weight=weight, objective=by_hand, **options)
    np.testing.assert_array_equal(quick.thresholds, full.thresholds)
    assert quick.status == full.status


@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 30), st.just(1)), elements=st.floats(-1e9, 1e9)
    ),
    st.data(),
)
def test_the_threshold_separates_at_any_float(score, data):
    """The middle of two neighbouring floats must still lie above the lower one."""
    label = data.draw(hnp.arrays(np.float64, score.shape, elements=st.sampled_from([0.0, 1.0])))
    found = find_optimal_thresholds(label, score)
    if label.any():
        decided = score[:, 0] >= found.thresholds[0]
        assert f1_score(label[:, 0], decided, zero_division=0) == pytest.approx(found.f1[0])
        precision, recall, _ = precision_recall_curve(label[:, 0], score[:, 0])
        curve = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
        assert found.f1[0] == pytest.approx(curve.max())


@pytest.mark.parametrize("steps", [0, 1])  # their middle is rounded to the even one of the two
def test_neighbouring_floats_keep_the_upper(steps):
    lower = np.float32(0.3)
    for _ in range(steps):
        lower = np.nextafter(lower, np.float32(1))
    upper = np.nextafter(lower, np.float32(1))
    found = find_optimal_thresholds([[0], [1]], np.array([[lower], [upper]]))
    assert found.thresholds[0] == upper


def naive_grid(y_true, y_score, min_recall, max_threshold):
    """One threshold and one class after another, scored by scikit-learn."""
    grid = [float(f"0.{i:02d}") for i in range(10, 91, 5)]
    chosen = []
    for c in range(y_true.shape[1]):
        best, best_f1 = None, -1.0
        for threshold in grid:
            if threshold > max_threshold:
                continue
            decided = y_score[:, c] >= np.asarray(threshold, dtype=y_score.dtype)
            if recall_score(y_true[:, c], decided) < min_recall:
                continue
            f1 = f1_score(y_true[:, c], decided, zero_division=0)
            if f1 > best_f1:
                best, best_f1 = threshold, f1
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(5))
def test_grid_equals_the_naive_loop(dtype, seed):
    rng = np.random.default_rng(seed)
    y_true = (rng.random((200, 6)) < [0.02, 0.05, 0.1, 0.2, 0.4, 0.9]).astype(int)
    y_true[0] = 1
    y_score = (rng.random(y_true.shape) * 0.6 + 0.4 * y_true).astype(dtype).round(2)
    found = find_optimal_thresholds(
        y_true, y_score, strategy="grid", min_recall=0.3, max_threshold=0.7
    )
    expected = naive_grid(y_true, y_score, 0.3, 0.7)
    assert found.status == ("ok",) * 6
    np.testing.assert_array_equal(found.thresholds, np.array(expected, dtype=dtype))


def test_the_default_grid_has_17_points_that_a_reader_would_write():
    for i, point in enumerate(range(10, 91, 5)):
        # One positive and one negative either side of the point: it alone separates them.
        y_score = np.array([[point / 100], [np.nextafter(point / 100, 0)]])
        found = find_optimal_thresholds([[1], [0]], y_score, strategy="grid")
        assert found.thresholds[0] == float(f"0.{point:02d}"), i


def test_a_maximum_of_70_percent_allows_70_percent():
    y_score = np.array([[0.70], [0.69], [0.1]], dtype=np.float32)
    for strategy in ("grid", "exact"):
        found = find_optimal_thresholds(
            [[1], [0], [0]], y_score, strategy=strategy, max_threshold=0.7
        )
        assert found.f1[0] == 1.0
        assert found.thresholds[0] <= np.float32(0.7)


def test_bounds_are_rounded_to_the_scores_data_type():
    y_score = np.array([[0.7], [0.7]], dtype=np.float32)
    found = find_optimal_thresholds([[1], [1]], y_score, max_threshold=0.7, min_threshold=0.7)
    assert found.thresholds[0] == np.float32(0.7)
    assert found.predict(y_score).all()


def test_ties_are_never_cut():
    y_score = np.full((6, 1), 0.5)
    found = find_optimal_thresholds([[1], [0], [0], [0], [0], [0]], y_score)
    assert found.alarm_rate[0] == 1.0
    assert found.f1[0] == pytest.approx(2 / 7)


def test_rows_without_any_label_do_not_count():
    y_true = np.array([[1, 0], [0, 1], [np.nan, np.nan]])
    y_score = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    with_row = find_optimal_thresholds(y_true, y_score)
    without = find_optimal_thresholds(y_true[:2], y_score[:2])
    np.testing.assert_array_equal(with_row.thresholds, without.thresholds)


def test_a_class_without_positives_is_never_positive_even_over_the_maximum():
    found = find_optimal_thresholds(
        np.array([[0, np.nan], [0, np.nan]]), np.full((2, 2), 0.9), max_threshold=0.7
    )
    assert found.status == ("no_positives", "no_positives")
    assert np.isinf(found.thresholds).all()
    assert not found.predict(np.full((1, 2), 1.0)).any()


def test_an_infeasible_class_by_policy():
    y_true, y_score = [[0], [1]], np.array([[0.9], [0.1]])
    options = {"min_precision": 0.9}
    closest = find_optimal_thresholds(y_true, y_score, **options)
    assert closest.status == ("infeasible",)
    assert closest.precision[0] == 0.5
    never = find_optimal_thresholds(y_true, y_score, on_infeasible="never", **options)
    assert never.status == ("infeasible",)
    assert never.thresholds[0] == np.inf
    with pytest.raises(InfeasibleError, match=r"'?DR'? .*fp=1"):
        find_optimal_thresholds(
            y_true, y_score, on_infeasible="raise", class_names=["DR"], **options
        )


def test_one_alarm_may_be_better_than_a_hit_among_many():
    """A floor on precision asks for a call, even one of 0; the positive lies below the others."""
    y_true, y_score = np.arange(24)[:, None] == 1, np.arange(24)[:, None] / 32
    for floor, called in (({}, 0), ({"min_precision": 0}, 1), ({"min_precision": 0.04}, 23)):
        found = find_optimal_thresholds(
            y_true, y_score, objective=cost(miss=1, false_alarm=1), **floor
        )
        assert found.predict(y_score).sum() == called


def test_options_hold_per_class():
    rng = np.random.default_rng(0)
    y_true = (rng.random((50, 2)) < 0.4).astype(int)
    y_score = rng.random((50, 2))
    both = find_optimal_thresholds(
        y_true, y_score, min_recall=[0.2, 0.9], max_threshold=np.array([0.3, np.inf])
    )
    for c, options in enumerate([{"min_recall": 0.2, "max_threshold": 0.3}, {"min_recall": 0.9}]):
        alone = find_optimal_thresholds(y_true[:, [c]], y_score[:, [c]], **options)
        assert both.thresholds[c] == alone.thresholds[0]


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, pd.DataFrame, pl.DataFrame])
def test_every_array_library_gives_the_same_thresholds(make):
    rng = np.random.default_rng(1)
    y_true = (rng.random((40, 3)) < 0.3).astype(np.float64)
    y_score = rng.random((40, 3))
    found = find_optimal_thresholds(make(y_true), make(y_score))
    np.testing.assert_array_equal(
        found.thresholds, find_optimal_thresholds(y_true, y_score).thresholds
    )
    decided = found.predict(make(y_score))
    assert type(decided) is type(make(y_score))
    np.testing.assert_array_equal(np.asarray(decided), y_score >= found.thresholds)


def test_bfloat16_scores_are_tuned_in_float32():
    y_score = torch.tensor([[0.3], [0.7]], dtype=torch.bfloat16)
    found = find_optimal_thresholds(torch.tensor([[0], [1]]), y_score)
    assert found.thresholds.dtype == np.float32
    assert found.predict(y_score).tolist() == [[False], [True]]


def test_a_frames_columns_become_class_names():
    frame = pd.DataFrame({"DR": [1, 0], "MH": [0, 1]})
    assert find_optimal_thresholds(frame, np.eye(2)).class_names == ("DR", "MH")
    with pytest.raises(InputError, match=r"column 0: 'DR' and 'MH'"):
        find_optimal_thresholds(frame, pd.DataFrame(np.eye(2), columns=["MH", "DR"]))


def test_what_a_frame_calls_missing_is_nan():
    rng = np.random.default_rng(0)
    y_true, y_score = (rng.random((50, 2)) < 0.4).astype(float), rng.random((50, 2))
    y_true[rng.random((50, 2)) < 0.2] = np.nan
    expected = find_optimal_thresholds(y_true, y_score)
    absent = pd.DataFrame(y_true, columns=["DR", "MH"])
    polars = pl.DataFrame(y_true, schema=["DR", "MH"]).fill_nan(None)
    mixed = absent.astype({"DR": "Int64"})
    for frame in (absent.astype("Int64"), absent.astype("boolean"), polars.cast(pl.Int8), mixed):
        found = find_optimal_thresholds(frame, y_score)
        np.testing.assert_array_equal(found.thresholds, expected.thresholds)
        np.testing.assert_array_equal(found.support, expected.support)
    with pytest.raises(InputError, match=r"y_score\[\d+, \d\] \('(DR|MH)'\) is nan"):
        find_optimal_thresholds(y_true, absent.astype("Float64"))


def test_a_frame_with_words_for_labels_is_refused():
    frame = pd.DataFrame({"DR": [1, 0], "MH": ["yes", "no"]}, dtype=object)
    with pytest.raises(InputError, match="y_true must be numeric, got dtype object"):
        find_optimal_thresholds(frame, np.eye(2))


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_sparse_labels_and_scores_are_read(make):
    rng = np.random.default_rng(0)
    y_true, y_score = rng.random((50, 3)) < 0.3, rng.random((50, 3))
    found = find_optimal_thresholds(make(y_true), make(y_score))
    expected = find_optimal_thresholds(y_true, y_score)
    np.testing.assert_array_equal(found.thresholds, expected.thresholds)
    decided = found.predict(make(y_score))
    assert type(decided) is make
    np.testing.assert_array_equal(decided.toarray(), expected.predict(y_score))


def test_longer_floats_and_other_byte_orders_give_the_same_thresholds():
    y_true, y_score = np.array([[0], [1], [1]]), np.array([[0.25], [0.5], [0.75]])
    for dtype in (np.longdouble, ">f8", ">f4", "<f2"):
        found = find_optimal_thresholds(y_true, y_score.astype(dtype))
        assert found.thresholds.tolist() == [0.375]
        assert found.thresholds.dtype in (np.float32, np.float64)


def test_a_memory_map_is_read_in_place(tmp_path):
    rng = np.random.default_rng(0)
    y_true, y_score = (rng.random((50, 3)) < 0.3).astype(np.int8), rng.random((50, 3))
    for name, array in (("y_true", y_true), ("y_score", y_score)):
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("y_true", "y_score")]
    found = find_optimal_thresholds(*mapped)
    np.testing.assert_array_equal(
        found.thresholds, find_optimal_thresholds(y_true, y_score).thresholds
    )
    assert type(found.thresholds) is np.ndarray


def test_scores_outside_the_unit_interval_are_recorded_as_real():
    labels = [[0], [1]]
    assert find_optimal_thresholds(labels, [[0.0], [1.0]]).score_scale == "probability"
    assert find_optimal_thresholds(labels, [[-2.0], [1.0]]).score_scale == "real"
    declared = find_optimal_thresholds(labels, [[0.0], [1.0]], score_scale="real")
    assert declared.score_scale == "real"


def test_more_labels_do_not_change_a_class():
    rng = np.random.default_rng(2)
    y_true, y_score = (rng.random((30, 4)) < 0.3).astype(int), rng.random((30, 4))
    every = find_optimal_thresholds(y_true, y_score).thresholds
    np.testing.assert_array_equal(
        every[:2], find_optimal_thresholds(y_true[:, :2], y_score[:, :2]).thresholds
    )


def test_inputs_are_left_alone():
    y_true, y_score = np.array([[1.0], [np.nan]]), np.array([[0.5], [0.25]])
    before = y_true.copy(), y_score.copy()
    find_optimal_thresholds(y_true, y_score)
    np.testing.assert_array_equal(y_true, before[0])
    np.testing.assert_array_equal(y_score, before[1])


GOOD = {"y_true": [[0], [1]], "y_score": [[0.1], [0.9]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": [[0], [2]]}, r"y_true\[1, 0\] is 2"),
        ({"y_true": [[0.5], [1]]}, r"y_true\[0, 0\] is 0.5"),
        ({"y_true": [0, 1]}, r"shape \(2,\); pass a single class as a column"),
        ({"y_true": [["a"], ["b"]]}, "dtype <U1"),
        ({"y_true": [[0], [1, 2]]}, "rectangular"),
        ({"y_true": np.zeros((0, 1)), "y_score": np.zeros((0, 1))}, "no rows"),
        ({"y_true": np.zeros((2, 0)), "y_score": np.zeros((2, 0))}, "no columns"),
        ({"y_score": [[0.1], [np.nan]]}, r"y_score\[1, 0\] is nan"),
        ({"y_score": [[-np.inf], [0.5]]}, r"y_score\[0, 0\] is -inf"),
        ({"y_score": [[0.1, 0.2], [0.3, 0.4]]}, r"\(2, 2\), but the labels have shape \(2, 1\)"),
        ({"sample_weight": [1, -1]}, r"sample_weight\[1\] is -1"),
        ({"sample_weight": [0, 0]}, "zero in every row"),
        ({"sample_weight": ["a", "b"]}, "sample_weight must be numeric"),
        ({"sample_weight": [1]}, r"shape \(2,\), got \(1,\)"),
        ({"class_names": ["a", "b"]}, "2 class names for 1 classes"),
        ({"class_names": "a"}, "a sequence of names, got the string 'a'"),
        ({"y_true": np.ma.masked_equal([[0], [1]], 0)}, "y_true is a masked array.*NaN"),
        ({"y_score": [[0.1 + 1j], [0.5]]}, "dtype complex128"),
        ({"y_true": [[np.inf], [1]]}, r"y_true\[0, 0\] is inf; a label is 0, 1 or NaN"),
        ({"y_true": [[-1], [1]]}, r"y_true\[0, 0\] is -1"),
        ({"objective": "F2"}, "unknown objective 'F2'"),
        ({"objective": 3}, "objective must be"),
        ({"objective": lambda tp, fp, fn, tn: tp[:1] * np.nan}, "one number for each count"),
        ({"objective": lambda tp, fp, fn, tn: np.where(tp > 0, tp, np.nan)}, "returned NaN"),
        ({"min_recall": "high"}, "min_recall must be numeric, got 'high'"),
        ({"min_recall": 1.5}, r"min_recall must lie in \[0, 1\], got 1.5"),
        ({"min_recall": [0.5, 0.5]}, r"min_recall must be a number or have shape \(1,\)"),
        ({"max_threshold": np.nan}, "max_threshold must not be NaN"),
        ({"min_threshold": 0.8, "max_threshold": 0.7}, "0.8 exceeds max_threshold 0.7"),
        ({"strategy": "magic"}, "strategy must be one of"),
        ({"grid": [0.5]}, "grid applies to strategy='grid' only"),
        ({"strategy": "grid", "grid": []}, "non-empty"),
        ({"strategy": "grid", "max_threshold": 0.05}, "no grid point"),
        ({"on_infeasible": "ignore"}, "on_infeasible must be one of"),
        ({"score_scale": "logit"}, "score_scale must be one of"),
    ],
)
def test_bad_input_says_what_was_passed(change, message):
    arguments = {**GOOD, **change}
    y_true, y_score = arguments.pop("y_true"), arguments.pop("y_score")
    with pytest.raises(InputError, match=message):
        find_optimal_thresholds(y_true, y_score, **arguments)


def test_duplicate_class_names_are_refused():
    with pytest.raises(InputError, match="more than once: .'DR'"):
        find_optimal_thresholds(np.eye(2), np.eye(2), class_names=["DR", "DR"])


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="minimum_recall"):
        find_optimal_thresholds(**GOOD, minimum_recall=0.3)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_fbeta_and_cost_refuse(bad):
    with pytest.raises(InputError, match="beta must be finite"):
        fbeta(bad)
    with pytest.raises(InputError, match="cost miss"):
        cost(miss=bad, false_alarm=1)
    with pytest.raises(InputError, match="both be zero"):
        cost(miss=0, false_alarm=0)


def decided():
    rng = np.random.default_rng(8)
    label, called = rng.random((2, 50)) < 0.4
    tp, fp, fn = (m.sum(dtype=float) for m in (label & called, ~label & called, label & ~called))
    return label, called, [np.array([n]) for n in (tp, fp, fn, 50 - tp - fp - fn)]


@pytest.mark.parametrize("beta", [0, 0.3, 1, 2.0])
def test_fbeta_is_scikit_learns(beta):
    label, called, counts = decided()
    assert fbeta(beta)(*counts) == pytest.approx(fbeta_score(label, called, beta=beta))


@pytest.mark.parametrize(("miss", "false_alarm"), [(4, 1), (0.5, 0), (0, 2)])
def test_cost_is_the_mean_over_the_samples(miss, false_alarm):
    label, called, counts = decided()
    paid = np.where(label & ~called, miss, 0) + np.where(~label & called, false_alarm, 0)
    assert cost(miss=miss, false_alarm=false_alarm)(*counts) == pytest.approx(-paid.mean())


def test_an_objective_may_promise_to_fall_with_false_alarms():
    lift = Objective("hits_less_alarms", lambda tp, fp, fn, tn: 3 * tp - fp, True)
    found = find_optimal_thresholds([[1], [0], [1]], [[0.9], [0.5], [0.3]], objective=lift)
    assert found.objective_value[0] == 5
    assert found.options["objective"] == "hits_less_alarms"


@pytest.mark.parametrize("weight", [None, [1, 1, 2]])
def test_an_objective_is_called_with_float64_arrays_of_one_shape(weight):
    given = []

    def hits(*counts):
        given.extend(counts)
        return counts[0]

    for strategy in ("exact", "grid", "pooled"):
        find_optimal_thresholds(
            [[1], [0], [1]],
            np.array([[0.9], [0.5], [0.3]], dtype=np.float32),
            sample_weight=weight,
            objective=hits,
            strategy=strategy,
        )
    assert {count.dtype for count in given} == {np.dtype(np.float64)}
    assert all(count.shape == given[i // 4 * 4].shape for i, count in enumerate(given))


@pytest.mark.parametrize(
    "objective",
    [
        *("f1", "jaccard", "mcc", "balanced_accuracy", "youden"),
        *(fbeta(2), fbeta(0), cost(miss=4, false_alarm=1)),
    ],
    ids=lambda objective: getattr(objective, "name", objective),
)
def test_an_objective_keeps_the_promises_that_shorten_the_search(objective):
    """Every objective whose false alarms cost something makes both promises."""
    objective = resolve_objective(objective)
    assert objective.falls_with_false_alarms
    assert objective.rises_with_hits
    positives, negatives = 5, 7
    tp, fp = np.mgrid[: positives + 1, : negatives + 1].astype(float)
    value = objective(tp, fp, positives - tp, negatives - fp)
    assert (np.diff(value[1:], axis=1) < 0).all()
    assert (np.diff(value, axis=0) >= 0).all()


def test_where_false_alarms_cost_nothing_no_promise_is_made():
    misses = cost(miss=1, false_alarm=0)
    assert not misses.falls_with_false_alarms
    assert not misses.rises_with_hits


@pytest.mark.parametrize(
    ("lowest", "highest", "scale"),
    [(0, 1, "probability"), (-0.01, 1, "real"), (0, 1.01, "real"), (0.2, 0.4, "probability")],
)
def test_scores_within_the_unit_interval_are_recorded_as_probabilities(lowest, highest, scale):
    found = find_optimal_thresholds([[0], [1]], [[lowest], [highest]])
    assert found.score_scale == scale
