"""The sampler: its frequencies, its stream over ranks and restarts, its promises on randomness."""

from __future__ import annotations

import copy
import json
import random
from bisect import bisect_left
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Philox
from scipy import stats
from torch.utils.data import DataLoader

from mlthresh import rarest_class_weights
from mlthresh._weighted_draws import GroupTable, high_product
from mlthresh.exceptions import InputError
from mlthresh.samplers import RarestClassSampler


def imbalanced(n_rows: int = 60, seed: int = 0) -> np.ndarray:
    """Return labels of four classes, from frequent to one positive, with rows that show none."""
    labels = np.random.default_rng(seed).random((n_rows, 4)) < [0.5, 0.2, 0.1, 0.0]
    labels[n_rows // 2, 3] = True
    return labels


def stream(labels: Any, length: int, **options: Any) -> list[int]:
    """Return the first draws of the single-process stream."""
    return list(RarestClassSampler(labels, length, **options))


def interleaved(samplers: list[RarestClassSampler]) -> list[int]:
    """Return one pass over all ranks, in the order of the common stream."""
    per_rank = [list(sampler) for sampler in samplers]
    assert len({len(rows) for rows in per_rank}) == 1
    return [row for draws in zip(*per_rank, strict=True) for row in draws]


# --- frequencies -------------------------------------------------------------------------------

HARD_CASES: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "one rare row among thousands": (np.eye(3000, 1, dtype=np.uint8), {"no_positive": 1 / 2999}),
    "four classes": (imbalanced(500), {}),
    "square roots": (imbalanced(500), {"power": 0.5}),
    "no balancing": (imbalanced(500), {"power": 0, "no_positive": 1}),
    "capped": (imbalanced(500), {"max_ratio": 3, "no_positive": "mean"}),
    "rows without a class left out": (imbalanced(500), {"no_positive": 0}),
    "every row its own class": (np.eye(7), {}),
    "a hundred distinct counts": (np.tril(np.ones((100, 100))), {}),
    "extreme ratio": (imbalanced(500), {"power": 3}),
    "missing labels": (np.where(imbalanced(300, 1), np.nan, imbalanced(300)), {}),
}


@pytest.mark.parametrize("case", HARD_CASES)
def test_frequencies_are_proportional_to_the_weights(case: str) -> None:
    labels, options = HARD_CASES[case]
    n_draws = 200_000
    observed = np.bincount(stream(labels, n_draws, seed=3, **options), minlength=len(labels))
    weights = rarest_class_weights(labels, **options)
    expected = n_draws * weights / weights.sum()
    assert not observed[expected == 0].any()
    large = expected >= 8
    observed_cells, expected_cells = observed[large], expected[large]
    if (expected[~large]).sum() > 0:  # rows too rare for a cell of their own share one
        observed_cells = np.append(observed_cells, observed[~large].sum())
        expected_cells = np.append(expected_cells, expected[~large].sum())
    assert stats.chisquare(observed_cells, expected_cells).pvalue > 1e-3


def test_successive_draws_are_independent() -> None:
    labels = np.eye(6, 5)  # five classes of one row each, and a row without a class
    rows = np.array(stream(labels, 180_000, seed=5))
    for lag in (1, 2, 4, 8192):
        pairs = np.zeros((6, 6))
        np.add.at(pairs, (rows[:-lag], rows[lag:]), 1)
        assert stats.chi2_contingency(pairs).pvalue > 1e-3


def test_epochs_and_seeds_are_independent() -> None:
    labels = np.eye(6, 5)
    streams = []
    for seed, epoch in [(0, 0), (0, 1), (1, 0), (1, 1), (2**64 - 1, 0)]:
        sampler = RarestClassSampler(labels, 50_000, seed=seed)
        sampler.set_epoch(epoch)
        streams.append(np.array(list(sampler)))
    for i, first in enumerate(streams):
        for second in streams[:i]:
            pairs = np.zeros((6, 6))
            np.add.at(pairs, (first, second), 1)
            assert stats.chi2_contingency(pairs).pvalue > 1e-3


def test_rows_beyond_the_precision_of_float32_are_drawn() -> None:
    n_rows = 20_000_000  # multinomial sampling stops at 2**24
    labels = np.zeros((n_rows, 1), dtype=np.uint8)
    labels[-3:] = 1  # the weight of the others: as if they showed the class
    rows = np.array(stream(labels, 100_000))
    tenths = np.bincount(rows * 10 // n_rows, minlength=10)
    assert stats.chisquare(tenths).pvalue > 1e-3
    late = rows[rows >= 2**24]
    assert stats.chisquare(np.bincount(late % 16, minlength=16)).pvalue > 1e-3


def test_high_product_equals_integer_arithmetic() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(2**64, size=2000, dtype=np.uint64)
    sizes = rng.integers(1, 2**32, size=2000, dtype=np.uint64)
    words[:3], sizes[:6:2] = [0, 2**64 - 1, 2**63], [2**32 - 1, 1, 2**31]
    expected = [int(word) * int(size) >> 64 for word, size in zip(words, sizes, strict=True)]
    assert high_product(words, sizes).tolist() == expected


def test_words_at_a_group_s_ends_draw_that_group() -> None:
    sizes = [1, 5, 3000, 2, 400]
    group = np.repeat(np.arange(5, dtype=np.uint8), sizes)
    table = GroupTable.build(group, np.array([1e-9, 1e-3, 1e-3, 0.5, 1e-12]))
    ends = [int(end) for end in table.upper]
    words = [word for end in ends for word in (end - 1, end, (end + 1) % 2**64)]
    words += np.random.default_rng(0).integers(2**64, size=5000, dtype=np.uint64).tolist()
    expected = [bisect_left(ends, word) for word in words]
    assert table.group_of(np.array(words, dtype=np.uint64)).tolist() == expected
    assert set(expected) == set(range(5))


# --- the stream --------------------------------------------------------------------------------


def naive_draw(labels: np.ndarray, seed: int, epoch: int, k: int) -> int:
    weights = rarest_class_weights(labels)
    counts = sorted({int(n) for n in labels.sum(axis=0) if n})
    groups: list[list[int]] = [[] for _ in range(len(counts) + 1)]
    for row, shown in enumerate(labels):
        rarest = min((int(n) for n in labels.sum(axis=0)[shown]), default=None)
        groups[-1 if rarest is None else counts.index(rarest)].append(row)
    groups = [group for group in groups if group]
    total = sum(Fraction(float(w)) for w in weights)
    ends, so_far = [], Fraction(0)
    for group in groups:
        so_far += sum(Fraction(float(weights[row])) for row in group)
        ends.append(int(so_far / total * 2**64) - 1)
    key = np.array([seed, epoch], dtype=np.uint64)
    word, other = (int(w) for w in Philox(key=key).random_raw(2 * k + 2)[-2:])
    group = groups[bisect_left(ends, word)]
    return group[other * len(group) // 2**64]


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (7, 3)])
def test_draws_equal_a_naive_loop(seed: int, epoch: int) -> None:
    labels = imbalanced()
    sampler = RarestClassSampler(labels, 50, seed=seed)
    sampler.set_epoch(epoch)
    assert list(sampler) == [naive_draw(labels, seed, epoch, k) for k in range(50)]


def test_the_stream_stays_the_same_from_release_to_release() -> None:
    labels = np.arange(40).reshape(-1, 1) % 10 == 0
    assert stream(labels, 10) == [0, 23, 11, 39, 8, 5, 11, 31, 7, 17]
    assert stream(labels, 10, replacement=False) == [0, 38, 21, 2, 11, 20, 17, 9, 1, 25]


def test_the_stream_does_not_depend_on_how_labels_are_held() -> None:
    labels = imbalanced()
    expected = stream(labels, 100)
    for same in (
        labels.astype(np.float32),
        torch.tensor(labels),
        torch.tensor(labels).to(torch.bfloat16),
        pd.DataFrame(labels),
        labels[:, ::-1],
    ):
        assert stream(same, 100) == expected


@settings(max_examples=60)
@given(
    num_samples=st.integers(1, 40),
    world=st.integers(1, 5),
    new_world=st.integers(1, 5),
    used=st.integers(0, 40),
    epoch=st.integers(0, 2),
    replacement=st.booleans(),
)
def test_ranks_share_one_stream_and_resume_on_any_number_of_ranks(
    *, num_samples: int, world: int, new_world: int, used: int, epoch: int, replacement: bool
) -> None:
    labels = imbalanced()

    def ranks(n_ranks: int) -> list[RarestClassSampler]:
        return [
            RarestClassSampler(
                labels, num_samples, seed=9, replacement=replacement, num_replicas=n_ranks, rank=r
            )
            for r in range(n_ranks)
        ]

    reference = RarestClassSampler(labels, 60, seed=9, replacement=replacement)
    reference.set_epoch(epoch)
    expected = list(reference)

    samplers = ranks(world)
    for sampler in samplers:
        sampler.set_epoch(epoch)
        assert len(sampler) == -(-num_samples // world)
    states = []
    whole = interleaved(samplers)
    assert whole == expected[: world * len(samplers[0])]
    used = min(used, len(samplers[0]))
    for sampler in samplers:
        sampler.set_epoch(epoch)  # the next epoch is due, so this goes back
        for _ in islice(iter(sampler), used):
            pass
        states.append(sampler.state_dict())
    assert all(state == states[0] for state in states)

    resumed = ranks(new_world)
    for sampler in resumed:
        sampler.load_state_dict(states[0])
    position = used * world
    if position >= num_samples:
        assert all(sampler.epoch == epoch + 1 for sampler in resumed)
    else:
        rest = -(-(num_samples - position) // new_world) * new_world
        assert interleaved(resumed) == expected[position : position + rest]


def test_small_blocks_and_many_ranks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = imbalanced()
    expected = stream(labels, 100, seed=2)
    monkeypatch.setattr("mlthresh._weighted_draws._BLOCK_DRAWS", 7)
    assert stream(labels, 100, seed=2) == expected
    ranks = [
        RarestClassSampler(labels, 100, seed=2, num_replicas=10, rank=rank) for rank in range(10)
    ]
    assert interleaved(ranks) == expected


def test_ranks_share_a_stream_of_many_blocks() -> None:
    labels = imbalanced()
    expected = stream(labels, 40_000)
    ranks = [RarestClassSampler(labels, 40_000, num_replicas=3, rank=rank) for rank in range(3)]
    assert interleaved(ranks)[:40_000] == expected
    resumed = RarestClassSampler(labels, 40_000)
    resumed.load_state_dict({**resumed.state_dict(), "position": 12_345})
    assert list(resumed) == expected[12_345:]


def test_a_position_far_into_an_epoch_is_reached_at_once() -> None:
    sampler = RarestClassSampler(imbalanced(), 2**61)
    state = sampler.state_dict()
    for position in (2**60, 2**60 + 1):
        sampler.load_state_dict({**state, "position": position})
        key = np.array([0, 0], dtype=np.uint64)
        bits = Philox(key=key)
        bits.advance(position // 2)
        words = bits.random_raw(4)[2 * (position % 2) :]
        row = next(iter(sampler))
        sampler.load_state_dict({**state, "position": position})
        assert next(iter(sampler)) == row
        assert row in range(60)
        group = np.searchsorted(sampler._table.upper, words[0])
        start = sampler._table.sizes[:group].sum()
        assert row in sampler._table.rows[start : start + sampler._table.sizes[group]]


# --- epochs and states -------------------------------------------------------------------------


@pytest.mark.parametrize("replacement", [True, False])
def test_each_pass_draws_its_own_epoch(replacement: bool) -> None:
    def sampler() -> RarestClassSampler:
        return RarestClassSampler(imbalanced(), 50, replacement=replacement)

    passing = sampler()
    passes = [list(passing) for _ in range(3)]
    assert passing.epoch == 3
    assert len({tuple(rows) for rows in passes}) == 3
    setting = sampler()
    for epoch in (2, 0, 1):
        setting.set_epoch(epoch)
        assert list(setting) == passes[epoch]


def test_the_epoch_ends_with_its_last_row_not_with_a_request_for_more() -> None:
    sampler = RarestClassSampler(imbalanced(), 5)
    first = list(islice(iter(sampler), 5))
    assert sampler.epoch == 1
    assert list(sampler) != first


def test_an_iterator_that_is_broken_off_leaves_the_epoch_as_it_is() -> None:
    sampler = RarestClassSampler(imbalanced(), 50)
    head = list(islice(iter(sampler), 20))
    assert sampler.epoch == 0
    whole = list(sampler)
    assert whole[:20] == head
    assert len(whole) == 50


def test_an_older_iterator_does_not_disturb_a_newer_one() -> None:
    sampler = RarestClassSampler(imbalanced(), 50)
    old, new = iter(sampler), iter(sampler)
    assert list(old) == list(islice(new, 50))
    newest = iter(sampler)
    next(newest)
    assert sampler.state_dict()["epoch"] == 1
    assert sampler.state_dict()["position"] == 1


def test_setting_the_epoch_that_is_due_keeps_a_restored_position() -> None:
    sampler = RarestClassSampler(imbalanced(), 50)
    whole = list(sampler)
    sampler.set_epoch(0)
    state = {**sampler.state_dict(), "position": 30}
    sampler.load_state_dict(state)
    assert sampler.state_dict() == state
    sampler.set_epoch(0)
    assert list(sampler) == whole[30:]
    assert len(list(sampler)) == 50


def test_a_state_survives_json_and_safe_torch_files(tmp_path: Any) -> None:
    sampler = RarestClassSampler(imbalanced(), 50, seed=2**63)
    iterator = iter(sampler)
    head = list(islice(iterator, 17))
    state = sampler.state_dict()
    assert json.loads(json.dumps(state)) == state
    torch.save(state, tmp_path / "state.pt")
    other = RarestClassSampler(imbalanced(), 50, seed=2**63)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert list(other) == list(iterator)
    assert head == list(islice(iter(RarestClassSampler(imbalanced(), 50, seed=2**63)), 17))


def test_a_copy_continues_by_itself() -> None:
    sampler = RarestClassSampler(imbalanced(), 50)
    list(sampler)
    assert list(copy.deepcopy(sampler)) == list(sampler)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"labels": imbalanced(seed=1)}, "digest"),
        ({"power": 0.5}, "digest"),
        ({"seed": 1}, "seed"),
        ({"num_samples": 51}, "num_samples"),
        ({"replacement": False}, "replacement"),
    ],
)
def test_a_state_of_another_stream_is_refused(arguments: dict[str, Any], key: str) -> None:
    state = RarestClassSampler(imbalanced(), 50).state_dict()
    other = RarestClassSampler(**{"labels": imbalanced(), "num_samples": 50, **arguments})
    list(other)
    before = other.state_dict()
    with pytest.raises(InputError, match=f"saved with {key}="):
        other.load_state_dict(state)
    assert other.state_dict() == before


@pytest.mark.parametrize(
    "change",
    [{"position": 50}, {"position": -1}, {"epoch": "1"}, {"epoch": -1}, {"version": 2}, {"x": 1}],
)
def test_a_damaged_state_is_refused(change: dict[str, Any]) -> None:
    sampler = RarestClassSampler(imbalanced(), 50)
    state = sampler.state_dict()
    with pytest.raises(InputError):
        sampler.load_state_dict({**state, **change})
    with pytest.raises(InputError, match="keys"):
        sampler.load_state_dict({"epoch": 0, "position": 0})
    assert sampler.state_dict() == state


# --- in a DataLoader ---------------------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [True, False])
def test_a_loader_s_epochs_are_the_sampler_s(drop_last: bool) -> None:
    sampler = RarestClassSampler(imbalanced(), 50)
    loader = DataLoader(range(60), batch_size=8, sampler=sampler, drop_last=drop_last)
    kept = 48 if drop_last else 50
    for epoch in range(3):
        expected = RarestClassSampler(imbalanced(), 50)
        expected.set_epoch(epoch)
        rows = torch.cat(list(loader)).tolist()
        assert rows == list(expected)[:kept]


# CPython 3.12 warns of any fork in a process with threads; the workers here only read a range
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("batches", [3, 11])
def test_training_resumes_where_it_was_though_workers_draw_ahead(batches: int) -> None:
    expected = stream(imbalanced(), 50)
    sampler = RarestClassSampler(imbalanced(), 50)
    loader = DataLoader(range(60), batch_size=4, sampler=sampler, num_workers=1, prefetch_factor=4)
    used = torch.cat(list(islice(iter(loader), batches))).tolist()
    assert used == expected[: 4 * batches]
    ahead = sampler.state_dict()
    assert (ahead["epoch"], ahead["position"]) > (0, 4 * batches)

    resumed = RarestClassSampler(imbalanced(), 50)
    resumed.load_state_dict(sampler.state_dict(consumed=4 * batches))
    assert list(resumed) == expected[4 * batches :]


@pytest.mark.parametrize("consumed", [-1, 18, 1.0, True])
def test_consumed_can_not_be_more_than_was_yielded(consumed: Any) -> None:
    sampler = RarestClassSampler(imbalanced(), 50)
    for _ in islice(iter(sampler), 17):
        pass
    assert sampler.state_dict(consumed=17) == sampler.state_dict()
    with pytest.raises(InputError, match="consumed must be an integer from 0 to 17"):
        sampler.state_dict(consumed=consumed)


# --- importance weights ------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"power": 0.5}, {"no_positive": 0}, {"max_ratio": 2}])
def test_importance_weights_undo_the_sampling(options: dict[str, Any]) -> None:
    labels = imbalanced(400)
    sampler = RarestClassSampler(labels, 100_000, **options)
    weights = rarest_class_weights(labels, **options)
    drawn = weights > 0
    expected = np.zeros(len(labels))
    expected[drawn] = weights.sum() / (drawn.sum() * weights[drawn])
    np.testing.assert_allclose(sampler.importance_weights.numpy(), expected, rtol=1e-6)
    assert sampler.importance_weights.dtype == torch.float32

    values = np.random.default_rng(0).random(len(labels)) + 2 * labels[:, 0]
    rows = list(sampler)
    weighted = sampler.importance_weights.numpy()[rows] * values[rows]
    error = weighted.mean() - values[drawn].mean()
    assert abs(error) < 4 * weighted.std() / np.sqrt(len(rows))
    # without the weights the mean is far off, so the test could fail
    biased = values[rows].mean() - values[drawn].mean()
    assert abs(biased) > 4 * values.std() / np.sqrt(len(rows))


def test_effective_sample_size_is_kish_s() -> None:
    labels = imbalanced(400)
    sampler = RarestClassSampler(labels, 100_000)
    drawn = sampler.importance_weights.double()[list(sampler)]
    kish = drawn.sum() ** 2 / (drawn**2).sum()
    assert sampler.effective_sample_size == pytest.approx(float(kish), rel=0.02)
    assert kish < 90_000
    equal = RarestClassSampler(labels, 1000, power=0, no_positive=1)
    assert equal.effective_sample_size == pytest.approx(1000, rel=1e-12)


def test_without_replacement_has_no_importance_weights() -> None:
    sampler = RarestClassSampler(imbalanced(), replacement=False)
    for name in ("importance_weights", "effective_sample_size"):
        with pytest.raises(InputError, match=f"{name} has no closed form without replacement"):
            getattr(sampler, name)


# --- without replacement -----------------------------------------------------------------------


def test_without_replacement_no_row_comes_twice() -> None:
    labels = imbalanced()
    assert sorted(stream(labels, 60, replacement=False)) == list(range(60))
    sampler = RarestClassSampler(labels, replacement=False, no_positive=0)
    assert len(sampler) == labels.any(axis=1).sum()
    assert sorted(sampler) == np.flatnonzero(labels.any(axis=1)).tolist()


def test_without_replacement_the_order_is_successive_sampling() -> None:
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]])
    weights = rarest_class_weights(labels)
    p = weights / weights.sum()
    sampler = RarestClassSampler(labels, 2, replacement=False)
    n_epochs = 6000
    pairs = np.zeros((7, 7))
    for _ in range(n_epochs):
        first, second = sampler
        pairs[first, second] += 1
    expected = p[:, None] * p[None, :] / (1 - p[:, None])
    off_diagonal = ~np.eye(7, dtype=bool)
    assert not pairs[~off_diagonal].any()
    result = stats.chisquare(pairs[off_diagonal], n_epochs * expected[off_diagonal])
    assert result.pvalue > 1e-3


def test_without_replacement_ranks_that_need_more_rows_begin_the_order_again() -> None:
    labels = imbalanced(10)
    order = stream(labels, 10, replacement=False)
    ranks = [
        RarestClassSampler(labels, 10, replacement=False, num_replicas=4, rank=rank)
        for rank in range(4)
    ]
    assert interleaved(ranks) == [*order, *order[:2]]


# --- the world, randomness and bad input --------------------------------------------------------


def test_the_world_is_torch_distributed_s_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = RarestClassSampler(imbalanced())
    assert (alone.num_replicas, alone.rank) == (1, 0)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 4)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 3)
    member = RarestClassSampler(imbalanced())
    assert (member.num_replicas, member.rank) == (4, 3)
    whole = stream(imbalanced(), 60, num_replicas=1, rank=0)
    assert list(member) == whole[3::4]
    explicit = RarestClassSampler(imbalanced(), num_replicas=2, rank=1)
    assert (explicit.num_replicas, explicit.rank) == (2, 1)


@pytest.mark.parametrize("replacement", [True, False])
def test_no_global_random_state_is_read_or_changed(replacement: bool) -> None:
    random.seed(0)
    torch.manual_seed(0)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first = stream(imbalanced(), 60, replacement=replacement)
    after = random.getstate(), np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])
    assert torch.equal(before[2], after[2])
    random.seed(1)
    torch.manual_seed(1)
    assert stream(imbalanced(), 60, replacement=replacement) == first


def test_rows_are_python_integers_and_lazy() -> None:
    sampler = RarestClassSampler(imbalanced(), 2**40)
    assert [type(row) for row in islice(iter(sampler), 3)] == [int] * 3
    assert len(sampler) == 2**40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "num_samples must be an integer from 1"),
        ({"num_samples": 10.0}, "num_samples"),
        ({"num_samples": 61, "replacement": False}, "only 60 rows can be drawn"),
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"seed": 2**64}, "seed"),
        ({"seed": None}, "seed"),
        ({"num_replicas": 2}, "give both num_replicas and rank or neither"),
        ({"rank": 0}, "give both num_replicas and rank or neither"),
        ({"num_replicas": 2, "rank": 2}, "rank must be an integer from 0 to 1"),
        ({"num_replicas": 0, "rank": 0}, "num_replicas"),
        ({"power": -1}, "power"),
        ({"no_positive": "none"}, "no_positive"),
        ({"no_positive": 1e-30}, r"rows of weight 1e-30 would never be drawn"),
    ],
)
def test_bad_options_raise(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RarestClassSampler(imbalanced(), **options)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros((0, 2)), {}, "no rows"),
        (np.zeros((3, 2)), {}, "give a number"),
        (np.zeros((3, 2)), {"no_positive": 0}, "leaves none of the 3 rows"),
        (np.full((3, 2), np.nan), {}, "give a number"),
        ([[0, 2]], {}, r"labels\[0, 1\] is 2"),
        ([0, 1], {}, "shape"),
    ],
)
def test_bad_labels_raise(labels: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RarestClassSampler(labels, **options)


def test_labels_without_any_positive_can_be_sampled_uniformly() -> None:
    rows = stream(np.full((5, 2), np.nan), 10_000, no_positive=1)
    assert stats.chisquare(np.bincount(rows, minlength=5)).pvalue > 1e-3


@pytest.mark.parametrize("epoch", [-1, 2**63, 0.5])
def test_a_bad_epoch_raises(epoch: Any) -> None:
    with pytest.raises(InputError, match="epoch must be an integer from 0"):
        RarestClassSampler(imbalanced()).set_epoch(epoch)
