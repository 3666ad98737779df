"""The shape of scikit-activeml, in scikit-activeml."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FEW, NEED_LABELS, SOME, Known, few, few_of, pool

import vabal
from vabal import StrategyName, compat


@pytest.mark.parametrize("strategy", SOME)
def test_scikit_activeml(strategy: StrategyName, known: Known) -> None:
    sk = pytest.importorskip("skactiveml.classifier")
    linear = pytest.importorskip("sklearn.linear_model")
    y = np.where(known.labels < 0, np.nan, known.labels)
    clf = sk.SklearnClassifier(linear.LogisticRegression(), classes=[0, 1, 2], random_state=0)
    query = compat.PoolQuery(strategy, **few_of(strategy))

    indices = query.query(known.features, y, clf, batch_size=6)
    assert isinstance(indices, np.ndarray)
    assert len(set(indices)) == 6 and np.isnan(y[indices]).all()
    assert not hasattr(clf, "classes_")  # a copy was fitted
    some = np.arange(100, 140)
    within = query.query(known.features, y, clf, candidates=some, batch_size=6)
    assert isinstance(within, np.ndarray) and set(within) <= set(some)
    fitted = clf.fit(known.features, y)
    ready = query.query(known.features, y, fitted, fit_clf=False, batch_size=6)
    np.testing.assert_array_equal(ready, indices)

    indices, utilities = query.query(known.features, y, clf, batch_size=3, return_utilities=True)
    assert utilities.shape == (3, 400) and np.isnan(utilities[:, known.labels >= 0]).all()
    for k in range(3):
        assert np.nanargmax(utilities[k]) == indices[k] or strategy in ("random", "balanced-entropy")
        assert np.isnan(utilities[k, indices[:k]]).all() and not np.isnan(utilities[k, indices[k]])

    outside = pool(n=30, labelled=0, seed=9).features
    indices, utilities = query.query(known.features, y, clf, candidates=outside, batch_size=4, return_utilities=True)
    assert utilities.shape == (4, 30) and (indices < 30).all() and len(set(indices)) == 4

    # Nothing is labelled yet, as on the first day.
    cold = query.query(known.features, np.full(400, np.nan), clf, batch_size=5)
    assert isinstance(cold, np.ndarray) and len(set(cold)) == 5
    with pytest.warns(vabal.VabalWarning, match="40 candidates"):
        assert len(query.query(known.features, y, clf, candidates=some, batch_size=50)) == 40


def test_scikit_activemls_own_entropy_agrees(known: Known) -> None:
    skpool, sk = pytest.importorskip("skactiveml.pool"), pytest.importorskip("skactiveml.classifier")
    linear = pytest.importorskip("sklearn.linear_model")
    y = np.where(known.labels < 0, np.nan, known.labels)
    clf = sk.SklearnClassifier(linear.LogisticRegression(), classes=[0, 1, 2], random_state=0)
    theirs = skpool.UncertaintySampling(method="entropy", random_state=0)
    expected, scores = theirs.query(known.features, y, clf, batch_size=5, return_utilities=True)
    indices, utilities = compat.PoolQuery("entropy").query(known.features, y, clf, batch_size=5, return_utilities=True)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(utilities, scores, rtol=1e-4)


def test_scikit_learn_with_names_for_classes(known: Known) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    sklearn_base = pytest.importorskip("sklearn.base")
    names = np.array(["axolotl", "bee", "cat"])
    y = np.array([None if label < 0 else names[label] for label in known.labels], dtype=object)
    query = compat.PoolQuery("vabal-paper", missing_label=None, **FEW)
    chosen = query.query(known.features, y, linear.LogisticRegression(), batch_size=4)
    assert len(chosen) == 4
    copied = sklearn_base.clone(query)
    assert copied.get_params().keys() == query.get_params().keys()
    with pytest.raises(TypeError, match="needs a classifier"):
        query.query(known.features, y)
    with pytest.raises(ValueError, match="twice"):
        query.query(known.features, y, linear.LogisticRegression(), candidates=[70, 70])


def test_features_of_the_callers_own(known: Known) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    y = np.where(known.labels < 0, np.nan, known.labels)

    def two_stages(clf: Any, X: Any) -> list[Any]:
        return [X[:, :4], clf.decision_function(X)]

    query = compat.PoolQuery("vabal-paper", features=two_stages, **FEW)
    assert len(query.query(known.features, y, linear.LogisticRegression(), batch_size=4)) == 4


# What every strategy of theirs keeps to, as their documentation of SingleAnnotatorPoolQueryStrategy says it.

EACH = pytest.mark.parametrize("strategy", vabal.strategies(), ids=lambda s: s.name)


def classifier(**options: Any) -> Any:
    sk = pytest.importorskip("skactiveml.classifier")
    linear = pytest.importorskip("sklearn.linear_model")
    return sk.SklearnClassifier(linear.LogisticRegression(), classes=[0, 1, 2], random_state=0, **options)


def asked(strategy: vabal.Strategy, known: Known, **options: Any) -> Any:
    """The answer of a strategy whose classifier is a committee of two, fitted to the labelled rows."""
    y = np.where(known.labels < 0, np.nan, known.labels)
    return compat.PoolQuery(strategy.name, **few(strategy)).query(known.features, y, classifier(), **options)


@EACH
def test_a_real_strategy_of_theirs(strategy: vabal.Strategy) -> None:
    theirs, base = pytest.importorskip("skactiveml.base"), pytest.importorskip("sklearn.base")
    query = compat.PoolQuery(strategy.name, random_state=7, missing_label=-1, **few(strategy))
    assert isinstance(query, theirs.SingleAnnotatorPoolQueryStrategy)
    for other in (base.clone(query), pickle.loads(pickle.dumps(query))):
        assert other.get_params() == query.get_params() and repr(other) == repr(query)
    assert repr(query).startswith(f"PoolQuery({strategy.name!r}, missing_label=-1, random_state=7")


@EACH
def test_indices_and_utilities(strategy: vabal.Strategy, known: Known) -> None:
    features = known.features.copy()
    indices, utilities = asked(strategy, known, batch_size=5, return_utilities=True)
    assert indices.shape == (5,) and indices.dtype.kind == "i" and len(set(indices)) == 5
    assert (known.labels[indices] < 0).all()
    assert utilities.shape == (5, 400) and np.isnan(utilities[:, known.labels >= 0]).all()
    for k, row in enumerate(indices):
        assert np.isnan(utilities[k, indices[:k]]).all() and np.isfinite(utilities[k, row])
        assert utilities[k, row] == np.nanmax(utilities[k])
        assert np.isfinite(utilities[k]).sum() == 340 - k
    np.testing.assert_array_equal(known.features, features)
    np.testing.assert_array_equal(asked(strategy, known, batch_size=5), indices)


@EACH
def test_candidates(strategy: vabal.Strategy, known: Known) -> None:
    rows = np.arange(100, 130)
    within = asked(strategy, known, candidates=rows, batch_size=3)
    assert set(within) <= set(rows)
    mask = np.isin(np.arange(400), rows)
    np.testing.assert_array_equal(asked(strategy, known, candidates=mask, batch_size=3), within)
    samples = pool(n=30, labelled=0, seed=9).features
    indices, utilities = asked(strategy, known, candidates=samples, batch_size=3, return_utilities=True)
    assert set(indices) <= set(range(30)) and utilities.shape == (3, 30)
    # What is asked again has no label of its own.
    again = asked(strategy, known, candidates=[0, 1, 2, 200], batch_size=4)
    assert sorted(again) == [0, 1, 2, 200]


@EACH
def test_the_same_utilities_however_the_candidates_are_given(strategy: vabal.Strategy, known: Known) -> None:
    free = np.flatnonzero(known.labels < 0)
    rows, utilities = asked(strategy, known, return_utilities=True)
    again, by_rows = asked(strategy, known, candidates=free, return_utilities=True)
    np.testing.assert_array_equal(rows, again)
    np.testing.assert_array_equal(utilities, by_rows)
    places, by_samples = asked(strategy, known, candidates=known.features[free], return_utilities=True)
    np.testing.assert_array_equal(free[places], rows)
    np.testing.assert_array_equal(utilities[:, free], by_samples)
    _, alone = asked(strategy, known, candidates=free[:1], return_utilities=True)
    assert np.flatnonzero(~np.isnan(alone[0])).tolist() == [free[0]]


@pytest.mark.parametrize(
    ("missing", "classes", "kind"),
    [
        (np.nan, [1.0, 2.0], float),
        (0, [1, 2], int),
        (None, [1, 2], object),
        (None, ["A", "B"], object),
        ("", ["A", "B"], str),
    ],
)
def test_labels_of_every_type(missing: Any, classes: list[Any], kind: type, known: Known) -> None:
    sk, linear = pytest.importorskip("skactiveml.classifier"), pytest.importorskip("sklearn.linear_model")
    y = np.full(400, missing, dtype="<U1" if kind is str else kind)
    y[:2] = classes
    for strategy in vabal.strategies():
        clf = sk.SklearnClassifier(linear.LogisticRegression(), classes=classes, missing_label=missing, random_state=0)
        query = compat.PoolQuery(strategy.name, missing_label=missing, **few(strategy))
        for one in (clf, linear.LogisticRegression()):
            chosen = query.query(known.features, y, one, batch_size=3)
            assert len(set(chosen)) == 3 and not set(chosen) & {0, 1}


@EACH
def test_the_same_state_gives_the_same_answer_and_leaves_numpys_alone(strategy: vabal.Strategy, known: Known) -> None:
    y = np.where(known.labels < 0, np.nan, known.labels)
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    for state in (3, np.random.RandomState(3), None):
        query = compat.PoolQuery(strategy.name, random_state=state, **few(strategy))
        first, second = (query.query(known.features, y, classifier(), batch_size=4) for _ in range(2))
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # type: ignore[index]


@pytest.mark.parametrize("labelled", [0, 20])
@pytest.mark.parametrize("wrapped", [False, True])
@EACH
def test_first_labels_of_one_class_or_none(
    strategy: vabal.Strategy, wrapped: bool, labelled: int, known: Known
) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    sk = pytest.importorskip("skactiveml.classifier")
    y = np.full(400, np.nan)
    y[np.flatnonzero(known.truth == 0)[:labelled]] = 0
    plain = linear.LogisticRegression()
    query = compat.PoolQuery(strategy.name, **few(strategy))
    clf = sk.SklearnClassifier(plain, random_state=0) if wrapped else plain
    if strategy.name in NEED_LABELS and not labelled:
        with pytest.raises(ValueError, match="choose the first images with"):
            query.query(known.features, y, clf, batch_size=20)
        return
    chosen = query.query(known.features, y, clf, batch_size=20)
    assert len(set(chosen)) == 20 and np.isnan(y[chosen]).all()
    assert list(chosen) != sorted(np.flatnonzero(np.isnan(y))[:20])  # not the first of the file


@pytest.mark.parametrize(
    ("wrong", "kind", "text"),
    [
        ({"batch_size": 0}, ValueError, "1 or more"),
        ({"batch_size": -1}, ValueError, "got: -1"),
        ({"batch_size": 1.5}, TypeError, "whole number"),
        ({"batch_size": "5"}, TypeError, "whole number"),
        ({"return_utilities": None}, TypeError, "neither True nor False"),
        ({"fit_clf": "yes"}, TypeError, "neither True nor False"),
        ({"candidates": [-1, 5]}, ValueError, "0 to 399\n  got: -1"),
        ({"candidates": [5, 400]}, ValueError, "0 to 399\n  got: 400"),
        ({"candidates": [0.5, 1.0]}, TypeError, "holds float64"),
        ({"candidates": [70, 70]}, ValueError, "twice"),
        ({"candidates": np.nan}, ValueError, "neither rows nor samples"),
        ({"candidates": object}, TypeError, "neither rows nor samples"),
        ({"candidates": np.ones(9, bool)}, ValueError, "mask of another length"),
        ({"candidates": np.zeros(400, bool)}, ValueError, "no candidate"),
        ({"sample_weight": np.ones(9)}, ValueError, r"expected: \[400\]"),
        ({"utility_weight": np.ones(9)}, ValueError, r"expected: \[400\]"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], kind: type[Exception], text: str, known: Known) -> None:
    with pytest.raises(kind, match=text):
        asked(next(s for s in vabal.strategies() if s.name == "margin"), known, **wrong)


def test_wrong_samples_and_labels(known: Known) -> None:
    query = compat.PoolQuery("entropy")
    y = np.where(known.labels < 0, np.nan, known.labels)
    for labels in (y[:-1], np.append(y, 0), np.stack([y, y], axis=1)):
        with pytest.raises(ValueError, match=r"y= has another shape\n  expected: \[400\]"):
            query.query(known.features, labels, classifier())
    with pytest.raises(TypeError, match="not understood"):
        query.query("samples", y, classifier())
    with pytest.raises(TypeError, match="missing_label= is no label"):
        compat.PoolQuery("entropy", missing_label="none").query(known.features, y, classifier())
    with pytest.raises(ValueError, match="another missing_label\n  expected: -1\n  got: nan"):
        compat.PoolQuery("entropy", missing_label=-1).query(known.features, known.labels, classifier())
    with pytest.raises(TypeError, match="missing_label= is no label\n  expected: a number"):
        compat.PoolQuery("entropy", missing_label=object).query(known.features, y, classifier())
    for state in ("3", np.nan):
        with pytest.raises(ValueError, match="random_state= is no whole number"):
            compat.PoolQuery("entropy", random_state=state).query(known.features, y, classifier())
    for no_labels in (np.nan, object):
        with pytest.raises(TypeError, match="y= holds no labels"):
            query.query(known.features, no_labels, classifier())
    for strategy in ("entropy", "bald", "random"):
        for clf in (np.nan, "state", object()):
            with pytest.raises(TypeError, match="clf= is no classifier"):
                compat.PoolQuery(strategy).query(known.features, y, clf)
    with pytest.raises(TypeError, match="needs a classifier with predict_proba"):
        query.query(known.features, y, pytest.importorskip("sklearn.linear_model").Perceptron())


def test_a_wrong_name_or_setting_is_told_at_once() -> None:
    with pytest.raises(ValueError, match='did you mean "entropy"'):
        compat.PoolQuery("entorpy")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unknown setting\n  where: rigde="):
        compat.PoolQuery("vabal", rigde=1.0)
    with pytest.raises(ValueError, match="out of range\n  where: ridge"):
        compat.PoolQuery("vabal", ridge=-1.0)
    query = compat.PoolQuery("vabal")
    assert query.set_params(ridge=2.0, random_state=4).get_params()["ridge"] == 2.0
    for wrong in ({"rigde": 1.0}, {"seed": 1}, {"ridge": -1.0}, {"strategy": "vabel"}):
        with pytest.raises(ValueError):
            query.set_params(**wrong)
    assert query.get_params()["strategy"] == "vabal" and query.settings == {"ridge": 2.0}
    assert query.set_params(strategy="margin").settings == {}


def test_weights(known: Known) -> None:
    skpool = pytest.importorskip("skactiveml.pool")
    y = np.where(known.labels < 0, np.nan, known.labels)
    weights = np.random.default_rng(0).uniform(0.1, 1, 400)
    for ours, theirs in {
        "entropy": "entropy",
        "margin": "margin_sampling",
        "least-confidence": "least_confident",
    }.items():
        query = compat.PoolQuery(ours)  # type: ignore[arg-type]
        options: dict[str, Any] = {"batch_size": 5, "return_utilities": True}
        expected, scores = skpool.UncertaintySampling(method=theirs, random_state=0).query(
            known.features, y, classifier(), sample_weight=weights, utility_weight=weights, **options
        )
        indices, utilities = query.query(
            known.features, y, classifier(), sample_weight=weights, utility_weight=weights, **options
        )
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_allclose(utilities, scores, rtol=1e-4, atol=1e-6)
        _, plain = query.query(known.features, y, classifier(), sample_weight=weights, return_utilities=True)
        np.testing.assert_allclose(utilities[0], (plain * weights)[0])
    with pytest.raises(ValueError, match="puts a batch together"):
        compat.PoolQuery("badge").query(known.features, y, classifier(), utility_weight=weights)


def test_several_classifiers(known: Known) -> None:
    ensemble, linear = pytest.importorskip("sklearn.ensemble"), pytest.importorskip("sklearn.linear_model")
    sk, skpool = pytest.importorskip("skactiveml.classifier"), pytest.importorskip("skactiveml.pool")
    y = np.where(known.labels < 0, np.nan, known.labels)
    logistic = linear.LogisticRegression()

    def wrapped(clf: Any) -> Any:
        return sk.SklearnClassifier(clf, classes=[0, 1, 2], random_state=0)

    forest = wrapped(ensemble.RandomForestClassifier(n_estimators=20, max_features=2, random_state=0))
    query = compat.PoolQuery("ensemble-vote-entropy")
    theirs = skpool.QueryByCommittee(method="vote_entropy", random_state=0)
    expected, scores = theirs.query(known.features, y, forest, batch_size=1, return_utilities=True)
    indices, utilities = query.query(known.features, y, ensemble=forest, return_utilities=True)
    np.testing.assert_allclose(utilities, scores, atol=1e-6)

    committees = [
        forest,
        wrapped(ensemble.BaggingClassifier(logistic, n_estimators=5, max_features=0.5, random_state=0)),
        wrapped(ensemble.VotingClassifier([("a", logistic), ("b", linear.LogisticRegression(C=0.1))], voting="soft")),
        [wrapped(logistic), wrapped(linear.LogisticRegression(C=0.01))],
        [logistic, linear.LogisticRegression(C=0.01)],
        ensemble.RandomForestClassifier(random_state=0),
        wrapped(logistic),
        logistic,
    ]
    for strategy in ("bald", "ensemble-mutual-information"):
        for committee in committees:
            chosen = compat.PoolQuery(strategy).query(known.features, y, committee, batch_size=9)
            assert len(set(chosen)) == 9
    parzen = sk.ParzenWindowClassifier(classes=[0, 1, 2], random_state=0)
    assert len(compat.PoolQuery("bald", draw="sample_proba").query(known.features, y, parzen, batch_size=9)) == 9
    passes = np.random.default_rng(0).dirichlet(np.ones(3), size=(6, 400))
    drawn = compat.PoolQuery("bald", draw=lambda clf, X: passes[:, : len(X)]).query(known.features, y, batch_size=9)
    assert len(set(drawn)) == 9
    named = [None if label < 0 else "abc"[label] for label in known.labels]
    by_name = compat.PoolQuery("bald", missing_label=None, draw=lambda clf, X: passes[:, : len(X)])
    np.testing.assert_array_equal(by_name.query(known.features, named, batch_size=9), drawn)
    with pytest.raises(ValueError, match=r"expected: \[T, n, C\]"):
        compat.PoolQuery("bald", draw=lambda clf, X: passes[0]).query(known.features, y)
    drawn = compat.PoolQuery("bald", draw=lambda clf, X: passes[:, : len(X)]).query(known.features, y, fit_clf=False)
    assert len(drawn) == 1


def test_members_that_have_not_seen_every_class() -> None:
    """Bagging counts the classes for its members; a class that no label has stays a column."""
    sk, ensemble = pytest.importorskip("skactiveml.classifier"), pytest.importorskip("sklearn.ensemble")
    neighbours = pytest.importorskip("sklearn.neighbors")
    from vabal.compat import _shared

    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = np.array([None if row >= 20 else "c" if row % 10 == 0 else "a" for row in range(40)], dtype=object)
    bagging = ensemble.BaggingClassifier(neighbours.KNeighborsClassifier(1), n_estimators=30, random_state=1)
    clf = sk.SklearnClassifier(bagging, classes=["a", "b", "c"], missing_label=None, random_state=0).fit(X, y)
    assert min(len(one.classes_) for one in clf.estimator_.estimators_) == 1  # one has seen "a" alone
    probs, names = _shared.voices(clf, X, draw=None, bootstrap=None, known=None, seed=1)
    assert names == ["a", "b", "c"] and probs.shape == (40, 30, 3)
    np.testing.assert_allclose(probs.mean(axis=1), clf.predict_proba(X), atol=1e-6)


@EACH
def test_a_classifier_that_is_fitted_already_stays_as_it_is(strategy: vabal.Strategy, known: Known) -> None:
    y = np.where(known.labels < 0, np.nan, known.labels)
    clf = classifier().fit(known.features, y)
    weights = clf.estimator_.coef_.copy()
    query = compat.PoolQuery(strategy.name, **few(strategy))
    chosen = query.query(known.features, y, clf, fit_clf=False, batch_size=4)
    np.testing.assert_array_equal(clf.estimator_.coef_, weights)
    np.testing.assert_array_equal(chosen, asked(strategy, known, batch_size=4))


def test_their_wrappers(known: Known) -> None:
    skpool, multi = pytest.importorskip("skactiveml.pool"), pytest.importorskip("skactiveml.pool.multiannotator")
    y = np.where(known.labels < 0, np.nan, known.labels)
    for name in ("entropy", "vabal", "bald", "core-set", "random"):
        query = compat.PoolQuery(name)
        for excluded in (False, True):
            some = skpool.SubSamplingWrapper(query, max_candidates=50, exclude_non_subsample=excluded, random_state=0)
            chosen = some.query(known.features, y, clf=classifier(), batch_size=4, return_utilities=True)[0]
            assert len(set(chosen)) == 4 and np.isnan(y[chosen]).all()
        parallel = skpool.ParallelUtilityEstimationWrapper(query, n_jobs=2, random_state=0)
        chosen = parallel.query(known.features, y, clf=classifier(), batch_size=1)
        assert np.isnan(y[chosen]).all()
        if name == "entropy":
            np.testing.assert_array_equal(chosen, query.query(known.features, y, classifier()))
        several = np.stack([y, y], axis=1)
        annotated = multi.SingleAnnotatorWrapper(query, random_state=0)
        pairs = annotated.query(known.features, several, clf=classifier(), batch_size=3)
        assert pairs.shape == (3, 2) and np.isnan(y[pairs[:, 0]]).all()


def test_their_plot() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    visualization = pytest.importorskip("skactiveml.visualization")
    known = pool(n=60, d=2, classes=2, labelled=20)
    y = np.where(known.labels < 0, np.nan, known.labels)
    sk, linear = pytest.importorskip("skactiveml.classifier"), pytest.importorskip("sklearn.linear_model")
    clf = sk.SklearnClassifier(linear.LogisticRegression(), classes=[0, 1], random_state=0)
    bound = [[-1, -1], [2, 2]]
    for name in ("entropy", "core-set"):
        query = compat.PoolQuery(name)
        axes = visualization.plot_utilities(query, known.features, y, clf=clf, feature_bound=bound, res=5)
        assert axes.collections


def test_without_their_package(known: Known, tmp_path: Path) -> None:
    """The same class has the same methods where scikit-activeml is not installed."""
    np.savez(tmp_path / "known.npz", X=known.features, y=np.where(known.labels < 0, np.nan, known.labels))
    code = """
import sys
sys.modules["skactiveml"] = None
import numpy as np, pickle, vabal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
known = np.load("known.npz")
query = clone(pickle.loads(pickle.dumps(vabal.compat.PoolQuery("vabal", random_state=3))))
assert type(query).__mro__[1:] == (object,)
print(*query.query(known["X"], known["y"], LogisticRegression(), batch_size=5))
"""
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    linear = pytest.importorskip("sklearn.linear_model")
    y = np.where(known.labels < 0, np.nan, known.labels)
    with_it = compat.PoolQuery("vabal", random_state=3).query(
        known.features, y, linear.LogisticRegression(), batch_size=5
    )
    assert printed.split() == [str(row) for row in with_it]


def test_samples_of_other_types(known: Known) -> None:
    linear, text = pytest.importorskip("sklearn.linear_model"), pytest.importorskip("sklearn.feature_extraction.text")
    pipeline, sparse = pytest.importorskip("sklearn.pipeline"), pytest.importorskip("scipy.sparse")
    pandas = pytest.importorskip("pandas")
    y = np.where(known.labels < 0, np.nan, known.labels)
    query, outside = compat.PoolQuery("vabal"), pool(n=30, labelled=0, seed=9).features
    expected = query.query(known.features, y, linear.LogisticRegression(), batch_size=4)
    apart = query.query(known.features, y, linear.LogisticRegression(), candidates=outside, batch_size=4)
    for made in (sparse.csr_matrix, pandas.DataFrame):
        clf = linear.LogisticRegression()
        np.testing.assert_array_equal(query.query(made(known.features), y, clf, batch_size=4), expected)
        chosen = query.query(made(known.features), y, clf, candidates=made(outside), batch_size=4)
        np.testing.assert_array_equal(chosen, apart)
    texts = [("cat dog " * (1 + label) + "bird ") * (row % 3 + 1) for row, label in enumerate(known.truth)]
    reader = pipeline.make_pipeline(text.TfidfVectorizer(), linear.LogisticRegression())
    assert len(set(compat.PoolQuery("entropy").query(texts, y, reader, batch_size=4))) == 4
