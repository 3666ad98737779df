"""The shape of modAL's query strategies."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _arrays
from .._select import Strategy, VabalWarning, checked, select
from .._settings import StrategyName
from . import _shared
from ._shared import Draw, Features


class ModalQuery:
    """A query strategy for modAL's ``ActiveLearner`` and ``Committee``; can be pickled. See :func:`modal_query`."""

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
        checked(strategy, settings)

    def __call__(
        self, classifier: Any, X_pool: Any, n_instances: int = 1, random_tie_break: bool = False, **options: Any
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Chooses ``n_instances`` of the pool.

        Args:
            classifier: an ``ActiveLearner`` or a ``Committee``.
            X_pool: the samples that may be chosen.
            n_instances: how many.
            random_tie_break: whether the seed orders equal scores; else the first of the pool comes first.
            **options: of the classifier's ``predict_proba``.

        Returns:
            Indices [n_instances] into the pool, best first, and a score each.
        """
        described = checked(self.strategy, self.settings)
        n = _shared.size_of(X_pool)
        taught, answers = _taught(classifier)
        fitted = _is_fitted(classifier, X_pool)
        if taught is None and fitted and described.needs_of_labelled:
            text = f"the learner keeps no X_training: to {self.strategy}, nothing is labelled"
            warnings.warn(text, VabalWarning, stacklevel=2)

        arrays: dict[str, Any] = {}
        names = None
        key = _shared.reads(described) or ("probs" if _shared.wants(described, "probs", "predicted") else None)
        if key is not None and fitted:
            every = X_pool if taught is None else _shared.stacked([taught, X_pool])
            predicted, names = self._predict(described, classifier, every, (taught, answers), options)
            # After teach(only_new=True) or a bootstrap, the classifier may not have seen all that it was taught.
            arrays[key], names = _shared.completed(predicted, names, answers)
        elif key is not None and not (self.strategy == "vabal" and not answers):
            # Nothing is known: all classes alike, as modAL's own strategies take it.
            several = (len(answers) + n, 1, 2) if _shared.reads(described) else (len(answers) + n, 2)
            arrays[key] = np.full(several, 0.5)
        if _shared.wants(described, "features"):
            arrays |= _shared.arguments(_shared.both(taught, X_pool, lambda x: self._features(classifier, x)))
        arrays |= _shared.labelled(answers, n, names, arrays)
        order = np.arange(len(answers) + n)
        if random_tie_break or (key is not None and not fitted):
            order = _shared.shuffled(len(order), self.seed)
        chosen = select(self.strategy, **arrays, ids=order, n=n_instances, seed=self.seed, **self.settings)
        return chosen.rows - len(answers), chosen.scores

    def _features(self, classifier: Any, samples: Any) -> Any:
        if self.features is not None:
            return self.features(classifier, samples)
        if getattr(classifier, "on_transformed", False):
            samples = classifier.transform_without_estimating(samples)
        return _shared.flat(samples)

    def _predict(
        self,
        described: Strategy,
        classifier: Any,
        samples: Any,
        labelled: tuple[Any, list[Any]],
        options: dict[str, Any],
    ) -> tuple[npt.NDArray[Any], list[Any] | None]:
        """The probabilities that the strategy needs, and the names of their columns."""
        if not _shared.reads(described):
            return _arrays.to_numpy(classifier.predict_proba(samples, **options)), _shared.names_of(classifier)
        if self.draw is None and hasattr(classifier, "vote_proba"):
            return _arrays.to_numpy(classifier.vote_proba(samples, **options)), _shared.names_of(classifier)
        taught, answers = labelled

        def bootstrap(rows: npt.NDArray[Any]) -> Any:
            made = copy.deepcopy(classifier.estimator)
            return made.fit(_shared.take(taught, rows), np.asarray([answers[row] for row in rows]))

        return _shared.voices(
            classifier,
            samples,
            draw=self.draw,
            bootstrap=None if taught is None else bootstrap,
            known=(np.arange(len(answers)), answers),
            seed=self.seed,
        )

    def __repr__(self) -> str:
        return _shared.described_by("modal_query", self.strategy, self.settings)


def modal_query(
    strategy: StrategyName = "vabal",
    *,
    features: Features | None = None,
    draw: Draw | None = None,
    seed: int = 1,
    **settings: Any,
) -> ModalQuery:
    """A query strategy for modAL's ``ActiveLearner(query_strategy=…)`` and ``Committee(query_strategy=…)``.

    Args:
        strategy: its name.
        features: ``features(classifier, X) → [n, d]``, or a list of arrays, one a stage; called once for the labelled
            samples and once for the pool. Without it the samples are the features, as the learner's pipeline
            transforms them where it is ``on_transformed``.
        draw: ``draw(classifier, X) → [T, n, C]``, or the name of the learner's method that gives this. Without it the
            members of a committee or of an ensemble predict, else copies fitted to bootstraps.
        seed: of every draw.
        **settings: of the strategy.

    Returns:
        ``query(classifier, X_pool, n_instances=1, random_tie_break=False) → (indices, scores)``. Labels are those that
        the learner was taught, ``X_training`` and ``y_training``; of a committee, those of all its learners.
    """
    return ModalQuery(strategy, features=features, draw=draw, seed=seed, **settings)


def _taught(classifier: Any) -> tuple[Any, list[Any]]:
    """What the learner was taught, each sample once, or None and nothing."""
    found: list[tuple[Any, list[Any]]] = []
    for learner in getattr(classifier, "learner_list", [classifier]):
        samples, answers = getattr(learner, "X_training", None), getattr(learner, "y_training", None)
        if samples is None or answers is None or not len(answers):
            continue
        if not any(samples is other for other, _ in found):
            found.append((samples, _arrays.to_numpy(answers).tolist()))
    if not found:
        return None, []
    if len(found) == 1:
        return found[0]
    seen: dict[tuple[bytes, Any], tuple[int, int]] = {}
    for place, (samples, answers) in enumerate(found):
        for row, (values, answer) in enumerate(zip(_shared.flat(samples), answers, strict=True)):
            seen.setdefault((values.tobytes(), answer), (place, row))
    parts = [(samples, [row for at, row in seen.values() if at == place]) for place, (samples, _) in enumerate(found)]
    answers = [found[place][1][row] for place, rows in enumerate(rows for _, rows in parts) for row in rows]
    return _shared.stacked([_shared.take(samples, np.asarray(rows)) for samples, rows in parts if rows]), answers


def _is_fitted(classifier: Any, X_pool: Any) -> bool:
    try:
        classifier.predict_proba(_shared.take(X_pool, np.arange(1)))
    except Exception as error:
        if _shared.unfitted(error):
            return False
        raise
    return True
