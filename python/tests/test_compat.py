"""The shapes of other libraries, in these libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import FEW, Known, pool

import vabal
from vabal import compat

STRATEGIES = ["vabal", "vabal-paper", "entropy", "balanced-entropy", "random"]


def settings(strategy: str) -> dict[str, Any]:
    return FEW if strategy == "vabal-paper" else {}


# scikit-activeml


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_scikit_activeml(strategy: str, known: Known) -> None:
    sk = pytest.importorskip("skactiveml.classifier")
    linear = pytest.importorskip("sklearn.linear_model")
    y = np.where(known.labels < 0, np.nan, known.labels)
    clf = sk.SklearnClassifier(linear.LogisticRegression(), classes=[0, 1, 2], random_state=0)
    query = compat.PoolQuery(strategy, **settings(strategy))

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


# modAL


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_modal(strategy: str, known: Known) -> None:
    models = pytest.importorskip("modAL.models")
    linear = pytest.importorskip("sklearn.linear_model")
    calls = 0

    def counted(classifier: Any, X: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return compat.modal_query(strategy, **settings(strategy))(classifier, X, **options)

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
    assert len(learner.query(known.features, n_instances=3)[0]) == 3


# baal


def test_baal(known: Known) -> None:
    heuristics = pytest.importorskip("baal.active.heuristics")
    rng = np.random.default_rng(0)
    logits = 3 * np.log(known.probs)[:, :, None] + rng.normal(size=(400, 3, 10))
    for predictions in (logits, _softmax(logits)):
        theirs, ours = heuristics.BALD(), compat.Heuristic("bald")
        np.testing.assert_allclose(ours.compute_score(predictions), theirs.get_uncertainties(predictions), atol=1e-5)
        ranks, scores = ours.get_ranks(predictions)
        assert scores.shape == (400,) and sorted(ranks) == list(range(400))
        assert (np.diff(scores[ranks]) <= 0).all()
        np.testing.assert_array_equal(ranks[:20], theirs.get_ranks(predictions)[0][:20])
        np.testing.assert_array_equal(ours.reorder_indices(scores), ours(predictions))
        assert ours.reversed
    parts = iter([logits[:150], logits[150:]])
    np.testing.assert_array_equal(compat.Heuristic("bald").get_ranks(parts)[0], compat.Heuristic("bald")(logits))
    np.testing.assert_allclose(
        compat.Heuristic("entropy").compute_score(_softmax(logits)),
        heuristics.Entropy().compute_score(_softmax(logits)),
        rtol=1e-4,
        atol=1e-6,
    )


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_loop_of_baals(known: Known) -> None:
    active = pytest.importorskip("baal.active")
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(known.features), torch.from_numpy(known.truth))
    dataset = active.ActiveLearningDataset(data)
    dataset.label(list(range(60)))
    draws = np.repeat(known.probs[:, :, None], 5, axis=2) + np.random.default_rng(0).uniform(0, 1e-3, (400, 3, 5))
    draws = (draws / draws.sum(1, keepdims=True)).astype(np.float32)

    def predictions(pool: Any) -> Any:
        return draws[dataset._pool_to_oracle_index(list(range(len(pool))))]

    for strategy in ("bald", "batch-bald", "entropy", "random", "vabal", "vabal-paper"):

        def context() -> dict[str, Any]:
            return {"features": known.features[dataset._pool_to_oracle_index(list(range(len(dataset.pool))))]}

        more: dict[str, Any] = ({"context": context} if strategy.startswith("vabal") else {}) | settings(strategy)
        heuristic = compat.Heuristic(strategy, num_samples=12, **more)
        loop = active.ActiveLearningLoop(dataset, predictions, heuristic, query_size=12)
        before = len(dataset)
        assert loop.step()
        assert len(dataset) == before + 12


def test_predictions_of_one_pass_and_of_the_wrong_shape(known: Known) -> None:
    entropy = compat.Heuristic("entropy")
    np.testing.assert_array_equal(entropy(known.probs)[:9], vabal.select("entropy", probs=known.probs, n=9).rows)
    with pytest.raises(ValueError, match="one class an image"):
        entropy(np.zeros((2, 3, 4, 5)))
    with pytest.raises(ValueError, match='did you mean "bald"'):
        compat.Heuristic("blad")


# small-text


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_small_text(strategy: str, known: Known) -> None:
    small_text = pytest.importorskip("small_text")
    scipy_sparse = pytest.importorskip("scipy.sparse")
    linear = pytest.importorskip("sklearn.linear_model")
    for x in (known.features, scipy_sparse.csr_matrix(known.features)):
        dataset = small_text.SklearnDataset(x, known.truth, target_labels=np.arange(3))
        factory = small_text.SklearnClassifierFactory(linear.LogisticRegression(), 3)
        query = compat.TextQuery(strategy, **settings(strategy))
        learner = small_text.PoolBasedActiveLearner(factory, query, dataset)
        # Class 2 is missing from what is labelled first.
        first = np.flatnonzero(known.truth != 2)[:40]
        learner.initialize_data(first, known.truth[first])
        for _ in range(2):
            chosen = learner.query(num_samples=7)
            assert len(set(chosen)) == 7 and not set(chosen) & set(learner.indices_labeled)
            learner.update(known.truth[chosen])
    assert str(query) == f"TextQuery('{strategy}')"
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
