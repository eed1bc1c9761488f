"""Floors on new data: exact bounds, and a verdict that admits when there is too little."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from mlthresh import InputError, find_optimal_thresholds, verify_thresholds


@pytest.fixture
def found():
    labels = np.array([[1, 0]] * 10 + [[0, 1]] * 10)
    return find_optimal_thresholds(
        labels, labels * 0.8 + 0.1, class_names=["DR", "MH"], min_recall=[0.5, 0.9]
    )


def new_data(hits, misses):
    """One class's positives above and below every threshold, the other class absent."""
    labels = np.array([[1, 0]] * (hits + misses), dtype=float)
    scores = np.array([[0.9, 0.1]] * hits + [[0.1, 0.1]] * misses)
    return labels, scores


@pytest.mark.parametrize(
    ("hits", "misses", "verdict"), [(20, 0, "holds"), (0, 20, "broken"), (6, 5, "undecided")]
)
def test_the_verdict_follows_exact_bounds(found, hits, misses, verdict):
    report = verify_thresholds(found, *new_data(hits, misses), confidence=0.9)
    dr, mh = report.checks
    assert (dr.class_name, dr.rate, dr.floor) == ("DR", "recall", 0.5)
    assert dr.verdict == verdict
    assert dr.observed == hits / (hits + misses)
    for alternative, bound in (("greater", dr.lower), ("less", dr.upper)):
        interval = binomtest(hits, hits + misses, alternative=alternative).proportion_ci(0.9)
        assert bound == pytest.approx(interval.low if alternative == "greater" else interval.high)
    assert mh.verdict == "no data"
    assert np.isnan(mh.observed)
    assert report.broken == (("DR",) if verdict == "broken" else ())


def test_a_patient_meets_the_floor_with_every_image(found):
    labels, scores = new_data(3, 1)
    groups = ["a", "a", "b", "b"]  # b has one hit and one miss
    [check, _] = verify_thresholds(found, labels, scores, groups=groups).checks
    assert (check.met, check.units) == (1, 2)


def test_specificity_is_checked_where_it_was_a_floor():
    labels = np.array([[1], [0], [0], [0]])
    found = find_optimal_thresholds(labels, [[0.9], [0.5], [0.2], [0.1]], min_specificity=0.6)
    [check] = verify_thresholds(found, labels, [[0.1], [0.95], [0.2], [0.1]]).checks
    assert (check.rate, check.met, check.units) == ("specificity", 2, 3)


def test_missing_labels_are_no_data(found):
    labels, scores = new_data(2, 0)
    [check, _] = verify_thresholds(found, labels * np.nan, scores).checks
    assert check.units == 0
    assert check.verdict == "no data"
    assert (check.lower, check.upper) == (0, 1)


def test_thresholds_without_a_floor_have_nothing_to_verify():
    free = find_optimal_thresholds([[1], [0]], [[0.9], [0.1]])
    with pytest.raises(InputError, match="no floor to verify"):
        verify_thresholds(free, [[1], [0]], [[0.9], [0.1]])


def test_a_report_prints_and_becomes_json(found):
    report = verify_thresholds(found, *new_data(6, 5))
    assert str(report).splitlines()[:2] == [
        "class  rate    floor  observed          bounds    verdict",
        "DR     recall   0.50      6/11  [0.271, 0.800]  undecided",
    ]
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["checks"][0]["observed"] == pytest.approx(6 / 11)
    assert content["checks"][1]["observed"] is None
