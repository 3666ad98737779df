"""vabal's strategies in the shapes that other active-learning libraries expect. None of them is imported.

==================  ==========================================================================================
scikit-activeml     :class:`PoolQuery`: ``query(X, y, clf, candidates=None, batch_size=1, return_utilities=False)``
modAL               :func:`modal_query`: a callable ``(classifier, X_pool, n_instances) → (indices, metrics)``
baal                :class:`Heuristic`: ``compute_score``, ``get_ranks``, ``get_uncertainties``
small-text          :class:`TextQuery`: ``query(clf, dataset, indices_unlabeled, indices_labeled, y, n)``
==================  ==========================================================================================

All take the name of a strategy, ``seed=`` and the strategy's settings as keywords. The same seed is used for every
query: give ``seed`` anew where rounds shall draw anew. A strategy that needs features takes them from ``features=``, a
callable that is told below, else the samples themselves are the features.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _arrays
from ._select import Selection, Strategy, VabalWarning, select, strategies

__all__ = ["Heuristic", "PoolQuery", "TextQuery", "modal_query"]

Features = Callable[..., Any]


def _described(name: str) -> Strategy:
    for strategy in strategies():
        if strategy.name == name:
            return strategy
    select(name, ids=[0], n=0)  # complains, with the nearest name
    raise AssertionError("unreachable")


def _flat(samples: Any) -> npt.NDArray[np.float32]:
    """Samples as rows of features: dense, or sparse as scipy's, [n, …] to [n, d]."""
    if hasattr(samples, "toarray"):
        samples = samples.toarray()
    array = _arrays.to_numpy(samples)
    return _arrays.reals(array.reshape(len(array), -1), "features")


def _arguments(features: Any) -> dict[str, Any]:
    """Features as the keyword of select: a list of arrays is several stages."""
    return {"stages": features} if isinstance(features, (list, tuple)) else {"features": features}


def _take(samples: Any, rows: npt.NDArray[Any]) -> Any:
    if hasattr(samples, "iloc"):
        return samples.iloc[rows]
    return samples[rows] if hasattr(samples, "shape") or hasattr(samples, "x") else [samples[row] for row in rows]


def _names(classifier: Any) -> list[Any] | None:
    """The classes that the columns of ``predict_proba`` stand for."""
    for owner in (classifier, getattr(classifier, "estimator", None)):
        names = getattr(owner, "classes_", None)
        if names is not None:
            return list(np.asarray(names).tolist())
    return None


def _wants(strategy: Strategy, *names: str) -> bool:
    return any(name in strategy.needs for name in names)


class PoolQuery:
    """A pool-based query strategy with the interface of scikit-activeml's.

    Args:
        strategy: its name.
        missing_label: what stands in ``y`` where there is no label.
        features: ``features(clf, X) → [n, d]``, or a list of arrays, one a stage. Without it the samples are they.
        seed: of every draw.
        **settings: of the strategy.
    """

    def __init__(
        self,
        strategy: str = "vabal",
        *,
        missing_label: Any = float("nan"),
        features: Features | None = None,
        seed: int = 1,
        **settings: Any,
    ) -> None:
        self.strategy = strategy
        self.missing_label = missing_label
        self.features = features
        self.seed = seed
        self.settings = settings

    def query(
        self,
        X: Any,
        y: Any,
        clf: Any = None,
        *,
        fit_clf: bool = True,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> npt.NDArray[np.int64] | tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Chooses ``batch_size`` samples.

        Args:
            X: all samples, [n, …].
            y: their labels, [n]; ``missing_label`` where there is none.
            clf: a classifier with ``predict_proba``, where the strategy needs probabilities.
            fit_clf: fit a copy of ``clf`` to the labelled samples first.
            candidates: None for the samples without a label; row numbers [m]; or samples [m, …], not of ``X``.
            batch_size: how many; all where there are fewer, with a warning.
            return_utilities: also give the scores.

        Returns:
            Indices [batch_size], best first, into X, or into ``candidates`` where these are samples. With
            ``return_utilities`` also scores [batch_size, n] or [batch_size, m]: row k is what the k-th was chosen by,
            NaN for what could not be chosen any more. A strategy that puts a batch together, and "random", has scores
            of what it chose alone.
        """
        described = _described(self.strategy)
        answers = np.asarray(_arrays.to_numpy(y))
        known = ~self._missing(answers)
        pool = X
        rows: npt.NDArray[np.int64] = np.flatnonzero(~known)
        given = None if candidates is None else _arrays.to_numpy(candidates)
        if given is not None and given.ndim == 1:
            rows = given.astype(np.int64)
            if len(np.unique(rows)) < len(rows):
                raise ValueError("candidates= names a sample twice")
        labelled = np.flatnonzero(known)
        if given is not None and given.ndim != 1:
            # Samples of their own: they follow those of X.
            pool = np.concatenate([np.asarray(_arrays.to_numpy(X)), given])
            rows = len(answers) + np.arange(len(given))
        else:
            labelled = np.setdiff1d(labelled, rows)
        if _wants(described, "probs", "predicted") and clf is None:
            raise TypeError(f"{self.strategy} needs a classifier: clf=")
        fitted = self._fit(clf, X, answers, known) if clf is not None and fit_clf else clf

        used = np.concatenate([labelled, rows])
        samples = _take(pool, used)
        names = _names(fitted)
        values = [answers[row] if row < len(answers) and i < len(labelled) else None for i, row in enumerate(used)]
        arrays: dict[str, Any] = {"classes": names}
        if _wants(described, "probs", "predicted"):
            arrays["probs"] = fitted.predict_proba(samples)
        if _wants(described, "features"):
            arrays |= _arguments(_flat(samples) if self.features is None else self.features(fitted, samples))
        if names is None:
            # Nothing says what the classes are called: as they come.
            found = sorted({value for value in values if value is not None})
            arrays["classes"] = found if len(found) > 1 else None
            values = values if len(found) > 1 else [None if value is None else 0 for value in values]
        whole = return_utilities and not described.is_batch and self.strategy != "random"
        count = min(batch_size, len(rows))
        if count < batch_size:
            text = f"asked for {batch_size} samples but there are {len(rows)} candidates; taking all of them"
            warnings.warn(text, VabalWarning, stacklevel=2)
        chosen = select(
            self.strategy,
            **arrays,
            labels=values,
            ids=used,
            n=len(rows) if whole else count,
            seed=self.seed,
            **self.settings,
        )
        width, shift = (len(given), len(answers)) if given is not None and given.ndim != 1 else (len(answers), 0)
        indices = chosen.ids.astype(np.int64) - shift
        if not return_utilities:
            return indices[:count]
        utilities = np.full((count, width), np.nan)
        for k in range(count):
            utilities[k, indices[k:]] = chosen.scores[k:]
        return indices[:count], utilities

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Its arguments, so that scikit-learn can copy it."""
        own = {name: getattr(self, name) for name in ("strategy", "missing_label", "features", "seed")}
        return own | self.settings

    def set_params(self, **params: Any) -> PoolQuery:
        """Changes arguments."""
        for name, value in params.items():
            if name in ("strategy", "missing_label", "features", "seed"):
                setattr(self, name, value)
            else:
                self.settings[name] = value
        return self

    def _missing(self, y: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        sign = self.missing_label
        if sign is None or sign != sign:
            return np.array([item is None or item != item for item in y.tolist()], dtype=bool)
        return np.asarray(y == sign, dtype=bool)

    @staticmethod
    def _fit(clf: Any, X: Any, y: npt.NDArray[Any], known: npt.NDArray[np.bool_]) -> Any:
        made = copy.deepcopy(clf)
        if hasattr(clf, "missing_label"):  # scikit-activeml's: they know what a missing label is
            return made.fit(X, y)
        rows = np.flatnonzero(known)
        return made.fit(_take(X, rows), y[rows])


def modal_query(
    strategy: str = "vabal", *, features: Features | None = None, seed: int = 1, **settings: Any
) -> Callable[..., tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """A query strategy for modAL's ``ActiveLearner(query_strategy=…)``.

    Args:
        strategy: its name.
        features: ``features(classifier, X) → [n, d]``, or a list of arrays, one a stage; called once for the labelled
            samples and once for the pool. Without it the samples are the features.
        seed: of every draw.
        **settings: of the strategy.

    Returns:
        ``query(classifier, X_pool, n_instances=1) → (indices, scores)``, indices [n_instances] into the pool. Labels
        are those that the learner was taught, ``X_training`` and ``y_training``.
    """
    described = _described(strategy)

    def query(classifier: Any, X: Any, n_instances: int = 1) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        taught, answers = getattr(classifier, "X_training", None), getattr(classifier, "y_training", None)
        count = 0 if taught is None or answers is None else len(answers)
        size = X.shape[0] if hasattr(X, "shape") else len(X)
        labels = [] if answers is None or count == 0 else _arrays.to_numpy(answers).tolist()
        arrays: dict[str, Any] = {"classes": _names(classifier)}
        if _wants(described, "probs", "predicted"):
            probs = classifier.predict_proba(X)
            arrays["probs"] = np.concatenate([np.full((count, probs.shape[1]), 1 / probs.shape[1]), probs])
        if _wants(described, "features"):
            arrays |= _arguments(
                _both(taught if count else None, X, lambda x: _flat(x) if features is None else features(classifier, x))
            )
        if arrays["classes"] is None:
            found = sorted(set(labels))
            arrays["classes"] = found if len(found) > 1 else None
        chosen = select(
            strategy,
            **arrays,
            labels=labels + [None] * size,
            n=n_instances,
            seed=seed,
            **settings,
        )
        return chosen.rows - count, chosen.scores

    return query


def _both(labelled: Any, pool: Any, features: Callable[[Any], Any]) -> Any:
    """The features of the labelled samples, then those of the pool, stage by stage."""
    of_pool = features(pool)
    if labelled is None:
        return of_pool
    of_labelled = features(labelled)
    if isinstance(of_pool, (list, tuple)):
        return [
            np.concatenate([_arrays.to_numpy(a), _arrays.to_numpy(b)])
            for a, b in zip(of_labelled, of_pool, strict=True)
        ]
    return np.concatenate([_arrays.to_numpy(of_labelled), _arrays.to_numpy(of_pool)])


class Heuristic:
    """A heuristic with the interface of baal's, for its ``ActiveLearningLoop``.

    Args:
        strategy: its name. What baal gives, predictions under dropout, is both the posterior of "bald" and its like
            and, as the mean, the probabilities of "entropy" and its like.
        context: called before every query; gives further keywords of :func:`vabal.select` for a strategy that needs
            more, such as ``{"features": …}``, with a row for each prediction, in the same order.
        num_samples: how many a strategy that puts a batch together shall choose; the others rank all.
        seed: of every draw.
        **settings: of the strategy.
    """

    reversed = True
    """The most uncertain has the largest score."""

    def __init__(
        self,
        strategy: str = "bald",
        *,
        context: Callable[[], Mapping[str, Any]] | None = None,
        num_samples: int = 100,
        seed: int = 1,
        **settings: Any,
    ) -> None:
        self.strategy = strategy
        self.context = context
        self.num_samples = num_samples
        self.seed = seed
        self.settings = settings
        self._described = _described(strategy)

    def compute_score(self, predictions: Any, target_predictions: Any = None) -> npt.NDArray[np.float64]:
        """The score of each prediction [n], larger = ask first.

        Args:
            predictions: [n, C] or [n, C, T], probabilities or logits (told by their range, as baal does), or an
                iterable of such parts.
            target_predictions: not used.

        Of what a strategy did not choose, where it chooses a batch, the score is the smallest of the batch.
        """
        chosen, n = self._choose(predictions)
        scores = np.full(n, chosen.scores.min() if len(chosen) else 0.0)
        scores[chosen.rows] = chosen.scores
        return scores

    def get_uncertainties(self, predictions: Any, target_predictions: Any = None) -> npt.NDArray[np.float64]:
        """As :meth:`compute_score`."""
        return self.compute_score(predictions, target_predictions)

    def get_ranks(
        self, predictions: Any, target_predictions: Any = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Rows from first to ask to last [n], and the score of each row [n]. Equal scores: lowest row first."""
        chosen, n = self._choose(predictions)
        scores = np.full(n, chosen.scores.min() if len(chosen) else 0.0)
        scores[chosen.rows] = chosen.scores
        return np.concatenate([chosen.rows, np.setdiff1d(np.arange(n), chosen.rows)]), scores

    def reorder_indices(
        self, scores: npt.NDArray[np.float64] | Sequence[npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.int64]:
        """Rows from the largest score to the smallest; equal ones as they come."""
        values = np.concatenate([np.atleast_1d(part) for part in scores]) if isinstance(scores, Sequence) else scores
        return np.argsort(-np.asarray(values), kind="stable")

    def __call__(self, predictions: Any) -> npt.NDArray[np.int64]:
        """The ranks of :meth:`get_ranks`."""
        return self.get_ranks(predictions)[0]

    def _choose(self, predictions: Any) -> tuple[Selection, int]:
        if not hasattr(predictions, "shape") and isinstance(predictions, Iterable):
            predictions = np.concatenate([_arrays.to_numpy(part) for part in predictions])
        draws = _arrays.to_numpy(predictions)
        if draws.ndim == 2:
            draws = draws[:, :, np.newaxis]
        if draws.ndim != 3:
            raise ValueError(
                "predictions of another shape\n  expected: [n, C] or [n, C, T], one class an image"
                f"\n  got: {list(draws.shape)}"
            )
        if len(draws) and (draws.min() < 0 or draws.max() > 1):
            powers = np.exp(draws - draws.max(axis=1, keepdims=True))
            draws = powers / powers.sum(axis=1, keepdims=True)
        arrays: dict[str, Any] = {}
        if _wants(self._described, "probs", "predicted"):
            arrays["probs"] = draws.mean(axis=2)
        for name in ("mc_probs", "committee_probs"):
            if _wants(self._described, name):
                arrays[name] = draws.transpose(0, 2, 1)
        if not arrays:
            arrays["classes"], arrays["ids"] = draws.shape[1], np.arange(len(draws))
        arrays |= dict(self.context()) if self.context is not None else {}
        n = min(self.num_samples, len(draws)) if self._described.is_batch else len(draws)
        return select(self.strategy, **arrays, n=n, seed=self.seed, **self.settings), len(draws)


def _all_columns(clf: Any, probs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column a class, where scikit-learn has left out those that it was not shown."""
    count, seen = getattr(clf, "num_classes", None), _names(getattr(clf, "model", None))
    if (
        not isinstance(count, (int, np.integer))
        or seen is None
        or probs.shape[1] in (count, 1)
        or len(seen) != probs.shape[1]
    ):
        return probs
    whole = np.zeros((len(probs), int(count)), dtype=probs.dtype)
    whole[:, np.asarray(seen, dtype=np.int64)] = probs
    return whole


class TextQuery:
    """A query strategy with the interface of small-text's, for its ``PoolBasedActiveLearner``.

    Args:
        strategy: its name.
        features: ``features(clf, dataset) → [n, d]``, or a list of arrays, one a stage. Without it the classifier's
            ``embed(dataset)`` where it has one, else the dataset's own ``x``.
        seed: of every draw.
        **settings: of the strategy.
    """

    def __init__(
        self, strategy: str = "vabal", *, features: Features | None = None, seed: int = 1, **settings: Any
    ) -> None:
        self.strategy = strategy
        self.features = features
        self.seed = seed
        self.settings = settings
        self._described = _described(strategy)

    def query(
        self, clf: Any, dataset: Any, indices_unlabeled: Any, indices_labeled: Any, y: Any, n: int = 10
    ) -> npt.NDArray[np.int64]:
        """Chooses ``n`` of ``indices_unlabeled``, best first.

        Args:
            clf: a classifier with ``predict_proba(dataset) → [N, C]``.
            dataset: all texts, N of them.
            indices_unlabeled: which may be chosen [u].
            indices_labeled: which have a label [l].
            y: their labels [l], a class each; several classes a text are not understood. Below 0: none.
            n: how many.
        """
        if hasattr(y, "toarray"):
            raise ValueError("labels of several classes a text\n  expected: [l], one class each")
        unlabelled, labelled = (np.asarray(rows, dtype=np.int64) for rows in (indices_unlabeled, indices_labeled))
        if not len(unlabelled):
            raise ValueError("the pool is empty\n  where: indices_unlabeled\n  expected: at least one text")
        answers = np.asarray([] if y is None else y)
        known = answers >= 0
        labelled, answers = labelled[known], answers[known]
        used = np.concatenate([labelled, unlabelled])
        arrays: dict[str, Any] = {}
        if _wants(self._described, "probs", "predicted"):
            arrays["probs"] = _all_columns(clf, _arrays.to_numpy(clf.predict_proba(dataset)))[used]
        else:
            arrays["classes"] = max(2, getattr(clf, "num_classes", None) or 0, int(answers.max(initial=0)) + 1)
        if _wants(self._described, "features"):
            if self.features is not None:
                made = self.features(clf, dataset)
            elif hasattr(clf, "embed"):
                made = clf.embed(dataset)
            else:
                made = _flat(dataset.x)
            stages = made if isinstance(made, (list, tuple)) else [made]
            arrays["stages"] = [np.asarray(_arrays.to_numpy(stage))[used] for stage in stages]
        chosen = select(
            self.strategy,
            **arrays,
            labels=np.concatenate([answers.astype(np.int64), np.full(len(unlabelled), -1)]),
            ids=used,
            n=n,
            seed=self.seed,
            **self.settings,
        )
        return chosen.ids.astype(np.int64)

    def __str__(self) -> str:
        return f"TextQuery({self.strategy!r})"
