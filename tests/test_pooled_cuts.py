"""Where the cut that the pooled model asks for breaks a constraint, the nearest that doesn't."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlthresh import find_optimal_thresholds, strategies
from mlthresh.constraints import Constraints
from mlthresh.counts import Counts

RATES = st.sampled_from([0.25, 0.5, 0.75, 1.0])


def counts_at(label, score, thresholds):
    called = score >= thresholds[:, None]
    return Counts(
        *(
            (called_so & (label == wanted)).sum(axis=1).astype(float)
            for called_so, wanted in ((called, 1), (called, 0), (~called, 1), (~called, 0))
        )
    )


def nearest_feasible(label, score, target, floors):
    """Return the target or the cut that calls nearest to as many; None if no cut is feasible."""
    cuts = np.append(np.unique(score), np.inf)
    constraints = Constraints(**floors)
    wanted, counts = counts_at(label, score, np.array([target])), counts_at(label, score, cuts)
    if (constraints.shortfalls(wanted) <= 0).all():
        return target
    feasible = np.all(constraints.shortfalls(counts) <= 0, axis=0)
    if not feasible.any():
        return None
    distance = np.abs(counts.tp + counts.fp - wanted.tp - wanted.fp)
    return cuts[feasible][distance[feasible].argmin()]


@given(
    st.integers(0, 10_000),
    st.integers(2, 40),
    st.dictionaries(
        st.sampled_from(["min_recall", "min_precision", "min_specificity", "max_alarm_rate"]),
        RATES,
        min_size=1,
        max_size=2,
    ),
)
def test_the_nearest_cut_that_satisfies_the_constraints(seed, n_samples, floors):
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_samples, 3)) < [0.5, 0.2, 0]).astype(float)
    y_true[0, 0] = 1
    y_score = rng.integers(0, rng.choice([5, 1000]), y_true.shape) / 1000
    targets = rng.choice(np.append(y_score[:, 0], [-1.0, 2.0]), 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategies, "pooled_targets", lambda *_, **__: targets)
        found = find_optimal_thresholds(y_true, y_score, strategy="pooled", **floors)
    for c, status in enumerate(found.status):
        label, score = y_true[:, c], y_score[:, c]
        if label.any():
            own = floors
        else:  # of such a class neither recall nor precision can be asked
            own = {n: f for n, f in floors.items() if n not in ("min_recall", "min_precision")}
        expected = nearest_feasible(label, score, targets[c], own)
        assert (status == "infeasible") == (expected is None)
        if expected is None:
            exact = find_optimal_thresholds(label[:, None], score[:, None], **floors)
            expected = exact.thresholds[0]
        np.testing.assert_array_equal(score >= found.thresholds[c], score >= expected)
