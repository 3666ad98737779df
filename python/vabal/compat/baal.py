"""The shape of baal's heuristics."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _arrays
from .._select import Selection, checked, select
from .._settings import StrategyName
from . import _shared

try:
    _Base: Any = importlib.import_module("baal.active.heuristics").AbstractHeuristic
except ImportError:
    _Base = object


class Heuristic(_Base):  # type: ignore[misc]
    """A heuristic with the interface of baal's, for its ``ActiveLearningLoop``.

    Where that package is installed, this is one of its ``AbstractHeuristic``; elsewhere it has the same methods.

    Args:
        strategy: its name. What baal gives, predictions under dropout, is both the posterior of "bald" and its like
            and, as the mean, the probabilities of "entropy" and its like.
        context: called before every query; gives further keywords of :func:`vabal.select` for a strategy that needs
            more, such as ``{"features": …}``, with a row for each prediction, in the same order.
        num_samples: how many a strategy that puts a batch together shall choose; the others rank all.
        shuffle_prop: the share of rows, 0 to 1, that change places at random in the ranks; the scores stay.
        seed: of every draw.
        **settings: of the strategy.
    """

    reversed = True
    """The most uncertain has the largest score."""

    def __init__(
        self,
        strategy: StrategyName = "bald",
        *,
        context: Callable[[], Mapping[str, Any]] | None = None,
        num_samples: int = 100,
        shuffle_prop: float = 0.0,
        seed: int = 1,
        **settings: Any,
    ) -> None:
        self.strategy = strategy
        self.context = context
        self.num_samples = num_samples
        self.shuffle_prop = shuffle_prop
        self.seed = seed
        self.settings = settings
        self._described = checked(strategy, settings)
        if not 0 <= shuffle_prop <= 1:
            raise ValueError(f"shuffle_prop= is out of range\n  expected: 0 to 1\n  got: {shuffle_prop}")

    def compute_score(self, predictions: Any, target_predictions: Any = None) -> npt.NDArray[np.float64]:
        """The score of each prediction [n], larger = ask first.

        Args:
            predictions: [n, C] or [n, C, T], probabilities or logits (told by their range and sums, as baal does), or
                an iterable of such parts. One column is the probability of the second of two classes.
            target_predictions: not used.

        Of what a strategy did not choose, where it chooses a batch, the score is the smallest of the batch.
        """
        return self._scored(predictions)[1]

    def get_uncertainties(self, predictions: Any, target_predictions: Any = None) -> npt.NDArray[np.float64]:
        """As :meth:`compute_score`."""
        return self.compute_score(predictions, target_predictions)

    def get_uncertainties_generator(
        self, predictions: Iterable[Any], target_predictions: Any = None
    ) -> npt.NDArray[np.float64]:
        """As :meth:`compute_score`, of all parts together."""
        return self.compute_score(predictions, target_predictions)

    def get_ranks(
        self, predictions: Any, target_predictions: Any = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Rows from first to ask to last [n], and the score of each row [n]. Equal scores: lowest row first."""
        chosen, scores = self._scored(predictions)
        return self._shuffled(np.concatenate([chosen.rows, np.setdiff1d(np.arange(len(scores)), chosen.rows)])), scores

    def reorder_indices(
        self, scores: npt.NDArray[np.float64] | Sequence[npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.int64]:
        """Rows from the largest score to the smallest; equal ones as they come."""
        values = np.concatenate([np.atleast_1d(part) for part in scores]) if isinstance(scores, Sequence) else scores
        values = np.asarray(values)
        if values.ndim != 1:
            raise ValueError(f"scores= has another shape\n  expected: [n]\n  got: {list(values.shape)}")
        return self._shuffled(np.argsort(-values, kind="stable"))

    def _shuffled(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        rng = np.random.default_rng(self.seed)
        some = np.flatnonzero(rng.random(len(rows)) < self.shuffle_prop)
        rows[some] = rows[rng.permutation(some)]
        return rows

    def __call__(self, predictions: Any, target_predictions: Any = None) -> npt.NDArray[np.int64]:
        """The ranks of :meth:`get_ranks`."""
        return self.get_ranks(predictions)[0]

    def __repr__(self) -> str:
        return _shared.described_by("Heuristic", self.strategy, self.settings)

    def _scored(self, predictions: Any) -> tuple[Selection, npt.NDArray[np.float64]]:
        draws = _probabilities(predictions)
        arrays: dict[str, Any] = {}
        if _shared.wants(self._described, "probs", "predicted"):
            arrays["probs"] = draws.mean(axis=2)
        if several := _shared.reads(self._described):
            arrays[several] = draws.transpose(0, 2, 1)
        if not arrays:
            arrays["classes"], arrays["ids"] = draws.shape[1], np.arange(len(draws))
        arrays |= dict(self.context()) if self.context is not None else {}
        n = len(draws)
        if (labels := arrays.get("labels")) is not None:
            known = _arrays.labels(labels, "labels", _arrays.class_names(arrays.get("classes"))[1])
            n = sum(label is None or (not isinstance(label, str) and label < 0) for label in known)
        n = min(self.num_samples, n) if self._described.is_batch else n
        chosen = select(self.strategy, **arrays, n=n, seed=self.seed, **self.settings)
        scores = np.full(len(draws), chosen.scores.min() if len(chosen) else 0.0)
        scores[chosen.rows] = chosen.scores
        return chosen, scores


def _probabilities(predictions: Any) -> npt.NDArray[Any]:
    """Predictions as probabilities [n, C, T]."""
    if not hasattr(predictions, "shape") and isinstance(predictions, Iterable):
        parts = [_arrays.to_numpy(part) for part in predictions]
        if not parts:
            raise ValueError("there is no prediction\n  hint: an iterator is empty once it was gone through")
        predictions = np.concatenate(parts)
    draws = _arrays.to_numpy(predictions)
    if draws.ndim == 2:
        draws = draws[:, :, np.newaxis]
    if draws.ndim != 3 or not draws.shape[1]:
        raise ValueError(
            "predictions of another shape\n  expected: [n, C] or [n, C, T], one class an image"
            f"\n  got: {list(draws.shape)}"
        )
    several = draws.shape[1] > 1
    outside = len(draws) > 0 and bool(draws.min() < 0 or draws.max() > 1)
    if outside or (several and not np.allclose(draws.sum(axis=1), 1)):
        if not several:
            draws = np.concatenate([np.zeros_like(draws), draws], axis=1)  # the logit of the second class
        powers = np.exp(draws - draws.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return draws if several else np.concatenate([1 - draws, draws], axis=1)
