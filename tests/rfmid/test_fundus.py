"""Drawn fundus photographs: their labels, their anatomy and the signs of their diseases."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from examples.rfmid.fundus import (
    CODES,
    DISEASES,
    LABEL_SETS,
    deal_label_sets,
    draw_fundus,
)
from examples.rfmid.fundus.signs import SIGNS
from mlthresh.exceptions import InputError


def draw(*labels: str, seed: int = 0, size: int = 64) -> NDArray[np.int64]:
    pixels = draw_fundus(labels, size=size, rng=np.random.default_rng(seed))
    return pixels.astype(np.int64)


def share_changed(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Share of pixels that differ by more than three times the strongest camera noise."""
    return float((np.abs(a - b).max(axis=-1) > 10).mean())


def test_label_table_has_the_published_counts() -> None:
    singles = [sum(n for s, n in LABEL_SETS.items() if code in s) for code in CODES]
    assert singles == [376, 317, 282, 186, 138, 101, 100, 73, 65, 58, 47, 43, 37, 32, 28, 22]
    assert (sum(LABEL_SETS.values()), LABEL_SETS[()]) == (1920, 476)


def test_label_table_is_that_of_the_real_file(data_dir: Path) -> None:
    path = data_dir / "rfmid_labels" / "RFMiD_Training_Labels.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [{code for code in CODES if row[code] == "1"} for row in csv.DictReader(file)]
    real = Counter(frozenset(row) for row in rows)
    assert real == {frozenset(label_set): n for label_set, n in LABEL_SETS.items()}


def test_default_size_deals_the_table_exactly() -> None:
    for seed in range(5):
        assert Counter(deal_label_sets(1920, np.random.default_rng(seed))) == LABEL_SETS


@given(n=st.integers(0, 4000), seed=st.integers(0, 2**32))
def test_other_sizes_deal_each_quota_rounded_up_or_down(n: int, seed: int) -> None:
    dealt = deal_label_sets(n, np.random.default_rng(seed))
    assert len(dealt) == n
    counts = Counter(dealt)
    assert set(counts) <= set(LABEL_SETS)
    for label_set, count in LABEL_SETS.items():
        assert abs(counts[label_set] - count * n / 1920) < 1


@pytest.mark.parametrize("seed", range(20))
def test_no_disease_is_missing_at_the_size_of_the_validation_split(seed: int) -> None:
    dealt = Counter(code for s in deal_label_sets(640, np.random.default_rng(seed)) for code in s)
    assert min(dealt[code] for code in CODES) >= 5


def test_labels_are_dealt_in_random_order() -> None:
    first, second = (deal_label_sets(1920, np.random.default_rng(seed)) for seed in (0, 1))
    assert first != second
    healthy_in_first_third = sum(not label_set for label_set in first[:640])
    assert 115 < healthy_in_first_third < 205  # 159 expected, five standard deviations around


def test_negative_number_of_label_sets_is_refused() -> None:
    with pytest.raises(InputError, match="got -1"):
        deal_label_sets(-1, np.random.default_rng(0))


def test_every_disease_has_a_sign_and_a_name() -> None:
    assert set(SIGNS) == set(DISEASES) == set(CODES)
    assert DISEASES["MH"] == "media haze"


@pytest.mark.parametrize("size", [32, 65, 224])
def test_photograph_has_the_asked_shape(size: int) -> None:
    pixels = draw_fundus([], size=size, rng=np.random.default_rng(0))
    assert (pixels.shape, pixels.dtype) == ((size, size, 3), np.uint8)
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("seed", range(8))
def test_healthy_fundus_is_red_in_a_black_surround(seed: int) -> None:
    pixels = draw(seed=seed)
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.max() <= 5
    red, green, blue = pixels[16:48, 16:48].mean(axis=(0, 1))
    assert red > 1.15 * green > 1.15 * blue


@pytest.mark.parametrize("seed", range(8))
def test_disc_is_the_brightest_place_of_a_healthy_eye(seed: int) -> None:
    green = draw(seed=seed, size=96)[..., 1]
    brightest = np.argwhere(green >= np.quantile(green, 0.998))
    from_centre = np.linalg.norm(brightest - np.median(brightest, axis=0), axis=1)
    assert (from_centre < 10).mean() > 0.8  # a disc is about twelve pixels wide


def test_same_seed_draws_the_same_photograph() -> None:
    np.testing.assert_array_equal(draw("DR", "BRVO", seed=3), draw("BRVO", "DR", seed=3))
    assert share_changed(draw("DR", seed=3), draw("DR", seed=4)) > 0.2


def test_drawing_leaves_the_global_random_state_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    draw(*CODES)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_size_changes_the_resolution_not_the_eye() -> None:
    small, large = draw("ARMD", size=64), draw("ARMD", size=256)
    reduced = large.reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
    other = draw("ARMD", seed=1, size=64)
    assert 4 * np.abs(small - reduced).mean() < np.abs(small - other).mean()


@pytest.mark.parametrize("code", CODES)
def test_disease_visibly_changes_the_eye(code: str) -> None:
    changes = [share_changed(draw(seed=seed), draw(code, seed=seed)) for seed in range(12)]
    assert min(changes) > 0.002  # 8 of 4,096 pixels in the mildest case
    assert np.median(changes) > 0.007


@pytest.mark.parametrize("code", [code for code in CODES if code != "MH"])
def test_disease_shows_beside_another(code: str) -> None:
    other = "LS" if code != "LS" else "DR"
    changes = [
        share_changed(draw(other, seed=seed), draw(other, code, seed=seed)) for seed in range(6)
    ]
    assert np.median(changes) > 0.005


def test_diseases_vary_in_severity() -> None:
    changes = [share_changed(draw(seed=seed), draw("DR", seed=seed)) for seed in range(20)]
    assert max(changes) > 3 * min(changes)


def test_haze_lowers_the_contrast() -> None:
    for seed in range(6):
        clear, hazy = (
            np.abs(np.diff(draw(*labels, seed=seed)[20:44, 20:44, 1], axis=0)).mean()
            for labels in ([], ["MH"])
        )
        assert hazy < clear


def test_branch_occlusion_bleeds_in_one_half_and_central_occlusion_in_both() -> None:
    def lesser_half(code: str, seed: int) -> float:
        darker = (draw(seed=seed) - draw(code, seed=seed))[..., 1] > 12
        upper, lower = darker[:32].sum(), darker[32:].sum()
        return float(min(upper, lower) / (upper + lower))

    branch, central = (
        np.median([lesser_half(code, seed) for seed in range(12)]) for code in ("BRVO", "CRVO")
    )
    assert branch < 0.2 < 0.3 < central


def test_unknown_disease_is_named() -> None:
    with pytest.raises(InputError, match=r"\['MHL'\]"):
        draw("DR", "MHL")


def test_tiny_size_is_refused() -> None:
    with pytest.raises(InputError, match="at least 32 pixels, got 31"):
        draw(size=31)
