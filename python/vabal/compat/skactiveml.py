"""The shape of scikit-activeml's pool strategies."""

from __future__ import annotations

import copy
import importlib
import numbers
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _arrays
from .._select import LARGEST, Strategy, VabalWarning, checked, select
from .._settings import StrategyName
from . import _shared
from ._shared import Draw, Features

try:
    _Base: Any = importlib.import_module("skactiveml.base").SingleAnnotatorPoolQueryStrategy
except ImportError:
    _Base = object

_OWN = ("strategy", "missing_label", "random_state", "features", "draw")


class PoolQuery(_Base):  # type: ignore[misc]
    """A pool-based query strategy with the interface of scikit-activeml's.

    Where that package is installed, this is one of its ``SingleAnnotatorPoolQueryStrategy``, so that its wrappers and
    plots take it; elsewhere it has the same methods.

    Args:
        strategy: its name.
        missing_label: what stands in ``y`` where there is no label.
        random_state: of every draw and of ties: a whole number, a ``RandomState``, or None for 1. The same one gives
            the same answer.
        features: ``features(clf, X) → [n, d]``, or a list of arrays, one a stage. Without it the samples are they.
        draw: ``draw(clf, X) → [T, n, C]``, the predictions of several classifiers, say of passes under dropout, or the
            name of the method of ``clf`` that gives them, such as ``"sample_proba"``.
        **settings: of the strategy.
    """

    def __init__(
        self,
        strategy: StrategyName = "vabal",
        *,
        missing_label: Any = float("nan"),
        random_state: Any = None,
        features: Features | None = None,
        draw: Draw | None = None,
        **settings: Any,
    ) -> None:
        checked(strategy, settings)
        self.strategy = strategy
        self.missing_label = missing_label
        self.random_state = random_state
        self.features = features
        self.draw = draw
        self.settings = settings

    def query(
        self,
        X: Any,
        y: Any,
        clf: Any = None,
        fit_clf: bool = True,
        sample_weight: Any = None,
        utility_weight: Any = None,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
        *,
        ensemble: Any = None,
        fit_ensemble: bool | None = None,
    ) -> npt.NDArray[np.int64] | tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Chooses ``batch_size`` samples.

        Args:
            X: all samples, [n, …].
            y: their labels, [n]; ``missing_label`` where there is none.
            clf: a classifier with ``predict_proba``, where the strategy needs probabilities. Where it needs those of
                several classifiers: an ensemble, a list, or one of which copies are fitted to bootstraps.
            fit_clf: fit a copy of ``clf`` to the labelled samples first. Copies for bootstraps are fitted in any case.
            sample_weight: of the samples when fitting, [n].
            utility_weight: what the scores are multiplied by, [n], or [m] where ``candidates`` are samples.
            candidates: None for the samples without a label; row numbers [m]; a mask [n]; or samples [m, …].
            batch_size: how many; all where there are fewer, with a warning.
            return_utilities: also give the scores.
            ensemble, fit_ensemble: other names for ``clf`` and ``fit_clf``.

        Returns:
            Indices [batch_size], best first, into X, or into ``candidates`` where these are samples. With
            ``return_utilities`` also scores [batch_size, n] or [batch_size, m]: row k is what the k-th was chosen by,
            NaN for what could not be chosen any more. A strategy that puts a batch together has scores of what it
            chose alone: the other candidates are just below the last of them.
        """
        described = checked(self.strategy, self.settings)
        clf, fits = ensemble if clf is None else clf, fit_clf if fit_ensemble is None else fit_ensemble
        for name, value in {"fit_clf": fits, "return_utilities": return_utilities}.items():
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{name}= is neither True nor False\n  got: {value!r}")
        if _arrays.whole(batch_size, "batch_size", LARGEST) < 1:
            raise ValueError("batch_size= is out of range\n  expected: 1 or more\n  got: 0")
        size = _shared.size_of(X)
        answers = _column(y, size)
        known = ~self._missing(answers)
        rows, others = _candidates(candidates, known)
        if not len(rows):
            raise ValueError("there is no candidate\n  expected: at least one sample without a label")
        weights = _weights(utility_weight, size if others is None else len(rows), described)
        for one in clf if isinstance(clf, (list, tuple)) else [] if clf is None else [clf]:
            if not (hasattr(one, "fit") and hasattr(one, "predict")):
                raise TypeError(f"clf= is no classifier\n  expected: one with fit and predict_proba\n  got: {one!r}")
            self._agree(getattr(one, "missing_label", self.missing_label))
        fit = _Fit(X, answers, np.flatnonzero(known), sample_weight)
        labelled = np.setdiff1d(fit.rows, rows)
        used, pool = np.concatenate([labelled, rows]), X
        if others is not None:  # samples of their own: they follow those of X
            pool = _shared.stacked([X, others])
        samples = _shared.take(pool, used)

        seed = self._seed()
        arrays, names, clf = self._predict(described, fit, bool(fits), clf, samples, seed)
        if _shared.wants(described, "features"):
            arrays |= _shared.arguments(_shared.flat(samples) if self.features is None else self.features(clf, samples))
        arrays |= _shared.labelled(answers[labelled].tolist(), len(rows), names, arrays)
        count = min(batch_size, len(rows))
        if count < batch_size:
            text = f"asked for {batch_size} samples but there are {len(rows)} candidates; taking all of them"
            warnings.warn(text, VabalWarning, stacklevel=2)
        whole = not described.is_batch and (return_utilities or weights is not None)
        chosen = select(
            self.strategy,
            **arrays,
            ids=_shared.shuffled(len(used), seed),
            n=len(rows) if whole else count,
            seed=seed,
            **self.settings,
        )
        width, shift = (size, 0) if others is None else (len(rows), size)
        indices, scores = used[chosen.rows] - shift, chosen.scores
        if self.strategy == "margin":
            scores = scores + 1  # 1 − margin, as scikit-activeml has it
        if weights is not None:
            if (scores < 0).any():
                raise ValueError(f"utility_weight= cannot weigh scores below 0, which {self.strategy} gives")
            scores = scores * weights[indices]
            again = np.argsort(-scores, kind="stable")
            indices, scores = indices[again], scores[again]
        if not return_utilities:
            return indices[:count]
        utilities = np.full((count, width), np.nan)
        utilities[:, rows - shift] = np.nextafter(scores.min(), -np.inf)
        for k in range(count):
            utilities[k, indices[k:]] = scores[k:]
            utilities[k, indices[:k]] = np.nan
        return indices[:count], utilities

    def _predict(
        self, described: Strategy, fit: _Fit, fits: bool, clf: Any, samples: Any, seed: int
    ) -> tuple[dict[str, Any], list[Any] | None, Any]:
        """The probabilities that the strategy needs, the names of their columns, and the classifier as fitted."""
        several, one = _shared.reads(described), _shared.wants(described, "probs", "predicted")
        if clf is None and (one or (several and not callable(self.draw))):
            raise TypeError(f"{self.strategy} needs a classifier: clf=")
        if one and not hasattr(clf, "predict_proba"):
            raise TypeError(f"{self.strategy} needs a classifier with predict_proba\n  got: {type(clf).__name__}")
        ready = clf
        if fits and isinstance(clf, (list, tuple)):
            ready = [fit(each) for each in clf]
        elif fits and clf is not None and (several or one or self.features is not None):
            ready = fit(clf)
        told = getattr(clf, "classes", None)
        names = None if told is None else list(np.asarray(told).tolist())
        arrays: dict[str, Any] = {}
        if several:
            known = fit.rows, fit.y[fit.rows].tolist()
            arrays[several], found = _shared.voices(
                ready, samples, draw=self.draw, bootstrap=lambda rows: fit(clf, rows), known=known, seed=seed
            )
        elif one:
            arrays["probs"], found = _arrays.to_numpy(ready.predict_proba(samples)), _shared.names_of(ready)
        else:
            found = _shared.names_of(ready)
        return arrays, names if found is None else found, ready

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Its arguments, so that scikit-learn can copy it."""
        return {name: getattr(self, name) for name in _OWN} | self.settings

    def set_params(self, **params: Any) -> PoolQuery:
        """Changes arguments; refuses those that it has not."""
        own = {name: value for name, value in params.items() if name in _OWN}
        settings = {name: value for name, value in params.items() if name not in _OWN}
        strategy = own.get("strategy", self.strategy)
        kept = {} if strategy != self.strategy else self.settings
        try:
            checked(strategy, kept | settings)
        except TypeError as error:  # of a parameter that is not there, scikit-learn's estimators say ValueError
            raise ValueError(str(error)) from None
        for name, value in own.items():
            setattr(self, name, value)
        self.settings = kept | settings
        return self

    def __repr__(self) -> str:
        given = {name: value for name in _OWN[1:] if (value := getattr(self, name)) is not None}
        if self.missing_label is None:
            given["missing_label"] = None
        elif self.missing_label != self.missing_label:
            del given["missing_label"]
        return _shared.described_by("PoolQuery", self.strategy, given | self.settings)

    def _seed(self) -> int:
        if self.random_state is None:
            return 1
        if isinstance(self.random_state, np.random.RandomState):
            return int(copy.deepcopy(self.random_state).randint(1, 2**31 - 1))
        try:
            return _arrays.whole(self.random_state, "random_state", 2**64 - 1)
        except TypeError as error:  # as scikit-learn has it
            raise ValueError(str(error)) from None

    def _agree(self, theirs: Any) -> None:
        """Complains of a classifier for which another value is no label."""
        ours = self.missing_label
        if not (theirs is ours or theirs == ours or (theirs != theirs and ours != ours)):
            raise ValueError(f"clf= has another missing_label\n  expected: {ours!r}\n  got: {theirs!r}")

    def _missing(self, y: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        sign = self.missing_label
        if not (sign is None or isinstance(sign, (str, numbers.Number, np.generic))):
            raise TypeError(f"missing_label= is no label\n  expected: a number, a text or None\n  got: {sign!r}")
        if sign is None or sign != sign:
            return np.array([item is None or item != item for item in y.tolist()], dtype=bool)
        if isinstance(sign, str) != (y.dtype.kind in "UO"):
            raise TypeError(
                f"missing_label= is no label of y=\n  expected: one of its type, {y.dtype}\n  got: {sign!r}"
            )
        return np.asarray(y == sign, dtype=bool)


class _Fit:
    """Fits copies of classifiers to what is labelled."""

    def __init__(self, X: Any, y: npt.NDArray[Any], rows: npt.NDArray[np.int64], weight: Any) -> None:
        self.X, self.y, self.rows = X, y, rows
        self.weight = None if weight is None else np.asarray(_arrays.to_numpy(weight), dtype=np.float64)
        if self.weight is not None and self.weight.shape != y.shape:
            raise ValueError(
                f"sample_weight= has another shape\n  expected: [{len(y)}], as X= has rows"
                f"\n  got: {list(self.weight.shape)}"
            )

    def __call__(self, clf: Any, rows: npt.NDArray[np.int64] | None = None) -> Any:
        theirs = hasattr(clf, "missing_label")  # scikit-activeml's: they know what a missing label is
        if theirs and (len(self.rows) or getattr(clf, "classes", None) is not None):
            some = np.arange(len(self.y)) if rows is None else rows
            weights = {} if self.weight is None else {"sample_weight": self.weight[some]}
            return copy.deepcopy(clf).fit(_shared.take(self.X, some), self.y[some], **weights)
        some = self.rows if rows is None else rows
        weights = {} if self.weight is None else {"sample_weight": self.weight[some]}
        return _shared.fit(clf, _shared.take(self.X, some), self.y[some].tolist(), **weights)


def _column(y: Any, size: int) -> npt.NDArray[Any]:
    """The labels as [n]."""
    answers = np.asarray(_arrays.to_numpy(y))
    if answers.ndim == 0:
        raise TypeError(f"y= holds no labels\n  expected: [{size}], as X= has rows\n  got: {y!r}")
    if answers.ndim == 2 and answers.shape[1] == 1:
        answers = answers[:, 0]
    if answers.shape != (size,):
        raise ValueError(f"y= has another shape\n  expected: [{size}], as X= has rows\n  got: {list(answers.shape)}")
    return answers


def _candidates(given: Any, known: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], Any]:
    """The rows that may be chosen; samples that are not of X too, where these are given: they follow those of X."""
    n = len(known)
    if given is None:
        return np.flatnonzero(~known), None
    if hasattr(given, "tocsr"):
        return n + np.arange(given.shape[0]), given
    array = _arrays.to_numpy(given)
    if array.ndim > 1:
        return n + np.arange(len(array)), given if hasattr(given, "iloc") else array
    if array.ndim == 0:
        kind = ValueError if isinstance(given, numbers.Number) else TypeError
        raise kind(f"candidates= is neither rows nor samples\n  got: {given!r}")
    if array.dtype.kind == "b":
        if len(array) != n:
            raise ValueError(f"candidates= is a mask of another length\n  expected: {n}\n  got: {len(array)}")
        return np.flatnonzero(array), None
    if len(array) and array.dtype.kind not in "iu":
        raise TypeError(f"candidates= holds {array.dtype}\n  expected: rows of X=, a mask, or samples [m, …]")
    rows = array.astype(np.int64)
    wrong = (rows < 0) | (rows >= n)
    if wrong.any():
        raise ValueError(
            f"candidates= names a row that is not there\n  expected: 0 to {n - 1}\n  got: {rows[wrong][0]}"
        )
    if len(np.unique(rows)) < len(rows):
        raise ValueError("candidates= names a sample twice")
    return rows, None


def _weights(given: Any, width: int, described: Strategy) -> npt.NDArray[np.float64] | None:
    if given is None:
        return None
    if described.is_batch:
        raise ValueError(
            f"{described.name} puts a batch together: its scores cannot be weighed\n  hint: leave utility_weight= out"
        )
    weights = np.asarray(_arrays.to_numpy(given), dtype=np.float64)
    if weights.shape != (width,):
        raise ValueError(f"utility_weight= has another shape\n  expected: [{width}]\n  got: {list(weights.shape)}")
    return weights
