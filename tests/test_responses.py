"""Every shape in which classifiers answer becomes the same matrix, and folds become one."""

from __future__ import annotations

import numpy as np
import pytest

from mlthresh import Fold, InputError
from mlthresh._responses import learned_classes, response_matrix, scores_of_folds

MATRIX = np.array([[0.1, 0.8], [0.4, 0.3], [0.9, 0.5]])
BOTH = [np.array([0, 1])] * 2


def two_columns(positive):
    return np.column_stack([1 - positive, positive])


def matrix(response, n_classes, classes=None, positive=1):
    return response_matrix(response, n_classes, classes, positive, "it")


@pytest.mark.parametrize(
    ("response", "classes"),
    [
        (MATRIX, np.array([0, 1])),
        (MATRIX, BOTH),
        ([two_columns(column) for column in MATRIX.T], BOTH),
        ([two_columns(column) for column in MATRIX.T], None),
        ([column[:, None] for column in MATRIX.T], None),
        ([MATRIX[:, 0], MATRIX[:, 1]], None),
        ([two_columns(column)[:, ::-1] for column in MATRIX.T], [np.array([1, 0])] * 2),
    ],
    ids=["array", "array, labels a class", "list", "list alone", "columns", "vectors", "reversed"],
)
def test_all_shapes_of_several_classes(response, classes):
    np.testing.assert_array_equal(matrix(response, 2, classes), MATRIX)


@pytest.mark.parametrize(("label", "expected"), [(0, 0.0), (1, 1.0), (1.0, 1.0), (True, 1.0)])
def test_a_class_fitted_on_one_label(label, expected):
    response = [two_columns(MATRIX[:, 0]), np.ones((3, 1))]
    found = matrix(response, 2, [np.array([0, 1]), np.array([label])])
    np.testing.assert_array_equal(found[:, 1], np.full(3, expected))
    np.testing.assert_array_equal(found[:, 0], MATRIX[:, 0])


@pytest.mark.parametrize(
    ("response", "classes"),
    [
        (MATRIX[:, 0], None),
        (MATRIX[:, [0]], None),
        (MATRIX[:, [0]], BOTH[:1]),
        (two_columns(MATRIX[:, 0]), np.array([0, 1])),
        (two_columns(MATRIX[:, 0]), None),
        ([two_columns(MATRIX[:, 0])], BOTH[:1]),
    ],
    ids=["vector", "column", "column of list", "two columns", "two columns alone", "list"],
)
def test_all_shapes_of_a_single_class(response, classes):
    np.testing.assert_array_equal(matrix(response, 1, classes), MATRIX[:, [0]])


def test_labels_of_any_kind():
    response = two_columns(MATRIX[:, 0])
    np.testing.assert_array_equal(
        matrix(response, 1, np.array(["no", "yes"]), "yes"), MATRIX[:, [0]]
    )
    np.testing.assert_array_equal(
        matrix(np.ones((3, 1)), 1, np.array(["no"]), "yes"), np.zeros((3, 1))
    )


@pytest.mark.parametrize(
    ("response", "n_classes", "message"),
    [
        (MATRIX, 3, r"it gave shape \(3, 2\); expected 3 classes"),
        ([MATRIX], 3, "it gave 1 arrays; expected 3 classes"),
        (np.ones((3, 4)), 1, r"it gave shape \(3, 4\) for a class"),
        ([np.ones((3, 3)), np.ones((3, 2))], 2, r"it gave shape \(3, 3\) for a class"),
    ],
)
def test_other_shapes_are_refused(response, n_classes, message):
    with pytest.raises(InputError, match=message):
        matrix(response, n_classes)


def test_a_class_is_learned_from_both_labels_that_count():
    labels = np.array([[1, 0, np.nan, 1], [0, 0, 1, 1], [0, 0, 0, 1]])
    assert learned_classes(labels, None).tolist() == [True, False, True, False]
    assert learned_classes(labels, np.array([0.0, 1, 1])).tolist() == [False, False, True, False]


def fold(n_rows, test):
    return Fold(np.setdiff1d(np.arange(n_rows), test), np.array(test))


def test_folds_are_put_together_by_row():
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, 1]])
    scores = np.linspace(0, 1, 10).reshape(5, 2).astype(np.float32)
    folds = [fold(5, [2, 0]), fold(5, [3])]
    rows, kept, found = scores_of_folds(labels, folds, [scores[one.test] for one in folds])
    assert rows.tolist() == [0, 2, 3]  # nothing held out the others
    np.testing.assert_array_equal(kept, labels[rows])
    np.testing.assert_array_equal(found, scores[rows])
    assert found.dtype == np.float32


def test_a_row_held_out_twice_has_its_mean_score():
    labels = np.array([[1], [0], [1], [0]])
    folds = [fold(4, [0, 1]), fold(4, [1, 2])]
    rows, _, found = scores_of_folds(
        labels, folds, [np.array([[0.2], [0.4]]), np.array([[0.8], [0.1]])]
    )
    assert rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found[:, 0], [0.2, 0.6, 0.1])


def test_what_a_fold_could_not_learn_does_not_count():
    labels = np.array([[1, 1], [0, 0], [0, 1], [0, 0]])  # class 0 has a single positive
    folds = [fold(4, [0, 1]), fold(4, [2, 3])]
    answers = [np.array([[np.nan, 0.9], [np.nan, 0.1]]), np.array([[0.3, 0.7], [0.2, 0.4]])]
    _, kept, found = scores_of_folds(labels, folds, answers)
    np.testing.assert_array_equal(kept, [[np.nan, 1], [np.nan, 0], [0, 1], [0, 0]])
    np.testing.assert_array_equal(found, [[0, 0.9], [0, 0.1], [0.3, 0.7], [0.2, 0.4]])


def test_integer_and_half_scores_become_floats_that_can_be_searched():
    labels = np.array([[1], [0], [1], [0]])
    for dtype, expected in ((np.int64, np.float64), (np.float16, np.float64)):
        answers = [np.array([[1], [0]], dtype=dtype)] * 2
        found = scores_of_folds(labels, [fold(4, [0, 1]), fold(4, [2, 3])], answers)[2]
        assert found.dtype == expected
