"""``vabal.LinearHead``: the linear classifier of features, as an estimator of scikit-learn's kind."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _arrays, _vabal
from ._arrays import ArrayLike
from ._select import tell

try:
    _base = importlib.import_module("sklearn.base")
    _bases: tuple[Any, ...] = (_base.ClassifierMixin, _base.BaseEstimator)
    _NotFitted: Any = importlib.import_module("sklearn.exceptions").NotFittedError
except ImportError:
    _bases, _NotFitted = (), RuntimeError


class LinearHead(*_bases):  # type: ignore[misc]
    """Multinomial logistic regression on features, with a strength and a temperature chosen by cross-validation.

    It is what the labelling page learns with. Where scikit-learn is installed, this is one of its classifiers;
    elsewhere it has the same methods.

    Args:
        l2: the penalty, scikit-learn's 1 / C; None for one that is chosen, with a temperature that calibrates.
        balanced: probabilities as if every class were as frequent as any other.
        random_state: which rows are held out together when the strength is chosen.

    After ``fit``: ``classes_``, ``coef_`` [C, d], ``intercept_`` [C], ``l2_``, ``temperature_``; by cross-validation
    the mean cross-entropy ``loss_`` and the share of right answers ``accuracy_``, None of too few labels.

    >>> import numpy as np, vabal
    >>> rng = np.random.default_rng(0)
    >>> y = np.array(["bee", "cat"])[np.arange(40) % 2]
    >>> X = (y == "cat")[:, None] + 0.3 * rng.normal(size=(40, 4))
    >>> head = vabal.LinearHead().fit(X, y)
    >>> head.predict(X[:4]), head.predict_proba(X[:4]).shape
    (array(['bee', 'cat', 'bee', 'cat'], dtype='<U3'), (4, 2))
    """

    def __init__(self, *, l2: float | None = None, balanced: bool = False, random_state: int | None = 1) -> None:
        self.l2 = l2
        self.balanced = balanced
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> LinearHead:
        """Fits it to features [n, d] and their classes [n], numbers or texts."""
        features = self._features(X)
        answers = np.asarray(_arrays.to_numpy(y))
        if answers.ndim == 2 and answers.shape[1] == 1:
            answers = answers[:, 0]
        if answers.shape != (len(features),):
            raise ValueError(
                f"y= has another shape\n  expected: [{len(features)}], as X= has rows\n  got: {list(answers.shape)}"
            )
        if answers.dtype.kind == "O" and any(_arrays._missing(item) for item in answers.tolist()):
            raise ValueError("y= holds rows without a class\n  expected: a class for each row\n  got: None or NaN")
        if answers.dtype.kind == "f" and not (answers == np.floor(answers)).all():
            raise ValueError(
                "Unknown label type: y= holds numbers that are no classes\n  expected: whole numbers or texts"
            )
        self.classes_, codes = np.unique(answers, return_inverse=True)
        self.n_features_in_ = features.shape[1]
        if (names := getattr(X, "columns", None)) is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.asarray(names, dtype=object)
        if len(self.classes_) < 2:  # nothing to tell apart
            self.coef_, self.intercept_ = (
                np.zeros((len(self.classes_), features.shape[1])),
                np.zeros(len(self.classes_)),
            )
            self.l2_, self.temperature_, self.loss_, self.accuracy_ = self.l2, 1.0, None, None
            return self
        seed = 1 if self.random_state is None else _arrays.whole(self.random_state, "random_state", 2**64 - 1)
        codes = np.ascontiguousarray(codes.ravel(), dtype=np.int64)
        l2 = None if self.l2 is None else float(self.l2)
        (weights, bias), said = _vabal.head_fit(features, codes, len(self.classes_), l2, bool(self.balanced), seed)
        self.coef_ = np.frombuffer(weights, np.float64).reshape(len(self.classes_), -1).copy()
        self.intercept_ = np.frombuffer(bias, np.float64).copy()
        self.l2_, self.temperature_, self.loss_, self.accuracy_, warnings = said
        tell(warnings)
        return self

    def decision_function(self, X: ArrayLike) -> npt.NDArray[np.float64]:
        """Logits [n, C]; of two classes, those of the second less those of the first [n]."""
        logits = self._applied(X, probabilities=False)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: ArrayLike) -> npt.NDArray[np.float64]:
        """Probabilities [n, C], in the order of ``classes_``."""
        return self._applied(X, probabilities=True)

    def predict(self, X: ArrayLike) -> npt.NDArray[Any]:
        """The class of each row [n]."""
        best: npt.NDArray[Any] = self.classes_[self._applied(X, probabilities=False).argmax(axis=1)]
        return best

    def _applied(self, X: ArrayLike, *, probabilities: bool) -> npt.NDArray[np.float64]:
        if not hasattr(self, "coef_"):
            raise _NotFitted("this LinearHead is not fitted yet\n  hint: call fit first")
        features = self._features(X)
        if features.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {features.shape[1]} features, but LinearHead is expecting "
                f"{self.n_features_in_} features as input"
            )
        if len(self.classes_) < 2:
            return np.ones((len(features), len(self.classes_)))
        coef, intercept = (np.require(a, np.float64, ["C", "A"]) for a in (self.coef_, self.intercept_))
        raw = _vabal.head_predict(coef, intercept, features, probabilities)
        return np.frombuffer(raw, np.float32).reshape(len(features), -1).astype(np.float64)

    def _features(self, X: ArrayLike) -> npt.NDArray[np.float32]:
        features = _arrays.reals(X, "X")
        if features.ndim != 2:
            raise ValueError(
                f"X= has another shape\n  expected: [n, d]\n  got: {list(features.shape)}"
                "\n  hint: Reshape your data: X.reshape(len(X), -1)"
            )
        if 0 in features.shape:
            unit = "sample" if not len(features) else "feature"
            raise ValueError(
                f"Found array with 0 {unit}(s) (shape={features.shape}) while a minimum of 1 is required by LinearHead."
            )
        if not np.isfinite(features).all():
            row = int(np.argmin(np.isfinite(features).all(axis=1)))
            raise ValueError(
                f"a feature is NaN or infinity\n  where: X=, row {row}\n  expected: finite numbers of float32"
            )
        return features

    if not _bases:

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Its arguments."""
            return {name: getattr(self, name) for name in ("l2", "balanced", "random_state")}

        def set_params(self, **params: Any) -> LinearHead:
            """Changes arguments; refuses those that it has not."""
            for name, value in params.items():
                if name not in self.get_params():
                    raise ValueError(f"LinearHead has no argument {name!r}")
                setattr(self, name, value)
            return self

        def score(self, X: ArrayLike, y: ArrayLike) -> float:
            """The share of right answers."""
            return float(np.mean(self.predict(X) == np.asarray(_arrays.to_numpy(y))))


LinearHead.__module__ = "vabal"
