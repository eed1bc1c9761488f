"""The report of folds counts what is there and names the classes that can't fill them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlthresh import (
    Fold,
    InputError,
    describe_folds,
    multilabel_stratified_kfold,
    multilabel_train_test_split,
)

label_matrices = st.tuples(st.integers(6, 30), st.integers(1, 4)).flatmap(
    lambda shape: hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0, np.nan]))
)


@given(label_matrices, st.data())
def test_counts_equal_a_naive_loop(labels, data):
    groups = data.draw(hnp.arrays(np.int64, len(labels), elements=st.integers(0, 9)))
    groups[:2] = [0, 1]
    folds = list(multilabel_stratified_kfold(labels, n_splits=2, groups=groups))
    report = describe_folds(labels, folds, groups=groups)
    for k, fold in enumerate(folds):
        assert report.n_rows[k] == len(fold.test)
        assert report.n_groups[k] == len(set(groups[fold.test]))
        for c in range(labels.shape[1]):
            column = labels[fold.test, c]
            assert report.n_positive[k, c] == sum(column == 1)
            assert report.n_known[k, c] == sum(~np.isnan(column))
            assert report.n_positive_groups[k, c] == len(set(groups[fold.test][column == 1]))
    assert report.n_split_groups == 0
    few = [len(set(groups[labels[:, c] == 1])) < 2 for c in range(labels.shape[1])]
    assert report.unfillable == tuple(f"class {c}" for c in np.flatnonzero(few))
    assert set(report.unfillable) <= set(report.without_positive)


def test_a_split_shows_both_sides():
    labels = pd.DataFrame({"DR": [1] * 8 + [0] * 8, "RPEC": [1] + [0] * 15})
    report = describe_folds(labels, multilabel_train_test_split(labels))
    assert report.parts == ("train", "test")
    assert report.n_positive[:, 0].tolist() == [6, 2]
    assert report.unfillable == ("RPEC",)
    assert report.n_groups is None
    assert str(report).splitlines()[-1] == "Fewer positives than parts: RPEC."


def test_the_text_with_patients():
    labels = np.array([[1, 1], [1, 1], [1, 0], [1, 0], [0, 0], [0, 0]])
    folds = [([2, 3, 4, 5], [0, 1]), ([0, 1, 4, 5], [2, 3]), ([0, 1, 2, 3], [4, 5])]
    report = describe_folds(labels, folds, groups=[0, 0, 1, 2, 3, 4], class_names=["DR", "RPEC"])
    assert str(report).splitlines() == [
        "6 rows of 2 classes in 3 parts",
        "",
        "positives  all  groups  fold 0  fold 1  fold 2",
        "DR           4       3       2       2       0",
        "RPEC         2       1       2       0       0",
        "(rows)       6       5       2       2       2",
        "",
        "Fewer groups with a positive than parts: RPEC.",
        "Enough groups with a positive, but none in some part: DR.",
    ]
    assert report.without_positive == {"DR": ("fold 2",), "RPEC": ("fold 1", "fold 2")}
    assert "| RPEC | 2 | 1 | 2 | 0 | 0 |" in report.to_markdown()
    shown = json.loads(report.to_json())
    assert shown["n_positive"] == [[2, 2], [2, 0], [0, 0]]
    assert shown["unfillable"] == ["RPEC"]


def test_rare_classes_come_last_and_full_folds_are_said_to_be():
    labels = np.array([[1, 1], [1, 1], [0, 1], [0, 1]])
    report = describe_folds(labels, [([1, 3], [0, 2]), ([0, 2], [1, 3])])
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["positives", "class", "class", "(rows)"]
    assert lines[3].startswith("class 1")
    assert lines[-1] == "Every class has a positive in every part."


def test_patients_on_both_sides_are_counted():
    report = describe_folds(np.ones((4, 1)), Fold([0, 1], [2, 3]), groups=["a", "b", "b", "c"])
    assert report.n_split_groups == 1
    assert "Groups on both sides of a fold: 1." in str(report)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([], "no folds"),
        ([([0], [4])], "a fold has row 4, but there are 4 rows"),
        ([([0], [-1])], "row -1"),
        ([([0], [True, False, True, True])], "row numbers"),
        ([([0], [0.5])], "row numbers"),
    ],
)
def test_bad_folds_raise(folds, message):
    with pytest.raises(InputError, match=message):
        describe_folds(np.ones((4, 1)), folds)
