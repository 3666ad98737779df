"""VaB-AL as published in two steps, for whoever wants its model: fitted once, then scored, kept, loaded."""

from __future__ import annotations

import json
import keyword
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _arrays, _pool, _vabal
from ._arrays import ArrayLike
from ._progress import Callback, telling
from ._select import LARGEST, Health, Selection, answer, as_json, tell


class VaBAL:
    """The VAE of VaB-AL as published: how hard and how rare each class is, and how typical each image is of it.

    ``select("vabal-paper", …)`` fits and scores in one call; this is for keeping the model. The same arrays and seed
    give the same ids either way. Can be pickled, also after fitting; scikit-learn's ``clone`` takes it.

    Args:
        **settings: as of the strategy, such as ``draws=50`` or ``preset="cross"``; all of them: :attr:`settings`.

    >>> import numpy as np, vabal
    >>> rng = np.random.default_rng(0)
    >>> predicted = np.arange(60) % 3
    >>> features = np.eye(8)[predicted] + 0.1 * rng.normal(size=(60, 8))
    >>> labels = np.where(np.arange(60) < 20, predicted, -1)
    >>> model = vabal.VaBAL(preset="cross", lambda_=0.5, minimum_steps=400, draws=10)
    >>> model.fit(features, predicted=predicted, labels=labels)
    VaBAL(draws=10, lambda_=0.5, minimum_steps=400, preset='cross') fitted to features of widths [8], 3 classes
    >>> scores = model.score(features, predicted=predicted, labels=labels)
    >>> scores.shape, bool(np.isnan(scores[:20]).all()), model.health.warning
    ((60,), True, None)
    """

    def __init__(self, **settings: Any) -> None:
        self._given = dict(settings)
        self._settings: dict[str, Any] = json.loads(_vabal.vabal_settings(as_json(settings)))
        self._model: _vabal.Model | None = None
        self._health: Health | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting with its value."""
        return dict(self._settings)

    @property
    def health(self) -> Health | None:
        """The state of the model as of the last :meth:`score` or :meth:`select`; None before."""
        return self._health

    @property
    def fitted(self) -> bool:
        """Whether there is a model."""
        return self._model is not None

    def fit(
        self,
        features: ArrayLike | None = None,
        probs: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        *,
        stages: Sequence[ArrayLike] | None = None,
        predicted: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        classes: int | Sequence[Any] | None = None,
        seed: int = 1,
        progress: bool | Callback | None = None,
    ) -> VaBAL:
        """Fits the model to the rows without a label. Arrays and errors as of :func:`vabal.select`."""
        arrays = _pool.gather(
            features=features, probs=probs, labels=labels, stages=stages, predicted=predicted, ids=ids, classes=classes
        )
        seed = _arrays.whole(seed, "seed", 2**64 - 1)
        with telling(progress) as told:
            self._model, warnings = _vabal.Model.fit(as_json(self._settings), arrays.pool, seed, told)
        self._health = None
        tell(warnings)
        return self

    def score(
        self,
        features: ArrayLike | None = None,
        probs: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        *,
        stages: Sequence[ArrayLike] | None = None,
        predicted: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        seed: int = 1,
        progress: bool | Callback | None = None,
    ) -> npt.NDArray[np.float64]:
        """The score of every row [n], larger = ask first; NaN in rows that have a label."""
        arrays = self._gather(features, probs, labels, stages, predicted, ids)
        chosen = self._choose(arrays, arrays.pool.candidates, seed, progress)
        scores = np.full(arrays.rows, np.nan)
        scores[chosen.rows] = chosen.scores
        return scores

    def select(
        self,
        features: ArrayLike | None = None,
        probs: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        *,
        n: int,
        stages: Sequence[ArrayLike] | None = None,
        predicted: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        seed: int = 1,
        progress: bool | Callback | None = None,
    ) -> Selection:
        """Chooses ``n`` of the rows without a label, as :func:`vabal.select` does."""
        arrays = self._gather(features, probs, labels, stages, predicted, ids)
        return self._choose(arrays, _arrays.whole(n, "n", LARGEST), seed, progress)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model and its settings as a safetensors file."""
        self._fitted().save(os.fspath(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> VaBAL:
        """Reads what :meth:`save` wrote, or the command `vabal run` beside its records."""
        return cls._of(_vabal.Model.load(os.fspath(path)))

    def to_bytes(self) -> bytes:
        """The bytes of the file that :meth:`save` writes."""
        return self._fitted().to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> VaBAL:
        """Reads what :meth:`to_bytes` gave."""
        return cls._of(_vabal.Model.from_bytes(data))

    @classmethod
    def _of(cls, model: _vabal.Model) -> VaBAL:
        made = cls(**json.loads(model.settings))
        made._model = model
        return made

    def _fitted(self) -> _vabal.Model:
        if self._model is None:
            raise RuntimeError("not fitted yet\n  hint: call fit first, with the same kind of features")
        return self._model

    def _gather(
        self,
        features: ArrayLike | None,
        probs: ArrayLike | None,
        labels: ArrayLike | None,
        stages: Sequence[ArrayLike] | None,
        predicted: ArrayLike | None,
        ids: ArrayLike | None,
    ) -> _pool.Arrays:
        classes = self._fitted().classes
        return _pool.gather(
            features=features, probs=probs, labels=labels, stages=stages, predicted=predicted, ids=ids, classes=classes
        )

    def _choose(self, arrays: _pool.Arrays, n: int, seed: int, progress: bool | Callback | None) -> Selection:
        model, seed = self._fitted(), _arrays.whole(seed, "seed", 2**64 - 1)
        with telling(progress) as told:
            raw = model.select(arrays.pool, n, seed, told)
        chosen = answer("vabal-paper", raw, arrays)
        self._health = chosen.health
        return chosen

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings as given, so that scikit-learn's ``clone`` can copy it without its model."""
        return dict(self._given)

    def set_params(self, **settings: Any) -> VaBAL:
        """Changes settings; the model, if there is one, stays as fitted until the next :meth:`fit`."""
        given = self._given | settings
        try:
            self._settings = json.loads(_vabal.vabal_settings(as_json(given)))
        except TypeError as error:  # of a parameter that is not there, scikit-learn's estimators say ValueError
            raise ValueError(str(error)) from None
        self._given = given
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return self.fitted

    def __getstate__(self) -> dict[str, Any]:
        return {
            "given": self._given,
            "health": self._health,
            "model": None if self._model is None else self._model.to_bytes(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["given"])  # type: ignore[misc]
        self._health = state["health"]
        if state["model"] is not None:
            self._model = _vabal.Model.from_bytes(state["model"])

    def __repr__(self) -> str:
        # From the preset that differs in the fewest, which a model that was read back does not tell.
        def changed(preset: str) -> dict[str, Any]:
            default = json.loads(_vabal.vabal_settings(as_json({"preset": preset})))
            values = {name: value for name, value in self._settings.items() if value != default[name]}
            return values if preset == "paper" else values | {"preset": preset}

        shown = min(map(changed, ("paper", "official", "cross")), key=len)
        keywords = [f"{name}{'_' * keyword.iskeyword(name)}={value!r}" for name, value in sorted(shown.items())]
        text = f"VaBAL({', '.join(keywords)})"
        if self._model is None:
            return f"{text}, not fitted"
        return f"{text} fitted to features of widths {self._model.widths}, {self._model.classes} classes"
