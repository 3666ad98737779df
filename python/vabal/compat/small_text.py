"""The shape of small-text's query strategies."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _arrays
from .._select import LARGEST, checked, select
from .._settings import StrategyName
from . import _shared
from ._shared import Draw, Features

DRAWS = 10
"""Passes under dropout where a classifier of small-text's makes them, as many as its own strategies ask for."""


class TextQuery:
    """A query strategy with the interface of small-text's, for its ``PoolBasedActiveLearner``.

    Args:
        strategy: its name.
        features: ``features(clf, dataset) → [n, d]``, or a list of arrays, one a stage. Without it the classifier's
            ``embed(dataset)`` where it has one, else the dataset's own ``x``.
        draw: ``draw(clf, dataset) → [T, n, C]``, the predictions of several classifiers. Without it passes under
            dropout where ``predict_proba`` makes them, the members of a wrapped ensemble, or bootstrapped copies.
        seed: of every draw.
        **settings: of the strategy.
    """

    def __init__(
        self,
        strategy: StrategyName = "vabal",
        *,
        features: Features | None = None,
        draw: Draw | None = None,
        seed: int = 1,
        **settings: Any,
    ) -> None:
        self.strategy = strategy
        self.features = features
        self.draw = draw
        self.seed = seed
        self.settings = settings
        self.scores_: npt.NDArray[np.float64] | None = None
        """The scores of the last query [N], larger = ask first; NaN for what was not scored. None before."""
        self._described = checked(strategy, settings)

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
            n: how many; more than there are is a ``PoolExhaustedException``, an empty pool an ``EmptyPoolException``.
        """
        if hasattr(y, "toarray"):
            raise ValueError("labels of several classes a text\n  expected: [l], one class each")
        unlabelled, labelled = (np.asarray(rows, dtype=np.int64) for rows in (indices_unlabeled, indices_labeled))
        if not len(unlabelled):
            text = "the pool is empty\n  where: indices_unlabeled\n  expected: at least one text"
            raise _complaint("EmptyPoolException")(text)
        if _arrays.whole(n, "n", LARGEST) > len(unlabelled):
            text = (
                f"the pool is exhausted\n  where: indices_unlabeled\n  expected: at least {n}\n  got: {len(unlabelled)}"
            )
            raise _complaint("PoolExhaustedException")(text)
        answers = np.asarray([] if y is None else y)
        if len(answers) != len(labelled):
            raise ValueError(
                f"y= has another length\n  expected: {len(labelled)}, as indices_labeled has\n  got: {len(answers)}"
            )
        known = answers >= 0
        labelled, answers = labelled[known], answers[known].astype(np.int64)
        used = np.concatenate([labelled, unlabelled])
        arrays: dict[str, Any] = {}
        if several := _shared.reads(self._described):
            arrays[several] = self._draws(clf, dataset, labelled, answers)[used]
        elif _shared.wants(self._described, "probs", "predicted"):
            arrays["probs"] = _all_columns(clf, _arrays.to_numpy(clf.predict_proba(dataset)))[used]
        else:
            arrays["classes"] = max(2, getattr(clf, "num_classes", None) or 0, int(answers.max(initial=0)) + 1)
        if _shared.wants(self._described, "features"):
            made = self._features(clf, dataset)
            stages = made if isinstance(made, (list, tuple)) else [made]
            arrays["stages"] = [np.asarray(_arrays.to_numpy(stage))[used] for stage in stages]
        chosen = select(
            self.strategy,
            **arrays,
            labels=np.concatenate([answers, np.full(len(unlabelled), -1)]),
            ids=used,
            n=n if self._described.is_batch else len(unlabelled),
            seed=self.seed,
            **self.settings,
        )
        size = len(dataset) if hasattr(dataset, "__len__") and not hasattr(dataset, "tocsr") else 0
        self.scores_ = np.full(max(size, int(used.max()) + 1), np.nan)
        self.scores_[chosen.ids] = chosen.scores
        return chosen.ids[:n].astype(np.int64)

    def _features(self, clf: Any, dataset: Any) -> Any:
        if self.features is not None:
            return self.features(clf, dataset)
        return clf.embed(dataset) if hasattr(clf, "embed") else _shared.flat(getattr(dataset, "x", dataset))

    def _draws(
        self, clf: Any, dataset: Any, labelled: npt.NDArray[np.int64], answers: npt.NDArray[np.int64]
    ) -> npt.NDArray[Any]:
        """The predictions of several classifiers [N, T, C]."""
        if self.draw is None and "dropout_sampling" in inspect.signature(clf.predict_proba).parameters:
            return _arrays.to_numpy(clf.predict_proba(dataset, dropout_sampling=DRAWS))
        if self.draw is not None:
            return _shared.voices(clf, dataset, draw=self.draw, bootstrap=None, known=None, seed=self.seed)[0]
        model: Any = getattr(clf, "model", None)
        samples = getattr(dataset, "x", dataset)

        def bootstrap(rows: npt.NDArray[Any]) -> Any:
            at = dict(zip(labelled.tolist(), answers.tolist(), strict=True))
            return copy.deepcopy(model).fit(_shared.take(samples, rows), np.array([at[row] for row in rows.tolist()]))

        found, names = _shared.voices(
            model,
            samples,
            draw=None,
            bootstrap=None if model is None else bootstrap,
            known=(labelled, answers.tolist()),
            seed=self.seed,
        )
        return _widened(found, names, getattr(clf, "num_classes", None))

    def __str__(self) -> str:
        return _shared.described_by("TextQuery", self.strategy, self.settings)

    __repr__ = __str__


def _all_columns(clf: Any, probs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column a class, where scikit-learn has left out those that it was not shown."""
    return _widened(probs, _shared.names_of(getattr(clf, "model", None)), getattr(clf, "num_classes", None))


def _widened(probs: npt.NDArray[Any], names: list[Any] | None, count: Any) -> npt.NDArray[Any]:
    """Probabilities [..., C] of the classes of ``names`` with ``count`` columns."""
    if not isinstance(count, (int, np.integer)) or names is None or len(names) != probs.shape[-1] >= count:
        return probs
    if len(names) == count:
        return probs
    whole = np.zeros((*probs.shape[:-1], int(count)), dtype=probs.dtype)
    whole[..., np.asarray(names, dtype=np.int64)] = probs
    return whole


@functools.cache
def _complaint(name: str) -> type[Exception]:
    """An exception of small-text's that is a ``ValueError`` too; that alone where the package is not loaded."""
    theirs = getattr(sys.modules.get("small_text.query_strategies.exceptions"), name, None)
    return ValueError if theirs is None else type(name, (theirs, ValueError), {})
