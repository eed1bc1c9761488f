"""The scikit-learn face: its conventions, its honesty about held-out rows, its inputs."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    RepeatedKFold,
    ShuffleSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from mlthresh import (
    InfeasibleError,
    InputError,
    MlthreshWarning,
    MultilabelThresholdClassifier,
    SearchOptions,
    ThresholdSearch,
    fbeta,
    find_optimal_thresholds,
    multilabel_stratified_kfold,
    multilabel_train_test_split,
)

NAMES = ["DR", "MH", "ODC"]
OVR = OneVsRestClassifier(LogisticRegression())
TREES = RandomForestClassifier(n_estimators=5, min_samples_leaf=3, random_state=0)


def sample(n_samples=150, n_classes=3, seed=0):
    """Draw labels of falling frequency and features that tell of them."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n_samples, n_classes)) < np.geomspace(0.4, 0.1, n_classes)).astype(int)
    X = rng.normal(size=(n_samples, n_classes + 1))
    X[:, :n_classes] += 1.5 * y
    return X, y


def out_of_fold(estimator, X, y, method="predict_proba", **options):
    scores = np.empty(y.shape)
    for fold in multilabel_stratified_kfold(y, **options):
        model = clone(estimator).fit(X[fold.train], y[fold.train])
        scores[fold.test] = getattr(model, method)(X[fold.test])
    return scores


class Recorder(ClassifierMixin, BaseEstimator):
    """Score rows by their first columns; keep what `fit` was given, in `log`."""

    def __init__(self, log=None, refuse=False):
        self.log, self.refuse = log, refuse

    def __sklearn_clone__(self):  # with the same log
        return copy.copy(self)

    def fit(self, X, y, sample_weight=None, site=None, mode="plain"):
        if self.refuse and np.isnan(y).any():
            raise ValueError("Input y contains NaN.")
        self.n_classes_, self.rows_ = y.shape[1], np.asarray(X)[:, -1].astype(int)
        if self.log is not None:
            given = {"sample_weight": sample_weight, "site": site, "mode": mode}
            self.log.append({"rows": self.rows_, "y": y, **given})
        return self

    def predict_proba(self, X):
        return 1 / (1 + np.exp(-np.asarray(X)[:, : self.n_classes_]))

    def predict(self, X):
        return (self.predict_proba(X) > 0.5).astype(int)


@pytest.fixture
def numbered():
    """A sample whose last column is the row's number."""
    X, y = sample(60)
    X[:, -1] = np.arange(60)
    return X, y


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


# --- scikit-learn's conventions ----------------------------------------------------------------

_BY_NATURE = "the threshold is tuned: neither 0.5 nor 0"
EXPECTED_FAILURES = {
    "check_classifiers_train": _BY_NATURE,
    "check_classifier_multioutput": _BY_NATURE,
}
if sklearn.__version__.startswith("1.6."):
    # There the check turns three labels into two differently in the samples it compares.
    for kind in ("dense", "sparse"):
        EXPECTED_FAILURES[f"check_sample_weight_equivalence_on_{kind}_data"] = "compares two tasks"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "base",
    [
        LogisticRegression(),
        DecisionTreeClassifier(max_depth=1, random_state=0),
        MultiOutputClassifier(LogisticRegression()),
    ],
    ids=["binary", "multilabel", "multioutput alone"],
)
def test_scikit_learns_checks(base):
    results = check_estimator(MultilabelThresholdClassifier(base), on_fail=None, on_skip=None)
    failed = {one["check_name"] for one in results if one["status"] == "failed"}
    assert failed <= set(EXPECTED_FAILURES), failed
    assert sum(one["status"] == "passed" for one in results) > 50


def test_all_search_options_are_parameters_with_their_defaults():
    parameters = inspect.signature(MultilabelThresholdClassifier).parameters
    search = inspect.signature(ThresholdSearch).parameters
    options = set(SearchOptions.__annotations__) - {"score_scale"}  # follows response_method
    assert options <= set(parameters)
    assert {name: parameters[name].default for name in options} == {
        name: search[name].default for name in options
    }
    for name in options:
        assert re.search(rf"\b{name}\b", MultilabelThresholdClassifier.__doc__)


def test_it_is_cloned_pickled_and_shown():
    X, y = sample()
    tuned = MultilabelThresholdClassifier(OVR, min_recall=0.3, strategy="pooled")
    assert clone(tuned).get_params()["min_recall"] == 0.3
    assert "strategy='pooled'" in repr(tuned)
    assert tuned.fit(X, y) is tuned
    for again in (pickle.loads(pickle.dumps(tuned)), clone(tuned).fit(X, y)):  # noqa: S301
        np.testing.assert_array_equal(again.predict(X), tuned.predict(X))
        np.testing.assert_array_equal(again.thresholds_.thresholds, tuned.thresholds_.thresholds)
    assert tuned._repr_html_()


def test_joblib_keeps_it(tmp_path):
    X, y = sample()
    tuned = MultilabelThresholdClassifier(TREES).fit(X, y)
    joblib.dump(tuned, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(again.predict(X), tuned.predict(X))


def test_it_is_not_fitted_before_fit():
    X, y = sample()
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(MultilabelThresholdClassifier(OVR.fit(X, y)), method)(X)


def test_methods_are_those_of_the_estimator():
    assert hasattr(MultilabelThresholdClassifier(OVR), "decision_function")
    assert not hasattr(MultilabelThresholdClassifier(TREES), "decision_function")
    assert not hasattr(MultilabelThresholdClassifier(RidgeClassifier()), "predict_proba")


def test_pipelines_inside_and_around():
    X, y = sample()
    inside = MultilabelThresholdClassifier(make_pipeline(StandardScaler(), OVR)).fit(X, y)
    around = make_pipeline(StandardScaler(), MultilabelThresholdClassifier(OVR)).fit(X, y)
    assert inside.n_features_in_ == X.shape[1]
    assert inside.predict(X).shape == around.predict(X).shape == y.shape
    # Around, the scaler has seen the rows that are held out; inside, it has not.
    scaled = StandardScaler().fit_transform(X)
    alone = MultilabelThresholdClassifier(OVR).fit(scaled, y)
    np.testing.assert_array_equal(around.predict(X), alone.predict(scaled))


def test_a_grid_search_over_options_and_nested_parameters():
    X, y = sample()
    search = GridSearchCV(
        MultilabelThresholdClassifier(OVR, cv=3),
        {
            "strategy": ["exact", "pooled"],
            "min_recall": [None, 0.5],
            "estimator__estimator__C": [0.1, 1.0],
        },
        scoring="f1_macro",
        cv=list(multilabel_stratified_kfold(y, n_splits=2)),
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 8
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_
    assert search.best_params_["estimator__estimator__C"] == best.estimator_.estimator.C
    assert search.predict(X).shape == y.shape


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("base", [OVR, TREES], ids=["array", "list"])
def test_scorers_of_scores_understand_it(n_classes, base):
    X, y = sample(n_classes=n_classes)
    tuned = MultilabelThresholdClassifier(base)
    for scoring in ("roc_auc", "average_precision", "f1_macro", "accuracy"):
        assert cross_val_score(tuned, X, y, scoring=scoring, cv=2).min() > 0.2


def test_score_is_the_share_of_rows_with_every_label_right():
    X, y = sample()
    tuned = MultilabelThresholdClassifier(OVR).fit(X, y)
    assert tuned.score(X, y) == (tuned.predict(X) == y).all(axis=1).mean()
    weight = np.arange(len(y))
    right = (tuned.predict(X) == y).all(axis=1)
    assert tuned.score(X, y, sample_weight=weight) == pytest.approx(right @ weight / weight.sum())


# --- thresholds of held-out scores -------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"min_recall": 0.4},
        {"strategy": "pooled", "min_recall": 0.4},
        {"strategy": "grid", "grid": [0.2, 0.4], "objective": "youden"},
        {"average": "micro", "objective": fbeta(2)},
    ],
    ids=["exact", "pooled", "grid", "micro"],
)
def test_thresholds_are_those_of_out_of_fold_scores(options):
    X, y = sample()
    tuned = MultilabelThresholdClassifier(OVR, cv=4, random_state=7, **options)
    found = tuned.fit(X, y).thresholds_
    scores = out_of_fold(OVR, X, y, n_splits=4, seed=7)
    expected = find_optimal_thresholds(y, scores, **options)
    np.testing.assert_array_equal(found.thresholds, expected.thresholds)
    assert found.options == expected.options
    np.testing.assert_array_equal(found.support, y.sum(axis=0))
    # The model is fitted on all rows.
    np.testing.assert_array_equal(tuned.predict_proba(X), OVR.fit(X, y).predict_proba(X))
    np.testing.assert_array_equal(tuned.predict(X), OVR.predict_proba(X) >= expected.thresholds)


def test_no_row_is_scored_by_a_model_that_was_fitted_on_it(numbered):
    log = []

    class Watched(Recorder):
        def predict_proba(self, X):
            rows = np.asarray(X)[:, -1].astype(int)
            assert not set(rows) & set(self.rows_)
            return super().predict_proba(X)

    MultilabelThresholdClassifier(Watched(log), cv=3, n_jobs=1).fit(*numbered)
    assert [len(one["rows"]) for one in log] == [40, 40, 40, 60]


def test_a_model_that_learns_its_rows_by_heart_gets_no_thresholds_from_them():
    X, y = sample()
    tree = DecisionTreeClassifier(random_state=0)
    tuned = MultilabelThresholdClassifier(tree).fit(X, y)
    assert tuned.estimator_.score(X, y) == 1.0
    assert (tuned.thresholds_.f1 < 0.8).all()


@pytest.mark.parametrize(
    ("base", "method"),
    [
        (OVR, "predict_proba"),
        (OVR, "decision_function"),
        (RidgeClassifier(), "decision_function"),
        (ClassifierChain(LogisticRegression()), "predict_proba"),
    ],
    ids=["probabilities", "margins", "margins alone", "chain"],
)
def test_both_kinds_of_scores(base, method):
    X, y = sample()
    requested = "auto" if isinstance(base, RidgeClassifier) else method
    tuned = MultilabelThresholdClassifier(base, response_method=requested, strategy="pooled")
    found = tuned.fit(X, y).thresholds_
    assert tuned.response_method_ == method
    assert found.score_scale == ("probability" if method == "predict_proba" else "real")
    expected = find_optimal_thresholds(
        y, out_of_fold(base, X, y, method), strategy="pooled", score_scale=found.score_scale
    )
    np.testing.assert_array_equal(found.thresholds, expected.thresholds)
    scores = getattr(tuned, method)(X)
    np.testing.assert_array_equal(tuned.predict(X), scores >= found.thresholds)


@pytest.mark.parametrize(
    "base",
    [TREES, KNeighborsClassifier(), MultiOutputClassifier(LogisticRegression()), OVR],
    ids=["forest", "neighbours", "multioutput", "one vs rest"],
)
def test_probabilities_are_a_matrix_whatever_the_estimator_gives(base):
    X, y = sample()
    tuned = MultilabelThresholdClassifier(base).fit(X, y)
    raw = clone(base).fit(X, y).predict_proba(X)
    if isinstance(raw, list):
        raw = np.column_stack([one[:, 1] for one in raw])
    np.testing.assert_array_equal(tuned.predict_proba(X), raw)
    np.testing.assert_array_equal(tuned.predict(X), raw >= tuned.thresholds_.thresholds)
    assert tuned.predict(X).dtype.kind == "i"


@pytest.mark.filterwarnings("ignore:Label not:UserWarning")  # OneVsRestClassifier's own
@pytest.mark.parametrize("base", [TREES, OVR], ids=["(n, 1) arrays", "constant columns"])
@pytest.mark.parametrize("method", ["predict_proba", "decision_function"])
def test_classes_that_some_folds_cannot_learn(base, method):
    if not hasattr(base, method):
        pytest.skip("has no decision function")
    X, y = sample()
    y = np.column_stack([y, np.zeros_like(y)])
    y[0, 3] = 1  # one positive: no fold that scores it has learned it
    y[[1, 2], 4] = 1  # two: each is scored by a model of the other
    tuned = MultilabelThresholdClassifier(base, response_method=method).fit(X, y)
    found = tuned.thresholds_
    assert found.status == ("ok", "ok", "ok", "no_positives", "ok", "no_positives")
    assert found.support.tolist() == [*y[:, :3].sum(axis=0), 0, 2, 0]
    assert np.isposinf(found.thresholds[[3, 5]]).all()
    assert not tuned.predict(X)[:, [3, 5]].any()
    alone = MultilabelThresholdClassifier(base, response_method=method)
    if base is OVR:  # whose columns don't know of each other, though the folds do
        folds = list(multilabel_stratified_kfold(y))
        alone = alone.set_params(cv=folds).fit(X, y[:, :3]).thresholds_
        np.testing.assert_array_equal(found.thresholds[:3], alone.thresholds)


def test_a_fit_that_fails_says_which_classes_have_one_label():
    X, y = sample()
    frame = pd.DataFrame(np.column_stack([y, np.eye(len(y), 1)[:, 0]]).astype(int))
    frame.columns = [*NAMES, "RPEC"]
    base = MultiOutputClassifier(LogisticRegression())
    with pytest.raises(ValueError, match="at least 2 classes") as caught:
        MultilabelThresholdClassifier(base).fit(X, frame)
    assert "hold one label only of 'RPEC'" in caught.value.__notes__[0]


def test_float32_scores_give_float32_thresholds():
    class Single(Recorder):
        def predict_proba(self, X):
            return super().predict_proba(X).astype(np.float32)

    X, y = sample()
    tuned = MultilabelThresholdClassifier(Single()).fit(X, y)
    assert tuned.thresholds_.thresholds.dtype == np.float32
    expected = find_optimal_thresholds(y, Single().fit(X, y).predict_proba(X))
    np.testing.assert_array_equal(tuned.thresholds_.thresholds, expected.thresholds)


# --- splits ------------------------------------------------------------------------------------


def test_the_seed_decides_and_none_is_zero():
    X, y = sample()

    def found(random_state):
        tuned = MultilabelThresholdClassifier(OVR, random_state=random_state).fit(X, y)
        return tuned.thresholds_.thresholds.tolist()

    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert found(None) == found(0) == found(np.int64(0))
    assert found(1) != found(0)
    for make in (np.random.RandomState, np.random.default_rng):
        assert found(make(3)) == found(make(3))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("refit", [True, False])
def test_a_part_held_out(refit):
    X, y = sample()
    tuned = MultilabelThresholdClassifier(OVR, cv=0.4, refit=refit, random_state=2).fit(X, y)
    split = multilabel_train_test_split(y, test_size=0.4, seed=2)
    model = clone(OVR).fit(X[split.train], y[split.train])
    expected = find_optimal_thresholds(y[split.test], model.predict_proba(X[split.test]))
    np.testing.assert_array_equal(tuned.thresholds_.thresholds, expected.thresholds)
    np.testing.assert_array_equal(tuned.thresholds_.support, y[split.test].sum(axis=0))
    kept = clone(OVR).fit(X, y) if refit else model
    np.testing.assert_array_equal(tuned.predict_proba(X), kept.predict_proba(X))


def test_a_fitted_estimator_is_only_given_thresholds():
    X, y = sample()
    fitted = clone(OVR).fit(X[:80], y[:80])
    tuned = MultilabelThresholdClassifier(fitted, cv="prefit", refit=False).fit(X[80:], y[80:])
    assert tuned.estimator_ is fitted
    expected = find_optimal_thresholds(y[80:], fitted.predict_proba(X[80:]))
    np.testing.assert_array_equal(tuned.thresholds_.thresholds, expected.thresholds)


@pytest.mark.parametrize(
    "cv",
    [
        KFold(3),
        ShuffleSplit(2, random_state=0),
        RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
        [(np.arange(150) < 100, np.arange(150) >= 100)],
        multilabel_stratified_kfold(sample()[1], n_splits=3),
    ],
    ids=["partition", "part", "repeated", "masks", "folds"],
)
def test_any_splitter_or_iterable(cv):
    X, y = sample()
    tuned = MultilabelThresholdClassifier(OVR, cv=cv).fit(X, y)
    assert (tuned.thresholds_.support <= y.sum(axis=0)).all()
    if isinstance(cv, RepeatedKFold):  # each row counts once
        assert tuned.thresholds_.support.tolist() == y.sum(axis=0).tolist()
    if isinstance(cv, list):
        assert tuned.thresholds_.support.tolist() == y[100:].sum(axis=0).tolist()


def test_jobs_change_nothing():
    X, y = sample()
    one = MultilabelThresholdClassifier(OVR, n_jobs=1).fit(X, y)
    with joblib.parallel_backend("threading"):
        two = MultilabelThresholdClassifier(OVR, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.thresholds_.thresholds, two.thresholds_.thresholds)


def test_a_promise_needs_a_fixed_model():
    X, y = sample(400)
    options = {"min_recall": 0.3, "confidence": 0.9}
    with pytest.raises(InputError, match="confidence promises something of a fixed model"):
        MultilabelThresholdClassifier(OVR, **options).fit(X, y)
    fitted = clone(OVR).fit(X[:100], y[:100])
    patients = np.arange(300) // 2
    tuned = MultilabelThresholdClassifier(fitted, cv="prefit", refit=False, **options)
    tuned.fit(X[100:], y[100:], groups=patients)
    expected = find_optimal_thresholds(
        y[100:], fitted.predict_proba(X[100:]), groups=patients, **options
    )
    assert expected.certified.all()
    np.testing.assert_array_equal(tuned.thresholds_.thresholds, expected.thresholds)
    np.testing.assert_array_equal(tuned.thresholds_.certified, expected.certified)
    single = MultilabelThresholdClassifier(OVR, cv=0.5, refit=False, **options)
    assert single.fit(X, y, groups=np.arange(400) // 2).thresholds_.certified.all()


# --- weights, patients and other metadata ------------------------------------------------------


def test_weights_reach_the_estimator_and_the_search(numbered):
    X, y = numbered
    weight = np.random.default_rng(0).random(60)
    log = []
    tuned = MultilabelThresholdClassifier(Recorder(log), cv=3)
    tuned.fit(X, y, sample_weight=weight, site=np.arange(60) * 2, mode="fast")
    for one in log:
        np.testing.assert_array_equal(one["sample_weight"], weight[one["rows"]])
        np.testing.assert_array_equal(one["site"], one["rows"] * 2)
        assert one["mode"] == "fast"
    expected = find_optimal_thresholds(
        y, Recorder().fit(X, y).predict_proba(X), sample_weight=weight
    )
    np.testing.assert_array_equal(tuned.thresholds_.thresholds, expected.thresholds)


def test_an_estimator_without_weights_is_named():
    X, y = sample()
    weight = np.arange(len(y)) % 3
    tuned = MultilabelThresholdClassifier(KNeighborsClassifier())
    with pytest.warns(
        MlthreshWarning, match="KNeighborsClassifier.fit does not take sample_weight"
    ):
        tuned.fit(X, y, sample_weight=weight)


def test_a_pipeline_takes_weights_by_its_steps_name():
    X, y = sample()
    weight = np.arange(len(y)) % 3
    base = make_pipeline(StandardScaler(), TREES)
    tuned = MultilabelThresholdClassifier(base, cv=2)
    tuned.fit(X, y, randomforestclassifier__sample_weight=weight)
    plain = clone(tuned).fit(X, y)
    assert not np.array_equal(tuned.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("cv", [3, 0.3, GroupKFold(3), GroupShuffleSplit(1, random_state=0)])
@pytest.mark.parametrize("enabled", [False, True], ids=["plain", "routing"])
def test_patients_stay_together(numbered, cv, enabled):
    X, y = numbered
    patients = np.arange(60) // 3
    log = []
    with sklearn.config_context(enable_metadata_routing=enabled):
        MultilabelThresholdClassifier(Recorder(log), cv=cv, refit=True).fit(X, y, groups=patients)
    for one in log[:-1]:
        held_out = np.setdiff1d(np.arange(60), one["rows"])
        assert len(held_out)
        assert not set(patients[held_out]) & set(patients[one["rows"]])


def test_metadata_is_routed_on_request(numbered, routing):
    X, y = numbered
    weight, site = np.random.default_rng(0).random(60), np.arange(60) * 2
    log = []
    base = Recorder(log).set_fit_request(sample_weight=True, site=True)
    tuned = MultilabelThresholdClassifier(base, cv=3)
    tuned.fit(X, y, sample_weight=weight, site=site)
    for one in log:
        np.testing.assert_array_equal(one["sample_weight"], weight[one["rows"]])
        np.testing.assert_array_equal(one["site"], site[one["rows"]])
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        MultilabelThresholdClassifier(Recorder(), cv=3).fit(X, y, sample_weight=weight)
    with pytest.raises(TypeError, match="unexpected argument"):
        tuned.fit(X, y, colour=site)


def test_routing_may_keep_weights_from_the_estimator(numbered, routing):
    X, y = numbered
    log = []
    weight = np.random.default_rng(0).random(60)
    base = Recorder(log).set_fit_request(sample_weight=False)
    tuned = MultilabelThresholdClassifier(base, cv=3).fit(X, y, sample_weight=weight)
    assert all(one["sample_weight"] is None for one in log)
    scores = Recorder().fit(X, y).predict_proba(X)
    expected = find_optimal_thresholds(y, scores, sample_weight=weight)
    np.testing.assert_array_equal(tuned.thresholds_.thresholds, expected.thresholds)


def test_routing_through_pipelines_and_searches(numbered, routing):
    X, y = numbered
    patients, weight = np.arange(60) // 3, np.random.default_rng(0).random(60)
    log = []
    base = Recorder(log).set_fit_request(sample_weight=True)
    tuned = MultilabelThresholdClassifier(base, cv=GroupKFold(2))
    tuned.set_fit_request(sample_weight=True, groups=True)
    scaler = StandardScaler(with_mean=False, with_std=False).set_fit_request(sample_weight=False)
    result = cross_validate(
        make_pipeline(scaler, tuned),
        X,
        y,
        cv=GroupKFold(2),
        scoring=make_scorer(f1_score, average="macro").set_score_request(sample_weight=False),
        params={"groups": patients, "sample_weight": weight},
        error_score="raise",
    )
    assert len(result["test_score"]) == 2
    assert len(log) == 2 * 3
    for one in log:
        np.testing.assert_array_equal(one["sample_weight"], weight[one["rows"]])
    # Whole patients in every fit, of the outer folds and of the inner ones.
    assert all(len(one["rows"]) == 3 * len(set(patients[one["rows"]])) for one in log)


# --- inputs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames(kind):
    X, y = sample()
    columns = [f"x{i}" for i in range(X.shape[1])]
    if kind == "pandas":
        frames = pd.DataFrame(X, columns=columns), pd.DataFrame(y, columns=NAMES)
    else:
        frames = pl.DataFrame(X, schema=columns), pl.DataFrame(y, schema=NAMES)
    tuned = MultilabelThresholdClassifier(TREES).fit(*frames)
    plain = MultilabelThresholdClassifier(TREES).fit(X, y)
    assert tuned.thresholds_.class_names == tuple(NAMES)
    assert plain.thresholds_.class_names is None
    # Old versions of scikit-learn don't see the names of new versions' polars frames.
    names = getattr(clone(TREES).fit(frames[0], y), "feature_names_in_", None)
    assert kind == "polars" or names.tolist() == columns
    np.testing.assert_array_equal(getattr(tuned, "feature_names_in_", None), names)
    assert not hasattr(plain, "feature_names_in_")
    np.testing.assert_array_equal(tuned.predict(frames[0]), plain.predict(X))
    np.testing.assert_array_equal(tuned.thresholds_.thresholds, plain.thresholds_.thresholds)
    assert tuned.score(*frames) == plain.score(X, y)
    assert not hasattr(tuned.fit(X, y), "feature_names_in_")


def test_sparse_features_and_labels():
    X, y = sample()
    plain = MultilabelThresholdClassifier(OVR).fit(X, y)
    thin = MultilabelThresholdClassifier(OVR).fit(sparse.csr_matrix(X), sparse.csr_array(y))
    np.testing.assert_allclose(thin.thresholds_.thresholds, plain.thresholds_.thresholds, rtol=1e-4)
    np.testing.assert_array_equal(thin.predict(sparse.csr_matrix(X)), plain.predict(X))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32, np.float64])
def test_labels_of_any_type(dtype):
    X, y = sample()
    expected = MultilabelThresholdClassifier(OVR).fit(X, y).predict(X)
    found = MultilabelThresholdClassifier(OVR).fit(X, y.astype(dtype)).predict(X)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # scikit-learn's
def test_missing_labels_are_passed_on_and_left_out(numbered):
    X, y = numbered
    y = y.astype(float)
    y[::7, 1] = np.nan
    tuned = MultilabelThresholdClassifier(Recorder()).fit(X, y)
    expected = find_optimal_thresholds(y, Recorder().fit(X, y).predict_proba(X))
    np.testing.assert_array_equal(tuned.thresholds_.thresholds, expected.thresholds)
    assert tuned.thresholds_.support[1] == np.nansum(y[:, 1])
    for base in (Recorder(refuse=True), TREES, OVR):
        with pytest.raises(
            InputError, match=r"y has missing labels \(NaN\), and .* can't be fitted"
        ):
            MultilabelThresholdClassifier(base).fit(X, y)


@pytest.mark.parametrize("labels", [[0, 1], ["healthy", "ill"], [-1.0, 1.0], [False, True]])
def test_a_target_of_one_dimension_is_binary(labels):
    X, y = sample()
    target = np.array(labels)[y[:, 0]]
    base = LogisticRegression()
    tuned = MultilabelThresholdClassifier(base).fit(X, target)
    assert tuned.classes_.tolist() == labels
    scores = np.empty((len(y), 1))
    for fold in multilabel_stratified_kfold(y[:, [0]]):
        model = clone(base).fit(X[fold.train], y[fold.train, 0])
        scores[fold.test, 0] = model.predict_proba(X[fold.test])[:, 1]
    [threshold] = find_optimal_thresholds(y[:, [0]], scores).thresholds
    assert tuned.thresholds_.thresholds == [threshold]
    proba = base.fit(X, target).predict_proba(X)
    np.testing.assert_allclose(tuned.predict_proba(X), proba)
    np.testing.assert_allclose(tuned.decision_function(X), base.decision_function(X))
    expected = np.array(labels)[(proba[:, 1] >= threshold).astype(int)]
    np.testing.assert_array_equal(tuned.predict(X), expected)
    assert 0.5 < tuned.score(X, target) <= 1


def test_a_single_column_stays_a_column():
    X, y = sample()
    tuned = MultilabelThresholdClassifier(MultiOutputClassifier(LogisticRegression()))
    assert tuned.fit(X, y[:, [0]]).predict(X).shape == (len(y), 1)
    assert tuned.predict_proba(X).shape == (len(y), 1)
    flat = MultilabelThresholdClassifier(LogisticRegression()).fit(X, y[:, 0])
    np.testing.assert_array_equal(tuned.predict(X)[:, 0], flat.predict(X))


def test_it_can_be_the_classifier_of_each_output():
    X, y = sample()
    each = MultiOutputClassifier(MultilabelThresholdClassifier(LogisticRegression())).fit(X, y)
    for c in range(3):
        alone = MultilabelThresholdClassifier(LogisticRegression()).fit(X, y[:, c])
        np.testing.assert_array_equal(each.predict(X)[:, c], alone.predict(X))


def test_a_neural_network():
    X, y = sample()
    base = MLPClassifier((4,), solver="lbfgs", alpha=1.0, max_iter=500, random_state=0)
    tuned = MultilabelThresholdClassifier(base, cv=2, strategy="pooled").fit(X, y)
    np.testing.assert_array_equal(
        tuned.predict(X), tuned.predict_proba(X) >= tuned.thresholds_.thresholds
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cv": "prefit"}, "cv='prefit' has nothing to refit: pass refit=False"),
        ({"refit": False}, "refit=False needs a single split, but cv makes 5"),
        ({"cv": 1}, "n_splits must be an integer >= 2, got 1"),
        ({"cv": 1.5}, "test_size must lie between 0 and 1"),
        ({"cv": True}, "cv must be a number of folds"),
        ({"cv": "three"}, "cv must be a number of folds"),
        ({"cv": None}, "cv must be a number of folds"),
        ({"cv": []}, "cv makes no split"),
        ({"cv": 200}, "150 rows can't fill 200 folds"),
        ({"response_method": "predict"}, "response_method must be one of .* got 'predict'"),
        ({"response_method": "decision_function"}, "has no decision_function"),
        ({"objective": "F9"}, "unknown objective 'F9'"),
        ({"joint": True}, "joint applies with confidence only"),
        ({"min_recall": [0.1, 0.2]}, r"min_recall must be a number or have shape \(3,\)"),
        ({"grid": [0.5]}, "grid applies to strategy='grid' only"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        MultilabelThresholdClassifier(TREES, **options).fit(*sample())


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        (np.full((150, 3), 2), r"y\[0, 0\] is 2; a label is 0, 1 or NaN"),
        (np.arange(150) % 3, "Only binary classification is supported .* multiclass"),
        (np.linspace(0, 1, 150), "Unknown label type: continuous"),
        (np.zeros(150), "y holds one class only"),
        (np.zeros((150, 2, 2)), r"got shape \(150, 2, 2\)"),
        (np.zeros((3, 2)), "inconsistent numbers of samples"),
    ],
)
def test_bad_targets(y, message):
    with pytest.raises(ValueError, match=message):
        MultilabelThresholdClassifier(TREES).fit(sample()[0], y)


def test_groups_that_nothing_uses_are_refused():
    X, y = sample()
    tuned = MultilabelThresholdClassifier(TREES.fit(X, y), cv="prefit", refit=False)
    with pytest.raises(InputError, match="groups applies with confidence only"):
        tuned.fit(X, y, groups=np.arange(150))


def test_infeasible_classes_can_raise():
    X, y = sample()
    tuned = MultilabelThresholdClassifier(OVR, min_precision=1.0, min_recall=1.0)
    assert "infeasible" in tuned.fit(X, y).thresholds_.status
    with pytest.raises(InfeasibleError):
        tuned.set_params(on_infeasible="raise").fit(X, y)
