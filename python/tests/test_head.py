"""The linear classifier, in the hands of scikit-learn, scikit-activeml and modAL."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Known, pool

import vabal
from vabal import compat

NAMES = np.array(["axolotl", "bee", "cat"])


def test_a_classifier_of_scikit_learns(known: Known) -> None:
    base, selection = pytest.importorskip("sklearn.base"), pytest.importorskip("sklearn.model_selection")
    head = vabal.LinearHead(balanced=True, random_state=3)
    assert isinstance(head, base.ClassifierMixin) and base.is_classifier(head)
    assert base.clone(head).get_params() == {"l2": None, "balanced": True, "random_state": 3}
    assert head.set_params(balanced=False) is head
    with pytest.raises(ValueError, match="Invalid parameter"):
        head.set_params(strength=2)
    with pytest.raises(pytest.importorskip("sklearn.exceptions").NotFittedError, match="not fitted yet"):
        head.predict(known.features)
    fitted = head.fit(known.features, NAMES[known.truth])
    assert fitted is head and list(head.classes_) == sorted(NAMES) and head.n_features_in_ == 12
    p = head.predict_proba(known.features)
    assert p.shape == (400, 3) and np.allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(head.predict(known.features), NAMES[p.argmax(axis=1)])
    assert head.score(known.features, NAMES[known.truth]) > 0.8
    again = pickle.loads(pickle.dumps(head))
    np.testing.assert_array_equal(again.predict_proba(known.features), p)
    scores = selection.cross_val_score(vabal.LinearHead(), known.features, known.truth, cv=3)
    assert scores.mean() > 0.8 and head.accuracy_ is not None and abs(scores.mean() - head.accuracy_) < 0.1


def test_with_a_given_strength_it_is_scikit_learns_logistic_regression(known: Known) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    theirs = linear.LogisticRegression(C=0.5, tol=1e-8, max_iter=2000).fit(known.features, known.truth)
    ours = vabal.LinearHead(l2=2.0).fit(known.features, known.truth)
    np.testing.assert_allclose(
        ours.predict_proba(known.features), theirs.predict_proba(known.features), rtol=0, atol=2e-3
    )
    assert (ours.l2_, ours.temperature_, ours.loss_) == (2.0, 1.0, None)
    # Of two classes, where theirs has one row of coefficients.
    two = known.truth < 2
    ours = vabal.LinearHead(l2=2.0).fit(known.features[two], known.truth[two])
    assert ours.decision_function(known.features).shape == (400,) and ours.coef_.shape == (2, 12)
    assert ((ours.decision_function(known.features) > 0) == (ours.predict(known.features) == 1)).all()


def test_balanced_finds_more_of_the_rare_class() -> None:
    known = pool(n=600, d=4, labelled=0)
    noisy = known.features + np.random.default_rng(0).normal(size=known.features.shape).astype(np.float32)
    rare = known.truth == 2
    found = [
        (vabal.LinearHead(balanced=balanced).fit(noisy, known.truth).predict(noisy)[rare] == 2).mean()
        for balanced in (False, True)
    ]
    assert found[1] > found[0] + 0.1


def test_one_class_and_wrong_arrays(known: Known) -> None:
    one = vabal.LinearHead().fit(known.features, np.full(400, 7))
    assert one.predict_proba(known.features).tolist() == [[1.0]] * 400 and set(one.predict(known.features)) == {7}
    head, y = vabal.LinearHead(), known.truth
    broken = known.features.copy()
    broken[17, 3] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity\n  where: X=, row 17"):
        head.fit(broken, y)
    with pytest.raises(ValueError, match=r"y= has another shape\n  expected: \[400\]"):
        head.fit(known.features, y[:-1])
    with pytest.raises(ValueError, match="Reshape your data"):
        head.fit(known.features[0], y[:1])
    with pytest.raises(ValueError, match="rows without a class"):
        head.fit(known.features, [None, *["a"] * 399])
    with pytest.raises(ValueError, match="no classes"):
        head.fit(known.features, y + 0.5)
    with pytest.raises(ValueError, match="out of range"):
        vabal.LinearHead(l2=-1.0).fit(known.features, y)
    with pytest.raises(TypeError, match="sparse"):
        head.fit(pytest.importorskip("scipy.sparse").csr_matrix(known.features), y)
    with pytest.raises(ValueError, match="has 3 features, but LinearHead is expecting 12"):
        head.fit(known.features, y).predict(known.features[:, :3])


def test_in_the_loops_of_others(known: Known) -> None:
    sk, models = pytest.importorskip("skactiveml.classifier"), pytest.importorskip("modAL.models")
    y = np.where(known.labels < 0, np.nan, known.labels)
    clf = sk.SklearnClassifier(vabal.LinearHead(), classes=[0, 1, 2], random_state=0)
    query = compat.PoolQuery("vabal")
    for _ in range(2):
        chosen = query.query(known.features, y, clf, batch_size=10)
        y[chosen] = known.truth[chosen]
    assert np.isfinite(y).sum() == 80
    learner = models.ActiveLearner(
        vabal.LinearHead(),
        query_strategy=compat.modal_query("vabal"),
        X_training=known.features[:60],
        y_training=known.truth[:60],
    )
    rows, samples = learner.query(known.features[60:], n_instances=10)
    learner.teach(samples, known.truth[60:][rows])
    assert learner.score(known.features, known.truth) > 0.8


def test_without_scikit_learn(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["sklearn"] = None
import numpy as np, vabal
X, y = np.eye(3).repeat(20, axis=0), np.repeat(["a", "b", "c"], 20)
head = vabal.LinearHead().set_params(balanced=True).fit(X, y)
assert head.score(X, y) == 1 and head.get_params()["balanced"]
try:
    vabal.LinearHead().predict(X)
except RuntimeError as error:
    print(error)
"""
    printed: Any = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert printed.startswith("this LinearHead is not fitted yet")
