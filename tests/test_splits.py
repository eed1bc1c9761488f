"""Stratified folds: a partition, whole patients, positives shared out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlthresh import (
    InputError,
    MultilabelStratifiedKFold,
    multilabel_stratified_kfold,
    multilabel_train_test_split,
)

label_matrices = st.tuples(st.integers(6, 40), st.integers(1, 4)).flatmap(
    lambda shape: hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0, np.nan]))
)


@given(label_matrices, st.integers(2, 5), st.integers(0, 3))
def test_folds_are_a_partition(labels, n_splits, seed):
    folds = list(multilabel_stratified_kfold(labels, n_splits=n_splits, seed=seed))
    everything = np.sort(np.concatenate([fold.test for fold in folds]))
    np.testing.assert_array_equal(everything, np.arange(len(labels)))
    for fold in folds:
        together = np.sort(np.concatenate([fold.train, fold.test]))
        np.testing.assert_array_equal(together, np.arange(len(labels)))


@given(label_matrices, st.integers(2, 4))
def test_a_single_class_is_shared_out_to_within_one(labels, n_splits):
    labels = labels[:, :1]
    counts = [
        (labels[fold.test] == 1).sum()
        for fold in multilabel_stratified_kfold(labels, n_splits=n_splits)
    ]
    assert max(counts) - min(counts) <= 1


@given(label_matrices, st.data())
def test_groups_stay_whole(labels, data):
    groups = data.draw(hnp.arrays(np.int64, len(labels), elements=st.integers(0, 9)))
    if len(np.unique(groups)) < 2:
        return
    for fold in multilabel_stratified_kfold(labels, n_splits=2, groups=groups):
        assert not set(groups[fold.train]) & set(groups[fold.test])
    split = multilabel_train_test_split(labels, test_size=0.3, groups=groups)
    assert not set(groups[split.train]) & set(groups[split.test])


def long_tailed(n_samples, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random((n_samples, n_classes)) < np.geomspace(0.01, 0.3, n_classes)).astype(int)


def test_rare_classes_fare_better_than_at_random():
    labels = long_tailed(800, 12)
    folds = multilabel_stratified_kfold(labels, n_splits=5)
    counts = np.array([labels[fold.test].sum(axis=0) for fold in folds])
    random = np.array(
        [
            labels[rows].sum(axis=0)
            for rows in np.array_split(np.random.default_rng(0).permutation(800), 5)
        ]
    )
    assert (counts.max(axis=0) - counts.min(axis=0)).max() <= 2
    assert counts.std(axis=0).mean() < random.std(axis=0).mean() / 3
    assert {len(rows) for rows in np.array_split(np.arange(800), 5)} == {160}
    sizes = [len(f.test) for f in multilabel_stratified_kfold(labels, n_splits=5)]
    assert max(sizes) - min(sizes) <= 8


def test_a_seed_gives_the_same_folds_and_leaves_global_state():
    labels = long_tailed(100, 3)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    one, again, other = (
        [fold.test.tolist() for fold in multilabel_stratified_kfold(labels, n_splits=3, seed=s)]
        for s in (1, 1, 2)
    )
    assert one == again
    assert one != other
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_a_split_has_its_size_and_its_positives():
    labels = long_tailed(1000, 6)
    split = multilabel_train_test_split(labels, test_size=0.2)
    assert len(split.test) == pytest.approx(200, abs=6)
    np.testing.assert_allclose(labels[split.test].sum(axis=0), 0.2 * labels.sum(axis=0), atol=1.5)


def test_bad_input():
    labels = np.eye(3)
    with pytest.raises(InputError, match="3 rows can't fill 4 folds"):
        list(multilabel_stratified_kfold(labels, n_splits=4))
    with pytest.raises(InputError, match="1 groups can't fill 2 folds"):
        list(multilabel_stratified_kfold(labels, n_splits=2, groups=[0, 0, 0]))
    with pytest.raises(InputError, match="n_splits must be"):
        list(multilabel_stratified_kfold(labels, n_splits=1))
    with pytest.raises(InputError, match="test_size must lie"):
        multilabel_train_test_split(labels, test_size=1.0)
    with pytest.raises(InputError, match="1 rows can't fill 2 folds"):
        multilabel_train_test_split(np.zeros((1, 1)))


def test_no_side_is_empty_even_with_a_few_large_groups():
    labels = np.zeros((21, 1))
    split = multilabel_train_test_split(labels, test_size=0.01, groups=[0] * 20 + [1])
    assert split.test.tolist() == [20]
    folds = multilabel_stratified_kfold(labels, n_splits=3, groups=[0] * 10 + [1] * 10 + [2])
    assert sorted(len(fold.test) for fold in folds) == [1, 10, 10]


@given(label_matrices, st.integers(2, 4), st.integers(0, 3))
def test_rows_in_three_kinds_are_shared_out_to_within_one(labels, n_splits, seed):
    kinds = np.eye(3)[np.arange(len(labels)) % 3]  # one class a row: the exact share is possible
    folds = multilabel_stratified_kfold(kinds, n_splits=n_splits, seed=seed)
    counts = np.array([kinds[fold.test].sum(axis=0) for fold in folds])
    assert np.ptp(counts, axis=0).max() <= 1


def dense(n_samples=1200, n_classes=14):
    """Return labels with several correlated classes a row, which one class at a time can't fit."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(n_samples, 4)) @ rng.normal(size=(4, n_classes))
    noisy = latent + rng.normal(size=(n_samples, n_classes))
    return (
        noisy > np.quantile(noisy, np.linspace(0.97, 0.4, n_classes), axis=0).diagonal()
    ).astype(float)


def deviation(labels, folds):
    counts = np.array([(labels[fold.test] == 1).sum(axis=0) for fold in folds])
    return np.abs(counts - (labels == 1).sum(axis=0) / len(counts)).max()


def test_dense_labels_are_shared_out_closely():
    labels = dense()
    assert labels.sum(axis=1).mean() > 3
    folds = list(multilabel_stratified_kfold(labels, n_splits=5))
    assert deviation(labels, folds) < 2.5
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 4
    groups = np.random.default_rng(1).integers(0, 500, len(labels))
    whole = list(multilabel_stratified_kfold(labels, n_splits=5, groups=groups))
    assert deviation(labels, whole) < 2.5


def test_every_fold_gets_its_part_of_the_known_labels():
    labels = dense()
    rng = np.random.default_rng(2)
    labels[rng.random(labels.shape) < np.linspace(0, 0.6, 14)] = np.nan
    labels[:, 5] = np.where(np.arange(len(labels)) < 300, labels[:, 5], np.nan)
    folds = list(multilabel_stratified_kfold(labels, n_splits=4))
    known = np.array([np.isfinite(labels[fold.test]).sum(axis=0) for fold in folds])
    assert np.ptp(known, axis=0).max() <= 12
    assert deviation(labels, folds) < 2.5


def test_not_worse_than_the_peer_on_any_class():
    peer = pytest.importorskip("iterstrat.ml_stratifiers")
    labels = dense().astype(int)
    theirs = peer.MultilabelStratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels)
    counts = np.array([labels[test].sum(axis=0) for _, test in theirs])
    expected = labels.sum(axis=0) / 5
    assert deviation(labels, multilabel_stratified_kfold(labels)) < np.abs(counts - expected).max()


def test_the_splitter_is_scikit_learn_s_cv():
    from sklearn.dummy import DummyClassifier
    from sklearn.model_selection import GridSearchCV, check_cv, cross_val_predict

    labels = long_tailed(100, 3)
    groups = np.arange(100) // 2
    x = np.zeros((100, 1))
    splitter = MultilabelStratifiedKFold(n_splits=4, random_state=3)
    assert check_cv(splitter) is splitter
    assert splitter.get_n_splits(x, labels, groups) == 4
    expected = multilabel_stratified_kfold(labels, n_splits=4, groups=groups, seed=3)
    for (train, test), fold in zip(splitter.split(x, labels, groups), expected, strict=True):
        np.testing.assert_array_equal(train, fold.train)
        np.testing.assert_array_equal(test, fold.test)
    assert cross_val_predict(DummyClassifier(), x, labels, cv=splitter).shape == (100, 3)
    search = GridSearchCV(DummyClassifier(), {"strategy": ["prior", "uniform"]}, cv=splitter)
    assert search.fit(x, labels, groups=groups).n_splits_ == 4
    with pytest.raises(InputError, match="X has 99 rows and y has 100"):
        next(splitter.split(x[1:], labels))
    with pytest.raises(InputError, match="n_splits"):
        MultilabelStratifiedKFold(n_splits=1)


def test_folds_of_real_patients_are_even(data_dir):
    frames = [pd.read_csv(path) for path in sorted((data_dir / "odir").glob("*_Labels.csv"))]
    frame = pd.concat(frames, ignore_index=True)
    labels = frame.drop(columns=["ID", "Patient", "Disease_Risk"])
    folds = list(multilabel_stratified_kfold(labels, groups=frame["Patient"].to_numpy()))
    assert deviation(labels.to_numpy(), folds) < 1
    for fold in folds:
        assert not set(frame["Patient"][fold.train]) & set(frame["Patient"][fold.test])
