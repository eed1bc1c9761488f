"""Binned thresholds: exact counts, the same state by any route, and the search over rows."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlthresh import (
    InfeasibleError,
    InputError,
    ThresholdAccumulator,
    ThresholdSearch,
    cost,
    fbeta,
    find_optimal_thresholds,
)

FIGURES = ("objective_value", "precision", "recall", "f1", "alarm_rate", "support")


def accumulated(y_true, y_score, sample_weight=None, **options):
    accumulator = ThresholdAccumulator(np.shape(y_true)[1], **options)
    accumulator.update(y_true, y_score, sample_weight)
    return accumulator


def assert_same_state(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    for name in ("weight", "n_samples"):
        assert torch.equal(ours.pop(name), theirs.pop(name))
    assert ours == theirs


def simulated(n_samples, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    y_true = rng.random((n_samples, n_classes)) < np.geomspace(0.002, 0.05, n_classes)
    logit = rng.normal(size=y_true.shape) + 2.5 * y_true - 3
    return y_true, (1 / (1 + np.exp(-logit))).astype(np.float32)


@st.composite
def batches(draw, n_bins=16, on_edges=False):
    """Return labels with gaps and scores in [0, 1]."""
    n = draw(st.integers(1, 40))
    shape = (n, 2)
    labels = draw(hnp.arrays(float, shape, elements=st.sampled_from([0, 0, 1, np.nan])))
    if on_edges:
        steps = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, n_bins - 1)))
        return labels, (steps / n_bins).astype(np.float32)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return labels, draw(hnp.arrays(dtype, shape, elements=st.floats(0, 1, width=32)))


OPTIONS = st.fixed_dictionaries(
    {
        "objective": st.sampled_from(
            [
                *("f1", "jaccard", "mcc", "youden", "balanced_accuracy"),
                fbeta(2),
                cost(miss=5, false_alarm=1),
                lambda tp, fp, fn, tn: 2 * tp - fp,
            ]
        ),
        "on_infeasible": st.sampled_from(["closest", "never"]),
    },
    optional={
        "min_recall": st.sampled_from([0.3, 0.9]),
        "min_precision": st.sampled_from([0.0, 0.5]),
        "min_specificity": st.just(0.5),
        "max_alarm_rate": st.just(0.4),
        "min_threshold": st.sampled_from([-1.0, 0.125, 0.25]),
        "max_threshold": st.sampled_from([0.5, 0.75, 2.0]),
    },
)


# Binning


@given(
    st.data(),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([(0, 1), (0, 0.7), (-20, 20), (0.1, 0.3), (-3e38, 3e38), (1000, 1001)]),
    st.sampled_from([2, 3, 100, 1024, 8191]),
)
def test_counts_are_those_of_comparing_each_score_with_the_edge(data, dtype, ends, n_bins):
    accumulator = ThresholdAccumulator(1, n_bins=n_bins, score_range=ends)
    edges = accumulator._bins.edges
    width = 32 if dtype == np.float32 else 64
    low, high = (float(dtype(end)) for end in ends)
    near = st.sampled_from(edges.tolist())
    beside = near.map(lambda e: float(np.nextafter(dtype(e), dtype(-np.inf))))
    above = near.map(lambda e: float(np.nextafter(dtype(e), dtype(np.inf))))
    anywhere = st.floats(low, high, width=width)
    element = st.one_of(anywhere, near, beside, above).filter(lambda s: low <= s <= high)
    score = np.array(data.draw(st.lists(element, min_size=1, max_size=30)), dtype=dtype)
    accumulator.update(np.ones((len(score), 1)), score[:, None])
    from_edge_up = np.cumsum(accumulator._tally.weight[0, 1, ::-1])[::-1]
    np.testing.assert_array_equal(from_edge_up, (score[:, None] >= edges).sum(axis=0))


@given(batches(), OPTIONS)
def test_predict_on_the_same_scores_reproduces_the_figures(batch, options):
    labels, scores = batch
    found = accumulated(labels, scores, n_bins=10).compute(**options)
    assert found.thresholds.dtype == scores.dtype
    called = found.predict(scores)
    known = ~np.isnan(labels)
    for c in range(2):
        label, decided = labels[known[:, c], c] == 1, called[known[:, c], c]
        assert found.support[c] == label.sum()
        if label.any():
            assert found.recall[c] == (label & decided).sum() / label.sum()
        if len(label):
            assert found.alarm_rate[c] == decided.mean()
        if "max_threshold" in options and found.status[c] == "ok":
            assert found.thresholds[c] <= options["max_threshold"]
        if "min_threshold" in options and found.status[c] == "ok":
            assert found.thresholds[c] >= options["min_threshold"]


def test_both_float_types_in_one_accumulator_are_compared_in_the_wider():
    above_in_32 = 0.5 - 1e-9  # float32 rounds it up to the edge 0.5
    accumulator = accumulated(np.array([[0]]), np.array([[above_in_32]]), n_bins=2)
    accumulator.update(np.array([[1]]), np.array([[0.5]], dtype=np.float32))
    found = accumulator.compute()
    assert found.thresholds.dtype == np.float64
    assert found.predict(np.array([[above_in_32], [0.5]])).tolist() == [[False], [True]]


# Beside the search over rows


@given(batches(on_edges=True), OPTIONS)
def test_scores_on_edges_give_what_the_rows_give(batch, options):
    labels, scores = batch
    exact = find_optimal_thresholds(labels, scores, **options)
    binned = accumulated(labels, scores, n_bins=16).compute(**options)
    assert binned.status == exact.status
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(binned, name), getattr(exact, name))
    # Midway between two edges there may be no edge: then the next one.
    least, most = exact.thresholds, exact.thresholds + 1 / 16
    assert ((least <= binned.thresholds) & (binned.thresholds <= most)).all()
    np.testing.assert_array_equal(binned.predict(scores), exact.predict(scores))


@given(batches(on_edges=True), st.sampled_from(["f1", "youden", cost(miss=5, false_alarm=1)]))
@pytest.mark.parametrize("floor", [{}, {"min_recall": 0.5}])
@pytest.mark.parametrize("strategy", ["exact", "grid"])
def test_the_micro_average_is_that_of_the_rows(strategy, floor, batch, objective):
    labels, scores = batch
    options = {"objective": objective, "average": "micro", "strategy": strategy, **floor}
    if strategy == "grid":
        options["grid"] = np.arange(16) / 16
    exact = find_optimal_thresholds(labels, scores, **options)
    binned = accumulated(labels, scores, n_bins=16).compute(**options)
    assert binned.status == exact.status
    np.testing.assert_array_equal(binned.predict(scores), exact.predict(scores))
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(binned, name), getattr(exact, name))


@given(batches(on_edges=True), st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=40, max_size=40))
def test_weights_on_edges_give_what_the_rows_give(batch, weights):
    labels, scores = batch
    weight = np.array(weights[: len(labels)])
    weight[0] = 1.0
    exact = find_optimal_thresholds(labels, scores, sample_weight=weight)
    binned = accumulated(labels, scores, weight, n_bins=16).compute()
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(binned, name), getattr(exact, name))


@pytest.mark.parametrize("floor", [{"min_recall": 0.7}, {"min_specificity": 0.9}])
@pytest.mark.parametrize("n_bins", [64, 65536])
def test_a_certified_bound_is_the_rows_bound_or_safer(floor, n_bins):
    y_true, y_score = simulated(4000, 4)
    options = {**floor, "confidence": 0.9, "joint": True}
    exact = ThresholdSearch(**options, objective=_strict if "min_recall" in floor else _lax)
    binned = accumulated(y_true, y_score, n_bins=n_bins).compute(
        **options, objective=exact.objective
    )
    rows = exact.run(y_true, y_score)
    assert binned.certified.tolist() == rows.certified.tolist()
    assert binned.positives_missing.tolist() == rows.positives_missing.tolist()
    sign = 1 if "min_recall" in floor else -1
    np.testing.assert_allclose(binned.thresholds, rows.thresholds, atol=2 / n_bins)
    safer = "recall" if "min_recall" in floor else "alarm_rate"
    assert (sign * (getattr(binned, safer) - getattr(rows, safer)) >= 0).all()


def _strict(tp, fp, fn, tn):
    return -(tp + fp)


def _lax(tp, fp, fn, tn):
    return tp + fp


def test_equal_weights_certify_and_unequal_ones_do_not():
    y_true, y_score = simulated(2000, 3)
    options = {"min_recall": 0.6, "confidence": 0.9}
    plain = accumulated(y_true, y_score)
    tenth = accumulated(y_true, y_score, np.full(len(y_true), 0.1))
    np.testing.assert_array_equal(
        plain.compute(**options).thresholds, tenth.compute(**options).thresholds
    )
    with pytest.raises(InputError, match="equal sample_weight"):
        plain.merge(tenth).compute(**options)


def test_macro_f1_loses_at_most_a_ten_thousandth():
    y_true, y_score = simulated(100_000, 16)
    exact = find_optimal_thresholds(y_true, y_score)
    binned = accumulated(y_true, y_score).compute()
    lost = exact.f1 - binned.f1
    assert (lost >= 0).all()  # no cut beats the best of all cuts
    assert lost.mean() <= 1e-4
    assert lost.max() > 0  # it is an approximation


def test_macro_f1_loses_at_most_a_ten_thousandth_on_real_scores(data_dir):
    saved = np.load(data_dir / "ptbxl" / "ptbxl_exp0_xresnet1d101.npz")
    y_true, y_score = saved["y_val"], saved["score_val"]
    lost = find_optimal_thresholds(y_true, y_score).f1 - accumulated(y_true, y_score).compute().f1
    assert (lost >= 0).all()
    assert lost.mean() <= 1e-4


@pytest.mark.parametrize("scale", ["probability", "real"])
def test_pooled_is_close_to_pooled_over_rows(scale):
    y_true, y_score = simulated(5000, 6)
    ends = (0, 1)
    if scale == "real":
        y_score, ends = np.log(y_score / (1 - y_score)), (-16, 16)
    options = {"strategy": "pooled", "score_scale": scale, "min_recall": 0.2}
    rows = find_optimal_thresholds(y_true, y_score, **options)
    binned = accumulated(y_true, y_score, score_range=ends)
    found = binned.compute(**options)
    np.testing.assert_allclose(found.alarm_rate, rows.alarm_rate, rtol=0.05, atol=2e-4)
    assert np.isin(found.thresholds, binned._bins.edges).all()
    assert found.score_scale == scale


def test_pooled_expects_a_range_of_probabilities():
    binned = accumulated(np.eye(2), np.eye(2), score_range=(-20, 20))
    with pytest.raises(InputError, match="score_scale='real'"):
        binned.compute(strategy="pooled")


def test_pooled_lends_a_threshold_to_a_class_without_positives_or_samples():
    y_true, y_score = simulated(3000, 4)
    y_true = y_true.astype(float)
    y_true[:, 0], y_true[:, 1] = 0, np.nan
    binned = accumulated(y_true, y_score, n_bins=1000)
    found = binned.compute(strategy="pooled", max_threshold=0.3)
    assert found.status == ("no_positives", "no_positives", "ok", "ok")
    assert np.isin(found.thresholds, binned._bins.edges).all()
    assert (found.thresholds <= 0.3).all()


def test_grid_points_move_to_the_nearest_edge_within_the_bounds():
    labels = np.array([[1, 1], [0, 0]])
    scores = np.array([[0.9, 0.9], [0.1, 0.1]], dtype=np.float32)
    binned = accumulated(labels, scores, n_bins=32)

    def chosen(**options):
        return binned.compute(strategy="grid", **options).thresholds.tolist()

    assert chosen(grid=[0.26]) == [8 / 32, 8 / 32]
    assert chosen(grid=[0.27]) == [9 / 32, 9 / 32]
    assert chosen(grid=[0.27], max_threshold=0.27) == [8 / 32, 8 / 32]
    assert chosen(grid=[0.26], min_threshold=0.26) == [9 / 32, 9 / 32]
    assert chosen(grid=[-3, 0.0, 1.5], max_threshold=-1) == [-3, -3]
    with pytest.raises(InputError, match="no grid point"):
        binned.compute(strategy="grid", grid=[0.2], min_threshold=0.3)
    fine = accumulated(labels, scores + np.float32(0.02)).compute(strategy="grid")
    assert fine.thresholds[0] == np.float32(round(0.15 * 65536) / 65536)


def test_bounds_between_two_edges_are_refused():
    binned = accumulated(np.array([[1], [0]]), np.array([[0.9], [0.1]]), n_bins=4)
    with pytest.raises(InputError, match="no edge of the 4 bins"):
        binned.compute(min_threshold=0.3, max_threshold=0.4)
    assert binned.compute(max_threshold=0.7).thresholds == [0.25]  # midway to 0.5
    assert binned.compute(min_threshold=0.7).thresholds == [0.75]
    assert binned.compute(min_threshold=0.9, on_infeasible="raise").thresholds > 1  # never


# One state by every route


@given(batches(), st.data())
def test_any_split_and_order_give_the_same_state_to_the_bit(batch, data):
    labels, scores = batch
    whole = accumulated(labels, scores, n_bins=100)
    order = data.draw(st.permutations(range(len(labels))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(labels)), max_size=3)))
    parts = ThresholdAccumulator(2, n_bins=100)
    for rows in np.split(np.array(order), cuts):
        parts.update(labels[rows], scores[rows])
    assert_same_state(whole, parts)


@given(batches(), batches(), batches())
def test_merging_is_associative_and_commutative(a, b, c):
    def of(batch):
        return accumulated(*batch, n_bins=100)

    left = of(a).merge(of(b)).merge(of(c))
    right = of(c).merge(of(a).merge(of(b)))
    assert_same_state(left, right)
    assert_same_state(left, ThresholdAccumulator(2, n_bins=100).merge(left))


def test_weights_that_are_multiples_of_a_power_of_two_are_exact_too():
    y_true, y_score = simulated(500, 3)
    weight = np.random.default_rng(0).integers(0, 9, 500) / 4
    whole = accumulated(y_true, y_score, weight)
    parts = ThresholdAccumulator(3)
    for rows in np.array_split(np.arange(500)[::-1], 7):
        parts.update(y_true[rows], y_score[rows], weight[rows])
    assert_same_state(whole, parts)


def test_other_weights_add_up_to_rounding():
    y_true, y_score = simulated(500, 3)
    weight = np.random.default_rng(0).random(500)
    whole = accumulated(y_true, y_score, weight, n_bins=8)
    assert_same_state(whole, accumulated(y_true, y_score, weight, n_bins=8))
    turned = accumulated(y_true[::-1], y_score[::-1], weight[::-1], n_bins=8)
    np.testing.assert_allclose(turned._tally.weight, whole._tally.weight, rtol=1e-13)
    np.testing.assert_array_equal(turned._tally.n_samples, whole._tally.n_samples)


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, pd.DataFrame, pl.DataFrame])
def test_every_array_library_gives_the_same_state(make):
    y_true, y_score = simulated(300, 3)
    names = ["a", "b", "c"]
    frames = {pd.DataFrame: {"columns": names}, pl.DataFrame: {"schema": names}}
    made = [make(array, **frames.get(make, {})) for array in (y_true.astype(float), y_score)]
    accumulator = ThresholdAccumulator(3)
    accumulator.update(*made)
    expected = accumulated(y_true, y_score)
    assert accumulator.class_names == (tuple(names) if make in frames else None)
    np.testing.assert_array_equal(accumulator._tally.weight, expected._tally.weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_compared_in_float32(dtype):
    y_true, y_score = simulated(300, 3)
    half = torch.as_tensor(y_score).to(dtype).requires_grad_()
    accumulator = accumulated(torch.as_tensor(y_true), half)
    assert_same_state(accumulator, accumulated(y_true, half.detach().float().numpy()))
    found = accumulator.compute()
    decided = found.predict(half).numpy()
    np.testing.assert_array_equal((decided & y_true).sum(axis=0) / y_true.sum(axis=0), found.recall)


@pytest.mark.parametrize("ends", [(0, 1), (-0.3, 1.1)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_counting_on_a_device_is_counting_on_the_processor(ends, dtype, monkeypatch):
    from mlthresh import _device_tally

    monkeypatch.setattr(_device_tally, "_BLOCK_ELEMENTS", 100)
    y_true, y_score = simulated(300, 3)
    y_true = y_true.astype(float)
    y_true[::7, 1] = np.nan
    scores = torch.as_tensor(y_score).to(dtype)
    expected = accumulated(y_true, scores, score_range=ends)
    tally = _device_tally.DeviceTally(3, expected._bins, torch.device("cpu"))
    assert tally.add_rows(torch.as_tensor(y_true[:200]), scores[:200])
    for bad in (float("nan"), float("inf"), 1.2, -0.4):
        wrong = scores[:9].clone()
        wrong[3, 1] = bad
        assert not tally.add_rows(torch.as_tensor(y_true[:9]), wrong)
    for wrong in (torch.full((9, 3), 2), torch.ones((9, 1)), torch.ones(3)):
        assert not tally.add_rows(wrong, scores[:9])
    assert not tally.add_rows(torch.ones(9), scores[:9, 0])
    assert not tally.add_rows(torch.ones((9, 3)), torch.ones((9, 3), dtype=torch.int64))
    assert tally.add_rows(torch.as_tensor(y_true[200:]), scores[200:])
    assert tally.add_rows(torch.ones((0, 3), dtype=torch.bool), scores[:0])
    np.testing.assert_array_equal(tally.fetch(), expected._tally.weight)
    assert not tally.fetch().any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_a_cuda_device_give_the_same_state():
    y_true, y_score = simulated(1000, 3)
    on_device = ThresholdAccumulator(3)
    for rows in np.array_split(np.arange(1000), 3):
        on_device.update(
            torch.as_tensor(y_true[rows]).cuda(), torch.as_tensor(y_score[rows]).cuda()
        )
    on_host = accumulated(y_true, y_score)
    assert_same_state(pickle.loads(pickle.dumps(on_device)), on_host)  # noqa: S301
    assert_same_state(on_device, on_host)
    with pytest.raises(InputError, match=r"y_score\[0, 1\] is 2.0, outside"):
        on_device.update(torch.ones((1, 3)).cuda(), torch.tensor([[1.0, 2.0, 0.0]]).cuda())
    assert_same_state(on_device, on_host)


def test_says_what_it_is_made_for():
    accumulator = ThresholdAccumulator(2, n_bins=64, score_range=(-1, 3), class_names=["a", "b"])
    assert (accumulator.n_classes, accumulator.n_bins) == (2, 64)
    assert accumulator.score_range == (-1, 3)
    assert accumulator.class_names == ("a", "b")
    shown = repr(accumulator)
    assert shown.startswith("ThresholdAccumulator(2, n_bins=64, score_range=(-1")
    assert "class_names=('a', 'b')" in shown


RANK = """
import numpy as np, torch, sys
from torch import distributed
from mlthresh import InputError, ThresholdAccumulator
rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
)
data = np.load(f"{folder}/data.npz")
rows = slice(0, 700) if rank == 0 else slice(700, None)
local = ThresholdAccumulator(3, class_names=["a", "b", "c"] if rank == 0 else None)
local.update(data["y_true"][rows], data["y_score"][rows])
before = local.state_dict()
first, again = local.all_reduce(), local.all_reduce()
assert torch.equal(before["weight"], local.state_dict()["weight"])
assert torch.equal(first.state_dict()["weight"], again.state_dict()["weight"])
empty = ThresholdAccumulator(3)
if rank == 0:
    empty.update(data["y_true"], data["y_score"])
states = [first.state_dict(), empty.all_reduce().state_dict()]
try:
    ThresholdAccumulator(3, n_bins=10 + rank).all_reduce()
except InputError as error:
    states.append(str(error))
alone = distributed.new_group([0])
if rank == 0:
    states.append(local.all_reduce(alone).state_dict())
else:
    try:
        local.all_reduce(alone)
    except InputError as error:
        assert "not a member" in str(error), error
    else:
        raise AssertionError("a group without this process was taken")
torch.save(states, f"{folder}/{rank}.pt")
distributed.destroy_process_group()
"""


def test_two_processes_give_the_state_of_one(tmp_path):
    y_true, y_score = simulated(1000, 3)
    np.savez(tmp_path / "data.npz", y_true=y_true, y_score=y_score)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(RANK), str(rank), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in range(2)
    ]
    errors = [rank.communicate(timeout=600)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    named = accumulated(y_true, y_score, class_names=["a", "b", "c"])
    unnamed = accumulated(y_true, y_score)
    for rank in range(2):
        both, one_empty, message, *alone = torch.load(tmp_path / f"{rank}.pt")
        for state, expected in ((both, named), (one_empty, unnamed)):
            loaded = ThresholdAccumulator(3)
            loaded.load_state_dict(state)
            assert_same_state(loaded, expected)
        assert "agree on n_bins, got 1" in message
        if rank == 0:
            assert alone[0]["n_samples"].sum() == 700 * 3


def test_without_a_process_group_all_reduce_is_a_copy():
    y_true, y_score = simulated(100, 2)
    local = accumulated(y_true, y_score)
    reduced = local.all_reduce()
    assert_same_state(local, reduced)
    local.update(y_true, y_score)
    assert reduced.compute().support.tolist() == y_true.sum(axis=0).tolist()


# Checkpoints


def test_a_saved_state_resumes(tmp_path):
    y_true, y_score = simulated(400, 3)
    first = accumulated(y_true[:250], y_score[:250], score_range=(0, 1.5))
    torch.save(first.state_dict(), tmp_path / "state.pt")
    resumed = ThresholdAccumulator(3, score_range=(0, 1.5))
    saved = torch.load(tmp_path / "state.pt")
    resumed.load_state_dict(saved)
    resumed.update(y_true[250:], y_score[250:])
    assert_same_state(resumed, accumulated(y_true, y_score, score_range=(0, 1.5)))
    assert torch.equal(saved["weight"], first.state_dict()["weight"])  # not written through
    assert_same_state(first, pickle.loads(pickle.dumps(first)))  # noqa: S301


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 2"),
        ({"n_classes": 4}, "n_classes"),
        ({"n_bins": 7}, "n_bins"),
        ({"score_range": [0.0, 2.0]}, "score_range"),
        ({"score_range": None}, "two numbers"),
        ({"class_names": ["a", "c"]}, "disagree"),
        ({"class_names": "ab"}, "must be a list"),
        ({"dtype": "float16"}, "dtype"),
        ({"dtype": None}, "dtype"),
        ({"weight_range": [1.0]}, "two numbers"),
        ({"weight": torch.zeros((2, 2, 9), dtype=torch.float64)}, "shape"),
        ({"weight": torch.zeros((2, 2, 8))}, "float32"),
        ({"weight": torch.full((2, 2, 8), -1.0, dtype=torch.float64)}, "negative"),
        ({"weight": torch.full((2, 2, 8), torch.nan, dtype=torch.float64)}, "finite"),
        ({"n_samples": torch.ones((2, 2), dtype=torch.int64)}, "n_samples"),
        ({"dtype": None, "weight_range": None}, "no row"),
        ({"more": 1}, "keys"),
    ],
)
def test_a_wrong_state_is_refused_whole(change, message):
    y_true, y_score = simulated(100, 2)
    saved = accumulated(y_true, y_score, n_bins=8, class_names=["a", "b"]).state_dict()
    accumulator = accumulated(y_true[:9], y_score[:9], n_bins=8, class_names=["a", "b"])
    before = pickle.loads(pickle.dumps(accumulator))  # noqa: S301
    with pytest.raises(InputError, match=message):
        accumulator.load_state_dict({**saved, **change})
    assert_same_state(accumulator, before)


# Input


def test_missing_labels_and_rows_of_weight_zero_do_not_count():
    y_true = np.array([[1, np.nan], [np.nan, np.nan], [0, 0], [0, 1]])
    y_score = np.array([[0.9, 0.1], [0.2, 0.3], [0.4, 0.6], [0.5, 0.9]])
    accumulator = accumulated(y_true, y_score, [1, 1, 1, 0])
    accumulator.update(y_true, y_score, np.zeros(4))  # a batch of padding
    found = accumulator.compute()
    assert found.status == ("ok", "no_positives")
    assert found.support.tolist() == [1, 0]
    assert found.thresholds[1] == np.inf
    assert accumulator.compute(min_recall=0.5, confidence=0.4).certified[0]


@pytest.mark.parametrize("label", [0, 1, np.nan])
def test_degenerate_classes(label):
    labels = np.full((30, 1), float(label))
    scores = np.linspace(0, 1, 30)[:, None]
    exact = find_optimal_thresholds(labels, scores)
    binned = accumulated(labels, scores, n_bins=29).compute()
    assert binned.status == exact.status
    np.testing.assert_array_equal(binned.thresholds, exact.thresholds)
    np.testing.assert_array_equal(binned.f1, exact.f1)


def test_an_infeasible_class_raises_by_name():
    binned = accumulated(np.array([[1], [0]]), np.array([[0.1], [0.9]]), class_names=["DR"])
    with pytest.raises(InfeasibleError, match="DR"):
        binned.compute(min_precision=0.9, on_infeasible="raise")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 0]], [[0.5, 1.5]]), r"y_score\[0, 1\] \('b'\) is 1.5, outside score_range"),
        (([[1, 0]], [[-0.1, 0.5]]), r"y_score\[0, 0\] \('a'\) is -0.1, outside"),
        (([[1, 0]], [[0.5, np.nan]]), "finite"),
        (([[1, 2]], [[0.5, 0.5]]), "a label is 0, 1 or NaN"),
        (([[1, 0]], [[0.5]]), "shape"),
        (([[1, 0, 1]], [[0.5, 0.5, 0.5]]), "has 2 classes"),
        (([[1, 0]], [[0.5, 0.5]], [-1.0]), "not negative"),
        (([[1, 0]], [[0.5, 0.5]], [1.0, 1.0]), "sample_weight must have shape"),
        (([[1, 0]], pd.DataFrame([[0.5, 0.5]], columns=["a", "c"])), "disagree"),
    ],
)
def test_a_bad_batch_is_refused_whole(arguments, message):
    accumulator = ThresholdAccumulator(2, class_names=["a", "b"])
    good = np.ones((1 << 17, 2)), np.full((1 << 17, 2), 0.5)
    with pytest.raises(InputError, match=message):
        accumulator.update(*arguments)
    wrong = good[1].copy()
    wrong[-1, 1] = 1.5
    with pytest.raises(InputError, match=r"y_score\[131071, 1\]"):
        accumulator.update(good[0], wrong)
    assert not accumulator._tally.weight.any()
    with pytest.raises(InputError, match="no rows"):
        accumulator.compute()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_classes": 0}, "n_classes"),
        ({"n_bins": 1}, "n_bins"),
        ({"n_bins": 2.5}, "n_bins"),
        ({"score_range": (1, 0)}, "score_range"),
        ({"score_range": (0, np.inf)}, "score_range"),
        ({"score_range": (0, 1e39)}, "score_range"),
        ({"score_range": 1}, "score_range"),
        ({"score_range": (1000, 1000.001)}, "finer than float32"),
        ({"class_names": ["a"]}, "1 class names for 2"),
    ],
)
def test_bad_construction_says_what_was_passed(arguments, message):
    with pytest.raises(InputError, match=message):
        ThresholdAccumulator(**{"n_classes": 2, **arguments})


def test_what_can_not_be_merged_or_asked_is_refused():
    accumulator = accumulated([[1, 0]], [[0.5, 0.5]])
    with pytest.raises(InputError, match="twice"):
        accumulator.merge(accumulator)
    for other in (
        ThresholdAccumulator(3),
        ThresholdAccumulator(2, n_bins=10),
        ThresholdAccumulator(2, score_range=(-1, 1)),
    ):
        with pytest.raises(InputError, match="agree on"):
            accumulator.merge(other)
    with pytest.raises(InputError, match="patient"):
        accumulator.compute(groups=[1])
    with pytest.raises(InputError, match="score_scale must be"):
        accumulator.compute(score_scale="log")
    named = ThresholdAccumulator(2, class_names=["a", "b"])
    assert accumulator.merge(named).class_names == ("a", "b")


def test_the_numpy_path_does_not_import_torch():
    code = (
        "import sys, numpy as np, mlthresh; a = mlthresh.ThresholdAccumulator(1);"
        "a.update(np.array([[1], [0]]), np.array([[.9], [.1]]));"
        "a.merge(mlthresh.ThresholdAccumulator(1)); a.compute(strategy='grid');"
        "sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
