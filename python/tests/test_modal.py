"""The shape of modAL, in modAL."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from conftest import FEW, NEED_LABELS, SOME, Known, few, few_of

import vabal
from vabal import StrategyName, compat


@pytest.mark.parametrize("strategy", SOME)
def test_modal(strategy: StrategyName, known: Known) -> None:
    models = pytest.importorskip("modAL.models")
    linear = pytest.importorskip("sklearn.linear_model")
    calls = 0

    def counted(classifier: Any, X: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return compat.modal_query(strategy, **few_of(strategy))(classifier, X, **options)

    learner = models.ActiveLearner(
        estimator=linear.LogisticRegression(),
        query_strategy=counted,
        X_training=known.features[:60],
        y_training=known.truth[:60],
    )
    X = known.features[60:]
    indices, samples, scores = learner.query(X, n_instances=8, return_metrics=True)
    assert len(set(indices)) == 8 and len(scores) == 8
    assert calls == 1  # a second call is modAL's answer to a strategy that fails
    np.testing.assert_array_equal(samples, X[indices])
    if strategy == "entropy":
        of_numpy = vabal.select("entropy", probs=learner.predict_proba(X), n=8)
        np.testing.assert_array_equal(indices, of_numpy.rows)
    learner.teach(samples, known.truth[60:][indices])
    indices, _ = learner.query(np.delete(X, indices, axis=0), n_instances=1)
    assert len(indices) == 1


def test_modal_without_training_data_and_with_stages(known: Known) -> None:
    models = pytest.importorskip("modAL.models")
    linear = pytest.importorskip("sklearn.linear_model")
    estimator = linear.LogisticRegression().fit(known.features, known.truth)
    strategy = compat.modal_query("vabal-paper", features=lambda clf, X: [X[:, :3], X], **FEW)
    learner = models.ActiveLearner(estimator=estimator, query_strategy=strategy)
    with pytest.warns(vabal.VabalWarning, match="keeps no X_training"):
        assert len(learner.query(known.features, n_instances=3)[0]) == 3


EACH = pytest.mark.parametrize("strategy", vabal.strategies(), ids=lambda s: s.name)


def taught(known: Known, query: Any, **options: Any) -> Any:
    """A learner of the first 60 rows."""
    models, linear = pytest.importorskip("modAL.models"), pytest.importorskip("sklearn.linear_model")
    return models.ActiveLearner(
        estimator=linear.LogisticRegression(),
        query_strategy=query,
        X_training=known.features[:60],
        y_training=known.truth[:60],
        **options,
    )


@EACH
def test_every_strategy_with_a_learner_and_a_committee(strategy: vabal.Strategy, known: Known) -> None:
    models = pytest.importorskip("modAL.models")
    query = pickle.loads(pickle.dumps(compat.modal_query(strategy.name, **few(strategy))))
    assert repr(query).startswith(f"modal_query({strategy.name!r}")
    pool_of = known.features[60:]
    learner = taught(known, query)
    indices, samples, scores = learner.query(pool_of, n_instances=5, return_metrics=True)
    assert len(set(indices)) == 5 and indices.dtype.kind == "i" and scores.shape == (5,)
    np.testing.assert_array_equal(samples, pool_of[indices])
    np.testing.assert_array_equal(learner.query(pool_of, n_instances=5)[0], indices)
    committee = models.Committee([taught(known, query) for _ in range(3)], query_strategy=query)
    indices, samples = committee.query(pool_of, n_instances=5)
    assert len(set(indices)) == 5
    committee.teach(samples, known.truth[60:][indices])
    assert len(committee.query(pool_of, n_instances=5)[0]) == 5


def test_labelled_rows_have_their_own_probabilities(known: Known) -> None:
    learner = taught(known, compat.modal_query("galaxy"))
    probs = learner.predict_proba(known.features)
    expected = vabal.select("galaxy", probs=probs, labels=known.labels, n=9)
    np.testing.assert_array_equal(learner.query(known.features[60:], n_instances=9)[0] + 60, expected.rows)


def test_a_committees_labels_are_those_of_all_its_learners(known: Known) -> None:
    models, linear = pytest.importorskip("modAL.models"), pytest.importorskip("sklearn.linear_model")
    query = compat.modal_query("core-set")
    learners = [
        models.ActiveLearner(linear.LogisticRegression(), X_training=known.features[rows], y_training=known.truth[rows])
        for rows in (np.arange(40), np.arange(20, 60))
    ]
    committee = models.Committee(learners, query_strategy=query)
    expected = vabal.select("core-set", known.features, labels=known.labels, n=9)
    np.testing.assert_array_equal(committee.query(known.features[60:], n_instances=9)[0] + 60, expected.rows)
    votes = committee.vote_proba(known.features[60:])
    by_votes = vabal.select("ensemble-mutual-information", committee_probs=votes, n=9)
    query = compat.modal_query("ensemble-mutual-information")
    np.testing.assert_array_equal(query(committee, known.features[60:], n_instances=9)[0], by_votes.rows)


def test_ties(known: Known) -> None:
    query = compat.modal_query("random")
    learner = taught(known, query)
    assert len(set(learner.query(known.features[60:], n_instances=9, random_tie_break=True)[0])) == 9
    same = np.repeat(known.features[60:61], 50, axis=0)
    first = taught(known, compat.modal_query("entropy"))
    assert list(first.query(same, n_instances=3)[0]) == [0, 1, 2]
    assert list(first.query(same, n_instances=3, random_tie_break=True)[0]) != [0, 1, 2]


@EACH
def test_a_learner_that_has_not_been_fitted(strategy: vabal.Strategy, known: Known) -> None:
    models, linear = pytest.importorskip("modAL.models"), pytest.importorskip("sklearn.linear_model")
    query = compat.modal_query(strategy.name, **few(strategy))
    single = models.ActiveLearner(linear.LogisticRegression(), query_strategy=query)
    several = models.Committee([models.ActiveLearner(linear.LogisticRegression())], query_strategy=query)
    for learner in (single, several):
        if strategy.name in NEED_LABELS:
            with pytest.raises(ValueError, match="choose the first images with"):
                learner.query(known.features, n_instances=9)
            continue
        if strategy.name == "vabal":
            with pytest.warns(vabal.VabalWarning, match="typiclust chooses the first"):
                indices, _ = learner.query(known.features, n_instances=9)
        else:
            indices, _ = learner.query(known.features, n_instances=9)
        assert len(set(indices)) == 9 and list(indices) != list(range(9))


def test_features_as_the_learners_pipeline_transforms_them(known: Known) -> None:
    linear, pipeline = pytest.importorskip("sklearn.linear_model"), pytest.importorskip("sklearn.pipeline")
    preprocessing, models = pytest.importorskip("sklearn.preprocessing"), pytest.importorskip("modAL.models")
    learner = models.ActiveLearner(
        pipeline.make_pipeline(preprocessing.StandardScaler(), linear.LogisticRegression()),
        query_strategy=compat.modal_query("core-set"),
        X_training=known.features[:60] * [1000.0, *[1] * 11],
        y_training=known.truth[:60],
        on_transformed=True,
    )
    scaled = learner.transform_without_estimating(known.features * [1000.0, *[1] * 11])
    expected = vabal.select("core-set", scaled, labels=known.labels, n=5)
    indices, _ = learner.query(known.features[60:] * [1000.0, *[1] * 11], n_instances=5)
    np.testing.assert_array_equal(indices + 60, expected.rows)


def test_samples_of_other_types(known: Known) -> None:
    models, linear = pytest.importorskip("modAL.models"), pytest.importorskip("sklearn.linear_model")
    sparse, pandas = pytest.importorskip("scipy.sparse"), pytest.importorskip("pandas")
    expected = taught(known, compat.modal_query("vabal")).query(known.features[60:], n_instances=5)[0]
    frame = pandas.DataFrame(known.features, columns=[f"f{j}" for j in range(12)])
    for samples in (sparse.csr_matrix(known.features), sparse.coo_matrix(known.features), frame):
        rows = samples.tocsr() if hasattr(samples, "tocsr") else samples
        taken = (rows[:60], rows[60:]) if samples is not frame else (frame.iloc[:60], frame.iloc[60:])
        learner = models.ActiveLearner(
            linear.LogisticRegression(),
            query_strategy=compat.modal_query("vabal"),
            X_training=taken[0],
            y_training=known.truth[:60],
        )
        np.testing.assert_array_equal(learner.query(taken[1], n_instances=5)[0], expected)
    names = np.array(["axolotl", "bee", "cat"])[known.truth]
    learner = models.ActiveLearner(
        linear.LogisticRegression(),
        query_strategy=compat.modal_query("vabal"),
        X_training=known.features[:60],
        y_training=names[:60],
    )
    np.testing.assert_array_equal(learner.query(known.features[60:], n_instances=5)[0], expected)


def test_first_labels_of_one_class(known: Known) -> None:
    models, dummy = pytest.importorskip("modAL.models"), pytest.importorskip("sklearn.dummy")
    rows = np.flatnonzero(known.truth == 0)[:20]
    for strategy in vabal.strategies():
        learner = models.ActiveLearner(
            dummy.DummyClassifier(),
            query_strategy=compat.modal_query(strategy.name, **few(strategy)),
            X_training=known.features[rows],
            y_training=known.truth[rows],
        )
        assert len(set(learner.query(known.features, n_instances=20)[0])) == 20


def test_a_wrong_name_or_setting_is_told_at_once() -> None:
    with pytest.raises(ValueError, match='did you mean "entropy"'):
        compat.modal_query("entorpy")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unknown setting"):
        compat.modal_query("vabal", rigde=1.0)


@EACH
def test_a_classifier_that_was_not_shown_a_class_of_the_labels(strategy: vabal.Strategy, known: Known) -> None:
    models, linear = pytest.importorskip("modAL.models"), pytest.importorskip("sklearn.linear_model")
    query = compat.modal_query(strategy.name, **few(strategy))
    rows = np.concatenate([np.flatnonzero(known.truth == name)[:10] for name in range(3)])
    learner = models.ActiveLearner(
        linear.LogisticRegression(),
        query_strategy=query,
        X_training=known.features[rows],
        y_training=known.truth[rows],
    )
    some = rows[known.truth[rows] != 1]
    learner.teach(known.features[some], known.truth[some], only_new=True)
    assert learner.estimator.classes_.tolist() == [0, 2] and set(learner.y_training) == {0, 1, 2}
    assert len(set(learner.query(known.features, n_instances=5)[0])) == 5
