"""A bounded share of `python -m benchmarks.fuzz`; MLTHRESH_FUZZ_CASES sets how many cases."""

from __future__ import annotations

import os

import pytest

from benchmarks import fuzz

CASES = int(os.environ.get("MLTHRESH_FUZZ_CASES", "600"))


@pytest.mark.parametrize("share", range(6))
def test_random_searches_against_brute_force(share):
    for seed in range(share, CASES, 6):
        try:
            fuzz.check(fuzz.draw(seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


def test_the_oracle_tells_a_wrong_threshold(monkeypatch):
    search = fuzz.search

    def off_by_a_cut(case):
        found = search(case)
        changed = found.thresholds.copy()
        changed[0] = 0.99
        object.__setattr__(found, "thresholds", changed)
        return found

    monkeypatch.setattr(fuzz, "search", off_by_a_cut)
    with pytest.raises(AssertionError):
        fuzz.check(fuzz.draw(0))
