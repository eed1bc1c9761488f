"""AUROC and average precision against Python loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from mlthresh._ranking import ResampledAUROC, average_precision, placements

# Few distinct values: ties within and between positives and negatives.
scores_of_one_kind = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.integers(1, 12),
    elements=st.sampled_from([-1.5, 0.0, 0.25, 0.5, 1.0, 2.0]),
).map(np.sort)


def joined(positive, negative):
    label = np.repeat([1, 0], [len(positive), len(negative)])
    return label, np.concatenate([positive, negative])


@given(scores_of_one_kind, scores_of_one_kind)
def test_placements_count_pairs(positive, negative):
    of_positives, of_negatives = placements(positive, negative)
    wins = np.array([[(p > n) + (p == n) / 2 for n in negative] for p in positive])
    np.testing.assert_allclose(of_positives, wins.mean(axis=1), atol=1e-15)
    np.testing.assert_allclose(of_negatives, wins.mean(axis=0), atol=1e-15)
    label, score = joined(positive, negative)
    assert of_positives.mean() == pytest.approx(roc_auc_score(label, score))
    assert of_negatives.mean() == pytest.approx(roc_auc_score(label, score))


@given(scores_of_one_kind, scores_of_one_kind)
def test_average_precision_is_a_sum_over_distinct_scores(positive, negative):
    total, recall = 0.0, 0.0
    for threshold in sorted({*positive, *negative}, reverse=True):
        tp, fp = sum(positive >= threshold), sum(negative >= threshold)
        total += (tp / len(positive) - recall) * tp / (tp + fp)
        recall = tp / len(positive)
    label, score = joined(positive, negative)
    assert average_precision(positive, negative) == pytest.approx(total)
    assert average_precision(positive, negative) == pytest.approx(
        average_precision_score(label, score)
    )


def test_one_kind_alone():
    some, none = np.array([0.2, 0.4]), np.array([])
    assert np.isnan(placements(some, none)[0]).all()
    assert np.isnan(placements(none, some)[1]).all()
    assert np.isnan(average_precision(none, some))
    assert average_precision(some, none) == 1.0


@given(
    st.integers(1, 15).flatmap(
        lambda n: st.tuples(
            hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0, np.nan])),
            hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])),
            hnp.arrays(np.int64, (n, 4), elements=st.integers(0, 3)),
        )
    )
)
def test_a_resamples_auroc_is_that_of_its_repeated_rows(drawn):
    label, score, multiplicity = drawn
    found = ResampledAUROC(score, label)(multiplicity.astype(np.float64))
    for resample in range(multiplicity.shape[1]):
        rows = np.repeat(np.arange(len(label)), multiplicity[:, resample])
        positive = np.sort(score[rows][label[rows] == 1])
        negative = np.sort(score[rows][label[rows] == 0])
        if len(positive) and len(negative):
            assert found[resample] == pytest.approx(placements(positive, negative)[0].mean())
        else:
            assert np.isnan(found[resample])
