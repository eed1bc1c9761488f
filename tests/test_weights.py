"""Class counts and weights, against naive loops and the published counts of RFMiD."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlthresh import (
    InputError,
    clamp_pos_weight,
    compute_pos_weight,
    count_classes,
    drop_rare_classes,
    effective_number_weights,
    rarest_class_weights,
)

NAN = math.nan

RFMID_TRAINING_COUNTS = {
    "DR": 376, "MH": 317, "ODC": 282, "TSLN": 186, "DN": 138, "MYA": 101, "ARMD": 100, "BRVO": 73,
    "ODP": 65, "ODE": 58, "LS": 47, "RS": 43, "CSR": 37, "CRS": 32, "CRVO": 28, "RPEC": 22,
}  # fmt: skip


def random_labels(seed: int, dtype: Any, n_rows: int, n_classes: int) -> np.ndarray:
    """Return labels of frequent and rare classes; floats with some of them missing."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n_rows, n_classes)) < rng.random(n_classes) ** 2).astype(dtype)
    if labels.dtype.kind == "f":
        labels[rng.random(labels.shape) < rng.random() / 2] = NAN
    return labels


def label_arrays() -> st.SearchStrategy[np.ndarray]:
    dtypes = st.sampled_from([np.bool_, np.uint8, np.int64, np.float32, np.float64])
    typical = st.builds(
        random_labels, st.integers(0, 2**32), dtypes, st.integers(1, 30), st.integers(1, 5)
    )
    degenerate = hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=4),
        elements=st.sampled_from([0.0, 1.0, NAN]),
    )
    return typical | degenerate


def naive_counts(labels: np.ndarray) -> tuple[list[int], list[int]]:
    columns = [[float(row[c]) for row in labels] for c in range(labels.shape[1])]
    known = [sum(not math.isnan(value) for value in column) for column in columns]
    return known, [sum(value == 1 for value in column) for column in columns]


def naive_row_weights(
    labels: np.ndarray, power: float, max_ratio: float | None, no_positive: Any
) -> list[float]:
    positives = naive_counts(labels)[1]
    weights: list[float | None] = []
    for row in labels:
        shown = [positives[c] for c in range(labels.shape[1]) if row[c] == 1]
        weights.append((1 / min(shown)) ** power if shown else None)
    if no_positive == "most_common":
        weights = [(1 / max(positives)) ** power if w is None else w for w in weights]
    elif no_positive != "mean":
        weights = [no_positive if w is None else w for w in weights]
    if max_ratio is not None:
        smallest = min((w for w in weights if w), default=0.0)
        weights = [w if w is None else min(w, smallest * max_ratio) for w in weights]
    known = [w for w in weights if w is not None]
    return [sum(known) / len(known) if w is None else w for w in weights]


@given(label_arrays())
def test_counts_equal_a_naive_loop(labels: np.ndarray) -> None:
    counts = count_classes(labels)
    known, positive = naive_counts(labels)
    assert counts.n_samples.tolist() == known
    assert counts.n_positive.tolist() == positive
    assert counts.n_samples.dtype == counts.n_positive.dtype == np.int64


def test_counts_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(0).choice([0, 1, NAN], size=(100, 3))
    whole = count_classes(labels), rarest_class_weights(labels)
    monkeypatch.setattr("mlthresh._arrays._BLOCK_ELEMENTS", 21)
    blocks = count_classes(labels), rarest_class_weights(labels)
    np.testing.assert_array_equal(whole[0], blocks[0])
    np.testing.assert_array_equal(whole[1], blocks[1])


def test_counts_of_no_rows_are_zero() -> None:
    counts = count_classes(np.zeros((0, 3)))
    assert counts.n_samples.tolist() == counts.n_positive.tolist() == [0, 0, 0]


@given(label_arrays(), st.floats(0.1, 1e3))
def test_pos_weight_is_negatives_over_positives_up_to_the_cap(
    labels: np.ndarray, cap: float
) -> None:
    known, positive = naive_counts(labels)
    only_positive = [n > 0 and n == k for k, n in zip(known, positive, strict=True)]
    if any(only_positive):
        with pytest.raises(InputError, match=f"column {only_positive.index(True)}"):
            compute_pos_weight(labels, max_pos_weight=cap)
        return
    expected = [min((k - n) / n, cap) if n else cap for k, n in zip(known, positive, strict=True)]
    np.testing.assert_array_equal(compute_pos_weight(labels, max_pos_weight=cap), expected)


def test_unlimited_pos_weight_names_a_class_without_positives() -> None:
    labels = pd.DataFrame({"DR": [1, 0, 0], "VH": [0, 0, 0]})
    assert compute_pos_weight(labels).tolist() == [2.0, 10.0]
    with pytest.raises(InputError, match=r"1 \('VH'\)"):
        compute_pos_weight(labels, max_pos_weight=None)
    assert compute_pos_weight(labels[["DR"]], max_pos_weight=None).tolist() == [2.0]


@pytest.mark.parametrize("cap", [0, -1, NAN, math.inf, True, "10"])
def test_a_cap_is_a_positive_finite_number(cap: Any) -> None:
    with pytest.raises(InputError, match="max_pos_weight must be a finite number > 0"):
        compute_pos_weight([[1], [0]], max_pos_weight=cap)
    with pytest.raises(InputError, match="max_pos_weight must be a finite number > 0"):
        clamp_pos_weight([1.0], cap)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clamp_keeps_an_array_as_it_is_but_for_the_cap(dtype: Any) -> None:
    given_weights = np.array([[0.0, 3.25], [479.0, math.inf]], dtype=dtype)
    before = given_weights.copy()
    clamped = clamp_pos_weight(given_weights)
    assert clamped.dtype == dtype
    assert clamped.tolist() == [[0.0, 3.25], [10.0, 10.0]]
    np.testing.assert_array_equal(given_weights, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_clamp_keeps_a_tensor_as_it_is_but_for_the_cap(dtype: torch.dtype) -> None:
    weights = torch.tensor([0.0, 3.25, 479.0, math.inf], dtype=dtype)
    clamped = clamp_pos_weight(weights, 7.5)
    assert clamped.dtype == dtype
    assert clamped.tolist() == [0.0, 3.25, 7.5, 7.5]
    assert weights[-1] == math.inf


def test_clamp_of_integers_keeps_a_fractional_cap() -> None:
    assert clamp_pos_weight([1, 9], 2.5).tolist() == [1.0, 2.5]
    assert clamp_pos_weight(torch.tensor([1, 9]), 2.5).tolist() == [1.0, 2.5]
    assert clamp_pos_weight(479.0) == 10.0


@pytest.mark.parametrize("bad", [NAN, -0.5, -math.inf])
def test_clamp_names_a_bad_weight(bad: float) -> None:
    for weights in (np.array([1.0, bad]), torch.tensor([1.0, bad])):
        with pytest.raises(InputError, match=rf"pos_weight\[1\] is {bad}"):
            clamp_pos_weight(weights)
    with pytest.raises(InputError, match="dtype <U1"):
        clamp_pos_weight(["a"])


@given(label_arrays(), st.sampled_from([0.0, 0.5, 0.99, 0.999999]))
def test_effective_number_weights_equal_the_formula(labels: np.ndarray, beta: float) -> None:
    positive = naive_counts(labels)[1]
    if not all(positive):
        with pytest.raises(InputError, match=f"column {positive.index(0)}"):
            effective_number_weights(labels, beta=beta)
        return
    inverse = [(1 - beta) / (1 - beta**n) for n in positive]
    expected = [len(positive) * value / sum(inverse) for value in inverse]
    np.testing.assert_allclose(effective_number_weights(labels, beta=beta), expected, rtol=1e-9)


def test_effective_number_weights_tend_to_inverse_frequencies() -> None:
    labels = np.zeros((1000, 2))
    labels[:999, 0] = labels[:3, 1] = 1
    rare_to_common = effective_number_weights(labels, beta=1 - 1e-13)
    assert rare_to_common[1] / rare_to_common[0] == pytest.approx(333, rel=1e-9)
    with pytest.raises(InputError, match="beta"):
        effective_number_weights(labels, beta=1.0)


@settings(max_examples=300)
@given(
    label_arrays(),
    st.sampled_from([0, 0.5, 1.0, 2.0]),
    st.sampled_from([None, 1, 1.5, 10.0]),
    st.sampled_from(["most_common", "mean", 0, 0.25, 3]),
)
def test_row_weights_equal_a_naive_loop(
    labels: np.ndarray, power: float, max_ratio: float | None, no_positive: Any
) -> None:
    assume(bool((labels == 1).any()) or not isinstance(no_positive, str))
    weights = rarest_class_weights(
        labels, power=power, max_ratio=max_ratio, no_positive=no_positive
    )
    expected = naive_row_weights(labels, power, max_ratio, no_positive)
    np.testing.assert_allclose(weights, expected, rtol=1e-14)
    assert weights.dtype == np.float64
    assert len(np.unique(weights)) <= labels.shape[1] + 1
    positive = weights[weights > 0]
    if max_ratio is not None and positive.size:
        assert positive.max() / positive.min() <= max_ratio * (1 + 1e-15)


@given(label_arrays())
def test_row_weights_do_not_depend_on_the_order_of_classes(labels: np.ndarray) -> None:
    assume(bool((labels == 1).any()))
    np.testing.assert_array_equal(
        rarest_class_weights(labels), rarest_class_weights(labels[:, ::-1])
    )


def test_the_mean_weight_is_that_of_the_rows_with_a_class() -> None:
    labels = [[1, 0], [1, 1], [1, 0], [1, 0], [0, 0]]
    weights = rarest_class_weights(labels, no_positive="mean")
    assert weights.tolist() == [0.25, 1.0, 0.25, 0.25, 0.4375]
    capped = rarest_class_weights(labels, no_positive="mean", max_ratio=2)
    assert capped.tolist() == [0.25, 0.5, 0.25, 0.25, 0.3125]


def test_a_class_that_is_no_row_s_rarest_does_not_count_for_the_ratio() -> None:
    labels = [[1, 1, 0], [1, 0, 1], [1, 0, 1]]
    assert rarest_class_weights(labels, max_ratio=1.5).tolist() == [0.75, 0.5, 0.5]


def test_a_missing_label_counts_as_not_shown() -> None:
    labels = np.array([[1, NAN], [1, 1], [NAN, NAN], [0, NAN]])
    assert rarest_class_weights(labels).tolist() == [0.5, 1.0, 0.5, 0.5]
    assert rarest_class_weights(labels, no_positive=0).tolist() == [0.5, 1.0, 0.0, 0.0]


def test_without_any_positive_only_a_number_makes_sense() -> None:
    for policy in ("most_common", "mean"):
        with pytest.raises(InputError, match="give a number"):
            rarest_class_weights(np.zeros((3, 2)), no_positive=policy)
    assert rarest_class_weights(np.zeros((3, 2)), no_positive=2).tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"power": -1}, "power"),
        ({"power": NAN}, "power"),
        ({"power": 2000.0}, "choose a smaller power"),
        ({"max_ratio": 0.5}, "max_ratio"),
        ({"no_positive": "median"}, "'median'"),
        ({"no_positive": -1}, "no_positive"),
        ({"no_positive": None}, "no_positive"),
        ({"no_positive": True}, "no_positive"),
    ],
)
def test_options_of_row_weights_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rarest_class_weights([[1, 0], [1, 1], [0, 0]], **options)


@pytest.mark.parametrize(
    "function",
    [compute_pos_weight, effective_number_weights, rarest_class_weights],
)
def test_weights_of_no_rows_raise(function: Any) -> None:
    with pytest.raises(InputError, match=r"no rows to count: shape \(0, 2\)"):
        function(np.zeros((0, 2)))


@pytest.mark.parametrize("function", [compute_pos_weight, rarest_class_weights])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32, torch.bfloat16])
def test_tensors_come_back_as_float32_tensors(function: Any, dtype: torch.dtype) -> None:
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    weights = function(torch.tensor(labels).to(dtype))
    assert weights.dtype == torch.float32
    np.testing.assert_array_equal(weights.numpy(), function(labels).astype(np.float32))


@pytest.mark.parametrize(
    "function", [compute_pos_weight, effective_number_weights, rarest_class_weights]
)
def test_float64_tensors_keep_their_precision(function: Any) -> None:
    labels = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    weights = function(torch.tensor(labels))
    assert weights.dtype == torch.float64
    np.testing.assert_array_equal(weights.numpy(), function(labels))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_count_as_their_values(frame: Any) -> None:
    labels = frame({"DR": [1, 0, 1, 0], "CRVO": [0, 1, 0, 0]})
    values = labels.to_numpy()
    np.testing.assert_array_equal(count_classes(labels), count_classes(values))
    np.testing.assert_array_equal(compute_pos_weight(labels), compute_pos_weight(values))
    np.testing.assert_array_equal(rarest_class_weights(labels), rarest_class_weights(values))
    reduced = drop_rare_classes(labels, min_count=2)
    assert reduced.class_names == ("DR",)
    assert reduced.labels.tolist() == [[1], [0], [1], [0]]
    with pytest.raises(InputError, match="disagree at column 1"):
        drop_rare_classes(labels, ["DR", "MH"], min_count=2)


@given(label_arrays(), st.integers(0, 6), st.sampled_from([None, "OTHER", "c0"]))
def test_dropping_equals_a_naive_loop(
    labels: np.ndarray, min_count: int, merge_into: str | None
) -> None:
    names = [f"c{i}" for i in range(labels.shape[1])]
    counts = dict(zip(names, naive_counts(labels)[1], strict=True))
    gone = {n: k for n, k in counts.items() if k < min_count and n != merge_into}
    kept = [n for n in names if n not in gone]
    if gone and merge_into == "OTHER":
        kept.append("OTHER")
    if not kept:
        with pytest.raises(InputError, match=f"the most frequent has {max(counts.values())}"):
            drop_rare_classes(labels, names, min_count=min_count, merge_into=merge_into)
        return
    before = labels.copy()
    reduced = drop_rare_classes(labels, names, min_count=min_count, merge_into=merge_into)
    np.testing.assert_array_equal(labels, before)
    assert reduced.class_names == tuple(kept)
    assert reduced.dropped == gone
    assert reduced.labels.dtype == labels.dtype
    for place, name in enumerate(kept):
        sources = [*gone, *([name] if name in names else [])] if name == merge_into else [name]
        for row in range(len(labels)):
            values = [float(labels[row, names.index(source)]) for source in sources]
            expected = 1.0 if 1.0 in values else NAN if any(map(math.isnan, values)) else 0.0
            np.testing.assert_equal(float(reduced.labels[row, place]), expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32, torch.bfloat16])
def test_dropping_keeps_a_tensor_s_type(dtype: torch.dtype) -> None:
    labels = torch.tensor([[1, 0, 0], [1, 0, 1], [0, 1, 0]]).to(dtype)
    reduced = drop_rare_classes(labels, ["a", "b", "c"], min_count=2, merge_into="OTHER")
    assert reduced.labels.dtype == dtype
    assert reduced.labels.tolist() == [[1, 0], [1, 1], [0, 1]]


def test_dropping_needs_names_and_a_count() -> None:
    with pytest.raises(InputError, match="class_names is needed"):
        drop_rare_classes([[1, 0]], min_count=1)
    with pytest.raises(InputError, match="min_count must be an integer >= 0"):
        drop_rare_classes([[1, 0]], ["a", "b"], min_count=1.5)  # type: ignore[arg-type]


def test_counts_weights_and_reduction_on_rfmid(data_dir: Any) -> None:
    path = data_dir / "rfmid_labels" / "RFMiD_Training_Labels.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    names = header[2:]
    labels = np.array([row[2:] for row in rows], dtype=np.uint8)
    assert labels.shape == (1920, 45)

    reduced = drop_rare_classes(labels, names)
    counts = count_classes(reduced.labels)
    assert dict(zip(reduced.class_names, counts.n_positive, strict=True)) == RFMID_TRAINING_COUNTS
    assert len(drop_rare_classes(labels, names, min_count=1).class_names) == 43
    assert len(reduced.dropped) == 29
    assert sum(count == 0 for count in reduced.dropped.values()) == 2

    weights = rarest_class_weights(reduced.labels)
    empty = ~reduced.labels.any(axis=1)
    assert (~labels.any(axis=1)).sum() == 401
    assert empty.sum() == 476
    assert (weights[empty] == 1 / 376).all()
    assert weights.max() == 1 / 22
    pos_weight = dict(zip(reduced.class_names, compute_pos_weight(reduced.labels), strict=True))
    assert pos_weight["DR"] == (1920 - 376) / 376
    assert pos_weight["RPEC"] == 10.0
    merged = drop_rare_classes(labels, names, merge_into="OTHER")
    assert merged.class_names == (*reduced.class_names, "OTHER")
    assert merged.labels[:, :-1].tolist() == reduced.labels.tolist()
    rare = [i for i, name in enumerate(names) if name in reduced.dropped]
    assert merged.labels[:, -1].tolist() == labels[:, rare].any(axis=1).tolist()


def test_the_modules_need_no_torch() -> None:
    code = "import sys, mlthresh.weights, mlthresh.row_weights; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
