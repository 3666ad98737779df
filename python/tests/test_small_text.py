"""The shape of small-text, in small-text."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from conftest import FEW, SOME, Known, few, few_of

import vabal
from vabal import StrategyName, compat


@pytest.mark.parametrize("strategy", SOME)
def test_small_text(strategy: StrategyName, known: Known) -> None:
    small_text = pytest.importorskip("small_text")
    scipy_sparse = pytest.importorskip("scipy.sparse")
    linear = pytest.importorskip("sklearn.linear_model")
    for x in (known.features, scipy_sparse.csr_matrix(known.features)):
        dataset = small_text.SklearnDataset(x, known.truth, target_labels=np.arange(3))
        factory = small_text.SklearnClassifierFactory(linear.LogisticRegression(), 3)
        query = compat.TextQuery(strategy, **few_of(strategy))
        learner = small_text.PoolBasedActiveLearner(factory, query, dataset)
        # Class 2 is missing from what is labelled first.
        first = np.flatnonzero(known.truth != 2)[:40]
        learner.initialize_data(first, known.truth[first])
        for _ in range(2):
            chosen = learner.query(num_samples=7)
            assert len(set(chosen)) == 7 and not set(chosen) & set(learner.indices_labeled)
            learner.update(known.truth[chosen])
    assert str(query).startswith(f"TextQuery('{strategy}'")
    with pytest.raises(ValueError, match="pool is empty"):
        query.query(None, dataset, np.array([], dtype=int), np.arange(400), known.truth)
    with pytest.raises(ValueError, match="several classes a text"):
        query.query(None, dataset, np.arange(3), np.arange(3, 5), scipy_sparse.csr_matrix(np.ones((2, 3))))


def test_small_text_takes_a_classifiers_own_embedding(known: Known) -> None:
    class Embedding:
        num_classes = 3

        def predict_proba(self, dataset: Any) -> Any:
            return known.probs

        def embed(self, dataset: Any) -> Any:
            return known.features

    rows = np.arange(400)
    query = compat.TextQuery("vabal-paper", **FEW)
    chosen = query.query(Embedding(), object(), rows[60:], rows[:60], known.truth[:60], n=9)
    expected = vabal.select("vabal-paper", known.features, known.probs, known.labels, n=9, **FEW)
    np.testing.assert_array_equal(chosen, expected.ids)
    cold = query.query(Embedding(), object(), rows, rows[:0], None, n=9)
    assert len(set(cold)) == 9


EACH = pytest.mark.parametrize("strategy", vabal.strategies(), ids=lambda s: s.name)


def learner_of(query: Any, known: Known, model: Any = None, sparse: bool = False) -> Any:
    """A learner of small-text's whose first labels are those of the first 60 texts."""
    small_text = pytest.importorskip("small_text")
    linear = pytest.importorskip("sklearn.linear_model")
    x = pytest.importorskip("scipy.sparse").csr_matrix(known.features) if sparse else known.features
    dataset = small_text.SklearnDataset(x, known.truth, target_labels=np.arange(3))
    factory = small_text.SklearnClassifierFactory(linear.LogisticRegression() if model is None else model, 3)
    learner = small_text.PoolBasedActiveLearner(factory, query, dataset)
    learner.initialize_data(np.arange(60), known.truth[:60])
    return learner


@EACH
@pytest.mark.parametrize("sparse", [False, True])
def test_every_strategy(strategy: vabal.Strategy, sparse: bool, known: Known) -> None:
    query = compat.TextQuery(strategy.name, **few(strategy))
    assert query.scores_ is None
    learner = learner_of(query, known, sparse=sparse)
    chosen = learner.query(num_samples=6)
    assert chosen.shape == (6,) and len(set(chosen)) == 6 and (chosen >= 60).all()
    scores = query.scores_
    assert scores is not None and scores.shape == (400,) and np.isnan(scores[:60]).all()
    assert np.isfinite(scores[chosen]).all()
    if not strategy.is_batch:
        assert np.isfinite(scores[60:]).all() and (np.nanmax(scores) == scores[chosen[0]])
    learner.update(known.truth[chosen])
    again = pickle.loads(pickle.dumps(query))
    assert str(again) == str(query) and str(query).startswith(f"TextQuery({strategy.name!r}")


@EACH
def test_the_pool_is_empty_or_exhausted(strategy: vabal.Strategy, known: Known) -> None:
    small_text = pytest.importorskip("small_text")
    query = compat.TextQuery(strategy.name, **few(strategy))
    learner = learner_of(query, known)
    clf, dataset, rows = learner.classifier, learner.dataset, np.arange(400)
    with pytest.raises(small_text.EmptyPoolException, match="pool is empty"):
        query.query(clf, dataset, rows[:0], rows, known.truth)
    with pytest.raises(small_text.PoolExhaustedException, match="expected: at least 6\n  got: 5"):
        query.query(clf, dataset, rows[395:], rows[:395], known.truth[:395], n=6)
    everything = query.query(clf, dataset, rows[395:], rows[:395], known.truth[:395], n=5)
    assert sorted(everything) == list(range(395, 400))
    with pytest.raises(ValueError, match="y= has another length"):
        query.query(clf, dataset, rows[60:], rows[:60], known.truth[:59])


def test_their_subsampling(known: Known) -> None:
    small_text = pytest.importorskip("small_text")
    for name in ("vabal", "entropy", "core-set", "bald"):
        inner = compat.TextQuery(name)
        query = small_text.SubsamplingQueryStrategy(inner, subsample_size=100)
        chosen = learner_of(query, known).query(num_samples=5)
        assert len(set(chosen)) == 5 and (chosen >= 60).all() and query.scores_.shape == (100,)
        assert str(query) == f"SubsamplingQueryStrategy(base_query_strategy=TextQuery({name!r}), subsample_size=100)"


def test_several_classifiers(known: Known) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    for model in (None, ensemble.RandomForestClassifier(n_estimators=10, random_state=0)):
        for name in ("bald", "ensemble-vote-entropy"):
            learner = learner_of(compat.TextQuery(name), known, model)
            assert len(set(learner.query(num_samples=5))) == 5

    passes = np.random.default_rng(0).dirichlet(np.ones(3), size=(400, 4))

    class Dropout:
        num_classes = 3

        def predict_proba(self, dataset: Any, dropout_sampling: int = 1) -> Any:
            return passes if dropout_sampling > 1 else passes[:, 0]

    rows = np.arange(400)
    expected = vabal.select("bald", mc_probs=passes, labels=known.labels, n=5)
    found = compat.TextQuery("bald").query(Dropout(), known.features, rows[60:], rows[:60], known.truth[:60], n=5)
    np.testing.assert_array_equal(found, expected.ids)
    query = compat.TextQuery("bald", draw=lambda clf, dataset: passes.transpose(1, 0, 2))
    np.testing.assert_array_equal(
        query.query(Dropout(), known.features, rows[60:], rows[:60], known.truth[:60], n=5), expected.ids
    )


def test_a_wrong_name_or_setting_is_told_at_once() -> None:
    with pytest.raises(ValueError, match='did you mean "entropy"'):
        compat.TextQuery("entorpy")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unknown setting"):
        compat.TextQuery("vabal", rigde=1.0)
    assert str(compat.TextQuery("vabal", ridge=1.0)) == "TextQuery('vabal', ridge=1.0)"


def test_probabilities_and_scores_of_their_confidence_strategies() -> None:
    small_text = pytest.importorskip("small_text")
    rng = np.random.default_rng(4)
    pairs = {
        "entropy": small_text.PredictionEntropy(),
        "margin": small_text.BreakingTies(),
        "least-confidence": small_text.LeastConfidence(),
    }

    class Fixed:
        def __init__(self, probs: Any) -> None:
            self.probs = probs

        def predict_proba(self, dataset: Any) -> Any:
            return self.probs

    for classes in (2, 3, 5):
        clf, x = Fixed(rng.dirichlet(np.ones(classes), size=20)), rng.normal(size=(20, 10))
        for name, theirs in pairs.items():
            query = compat.TextQuery(name)  # type: ignore[arg-type]
            free, none = np.arange(20), np.array([])
            chosen = query.query(clf, x, free, none, none)  # ten, as theirs
            assert sorted(chosen) == sorted(theirs.query(clf, x, free, none, none))
            scores = -theirs.scores_ if theirs.lower_is_better else theirs.scores_
            assert query.scores_ is not None
            np.testing.assert_allclose(query.scores_, scores + (name == "least-confidence"), atol=1e-6)
    with pytest.raises(ValueError, match="do not sum to 1"):
        compat.TextQuery("entropy").query(Fixed(np.full((20, 2), 0.4)), x, free, none, none)


def test_their_classifiers(known: Known) -> None:
    small_text = pytest.importorskip("small_text")
    model = small_text.ConfidenceEnhancedLinearSVC()
    for name in ("vabal", "margin", "core-set"):
        chosen = learner_of(compat.TextQuery(name), known, model).query(num_samples=5)
        assert len(set(chosen)) == 5
