"""``vabal.select``: arrays in, the rows to label next out."""

from __future__ import annotations

import functools
import importlib
import json
import keyword
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

import numpy as np
import numpy.typing as npt

from . import _arrays, _pool, _settings, _vabal
from ._arrays import ArrayLike
from ._progress import Callback, telling
from ._settings import StrategyName

if TYPE_CHECKING:
    from ._model import VaBAL

LARGEST = 2**63 - 1


class VabalWarning(UserWarning):
    """What the library has to say that is no error: a VAE that has not learnt, fewer candidates than asked for."""


def _equal(self: Any, other: object) -> bool:
    """Whether all fields are the same, arrays among them; NaN is NaN."""
    names = [one.name for one in fields(self)]
    return type(other) is type(self) and all(_same(getattr(self, name), getattr(other, name)) for name in names)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f"))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[name], b[name]) for name in a)
    return bool(a == b) or (a != a and b != b)


@dataclass(frozen=True, eq=False)
class Health:
    """The state of the VAE behind a selection: whether its terms can be trusted, and what they are."""

    reconstruction: float
    """Mean squared error of the reconstruction in the last epoch, per input."""
    kl: float
    """KL term in the last epoch, per latent."""
    class_loss: float
    """Class loss (Eq. 8) in the last epoch, in nats; ln C is no better than guessing."""
    agreement_unlabelled: float
    """Share of draws on the unlabelled rows whose ŷ (Eq. 7) is the classifier's prediction."""
    agreement_labelled: float
    """Share of draws on the labelled rows whose ŷ is the label; NaN where nothing is labelled."""
    warning: str | None
    """Why the VAE must not be trusted, or None when it has learnt."""
    difficulty: npt.NDArray[np.float64] = field(repr=False)
    """d_n of Eq. 11 by class [C]: the share of right answers where the VAE says n; small is hard."""
    prior: npt.NDArray[np.float64] = field(repr=False)
    """π_n of Eq. 12 by class [C]: how often n is predicted; small is rare."""

    __eq__ = _equal

    @classmethod
    def _of(cls, text: str) -> Health:
        values = json.loads(text)
        for name in ("difficulty", "prior"):
            values[name] = np.array(values[name], dtype=np.float64)
        for name in ("reconstruction", "kl", "class_loss", "agreement_unlabelled", "agreement_labelled"):
            values[name] = float("nan") if values[name] is None else values[name]
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, eq=False)
class Selection:
    """What to label next, best first, and why. Iterates over its ids; equal to one with the same values."""

    strategy: str
    """The name it was asked by."""
    ids: npt.NDArray[Any]
    """The chosen ids [n], as given in ``ids=``; else row numbers."""
    rows: npt.NDArray[np.int64]
    """Their row numbers [n] in the arrays of the call."""
    scores: npt.NDArray[np.float64]
    """A score each [n], finite, descending; random gives 0 to all."""
    terms: dict[str, npt.NDArray[np.float64]]
    """What the scores are made of, [n] each: "predicted", "confidence", "likelihood", …"""
    health: Health | None = None
    """The state of the VAE, where the strategy fits one."""
    model_bytes: bytes | None = field(default=None, repr=False)
    """The fitted VAE as a safetensors file, where there is one; see :attr:`model`."""

    __eq__ = _equal

    @property
    def model(self) -> VaBAL | None:
        """The VAE that the strategy fitted in order to choose, where it fits one."""
        if self.model_bytes is None:
            return None
        from ._model import VaBAL

        return VaBAL.from_bytes(self.model_bytes)

    def to_frame(self) -> Any:
        """A table of pandas: "id", "row", "score", then a column for each term."""
        pandas = importlib.import_module("pandas")
        return pandas.DataFrame({"id": self.ids, "row": self.rows, "score": self.scores, **self.terms})

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.ids)


def answer(strategy: str, raw: _vabal.Answer, arrays: _pool.Arrays) -> Selection:
    """A selection of what Rust answers. Warns of what it was told."""
    tell(raw.warnings)
    rows = np.frombuffer(raw.rows, np.uint64).astype(np.int64)
    return Selection(
        strategy=strategy,
        ids=arrays.ids[rows],
        rows=rows,
        scores=np.frombuffer(raw.scores, np.float64).copy(),
        terms={name: np.frombuffer(values, np.float64).copy() for name, values in raw.terms},
        health=None if raw.health is None else Health._of(raw.health),
        model_bytes=raw.model,
    )


def tell(sentences: Sequence[str]) -> None:
    """Warns, in the name of the first frame that is not this package's."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    for sentence in sentences:
        warnings.warn(sentence, VabalWarning, stacklevel=level)


def as_json(settings: Mapping[str, Any]) -> str:
    """Keywords as JSON, numpy's numbers among them; ``lambda_`` is ``lambda``, which Python keeps for itself."""

    def plain(value: Any) -> Any:
        if isinstance(value, (np.generic, np.ndarray)):
            return value.tolist()
        raise TypeError(f"a setting of a type that is not understood: {value!r}")

    names = {name: name[:-1] if keyword.iskeyword(name[:-1]) else name for name in settings}
    return json.dumps({names[name]: value for name, value in settings.items()}, default=plain)


@overload
def select(
    strategy: _settings.Plain,
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.Call],
) -> Selection: ...
@overload
def select(
    strategy: _settings.Ensemble,
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.OfEnsemble],
) -> Selection: ...
@overload
def select(
    strategy: Literal["power-bald"],
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.PowerBald],
) -> Selection: ...
@overload
def select(
    strategy: Literal["batch-bald"],
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.BatchBald],
) -> Selection: ...
@overload
def select(
    strategy: Literal["typiclust"],
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.TypiClust],
) -> Selection: ...
@overload
def select(
    strategy: Literal["probcover"],
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.ProbCover],
) -> Selection: ...
@overload
def select(
    strategy: Literal["similar"],
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.Similar],
) -> Selection: ...
@overload
def select(
    strategy: Literal["learning-loss"],
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.LearningLoss],
) -> Selection: ...
@overload
def select(
    strategy: Literal["balanced-entropy"],
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.BalancedEntropy],
) -> Selection: ...
@overload
def select(
    strategy: Literal["vabal"],
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.Vabal],
) -> Selection: ...
@overload
def select(
    strategy: _settings.Paper,
    features: ArrayLike = ...,
    probs: ArrayLike = ...,
    labels: ArrayLike = ...,
    **rest: Unpack[_settings.VabalPaper],
) -> Selection: ...
def select(
    strategy: StrategyName,
    features: ArrayLike | None = None,
    probs: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    n: int,
    seed: int = 1,
    stages: Sequence[ArrayLike] | None = None,
    predicted: ArrayLike | None = None,
    mc_probs: ArrayLike | None = None,
    committee_probs: ArrayLike | None = None,
    ids: ArrayLike | None = None,
    classes: int | Sequence[Any] | None = None,
    progress: bool | Callback | None = None,
    **settings: Any,
) -> Selection:
    """Chooses the ``n`` images to label next.

    Every array has a row for **every** image of the pool, labelled or not; the candidates are the rows without a
    label. Give what the strategy needs (:func:`strategies`): the rest is not looked at.

    Args:
        strategy: "vabal", "entropy", "random", …
        features: what a network makes of the images, [n, d].
        probs: class probabilities (after the softmax), [n, C].
        labels: the known labels, [n]: a class from 0 on, and −1, NaN or None where there is none. Without it
            nothing is labelled yet. Without ``probs`` and ``predicted`` too, "vabal" lets "typiclust" begin.
        n: how many to choose. Where fewer candidates are left, all of them, with a warning.
        seed: of every random draw. The same arrays and seed give the same ids, whatever the number of threads.
        stages: the features of several stages of the network, shallow to deep, each [n, d_l], instead of ``features``.
        predicted: the predicted class, [n], where there are no ``probs``.
        mc_probs: class probabilities of T passes under dropout, [n, T, C].
        committee_probs: class probabilities of M classifiers, [n, M, C].
        ids: what the rows are called, whole numbers or texts that do not repeat; without it, row numbers. Draws and
            ties go by the ids, texts by their SHA-256, so that the order of the rows changes nothing.
        classes: how many classes there are, or their names in the order of the columns; ``labels`` and ``predicted``
            hold names then. Without it: what the columns of a table ``probs`` are called, where labels are texts;
            else as many as columns, else 1 + the largest label.
        progress: True for bars of tqdm, if it is installed; or a callable that is given a :class:`Progress`. The arrays
            above are read meanwhile, from their own memory: neither it nor another thread may write into them.
        **settings: of the strategy, such as ``ridge=1.0`` of "vabal" or ``preset="cross"`` of "vabal-paper";
            ``lambda_=`` is λ.

    Returns:
        A :class:`Selection`: ``ids``, ``scores``, ``terms``, and of a strategy with a VAE its ``health``.

    Raises:
        TypeError: an array that the strategy needs is missing, a setting that it does not have, an array of the
            wrong type.
        ValueError: a shape or a value that is wrong, by its place; an unknown strategy.
        FloatingPointError: the VAE diverged.
        KeyboardInterrupt: Ctrl-C, which is heard while Rust works.

    Memory and threads: arrays that are C-contiguous and float32 are read where they lie if the rows
    without a label are one block, say the last of the pool; otherwise the rows that are needed are gathered once, on
    all cores. Torch tensors on a GPU are copied off it. The GIL is released meanwhile: do not write to the arrays from
    another thread.

    >>> import numpy as np, vabal
    >>> probs = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.6, 0.4]], dtype=np.float32)
    >>> chosen = vabal.select("entropy", probs=probs, labels=[0, -1, -1, -1], n=2)
    >>> chosen.ids
    array([1, 3])
    >>> chosen.scores.round(3)
    array([0.693, 0.673])
    >>> list(chosen.terms)
    ['predicted', 'confidence']
    """
    arrays = _pool.gather(
        features=features,
        probs=probs,
        labels=labels,
        stages=stages,
        predicted=predicted,
        mc_probs=mc_probs,
        committee_probs=committee_probs,
        ids=ids,
        classes=classes,
    )
    wanted, seed = _arrays.whole(n, "n", LARGEST), _arrays.whole(seed, "seed", 2**64 - 1)
    tell([_UNUSED[name] for name in _unused(strategy) if name in settings])
    with telling(progress) as told:
        raw = _vabal.select(strategy, as_json(settings), arrays.pool, wanted, seed, told)
    return answer(strategy, raw, arrays)


_UNUSED = {
    "draws": "draws= is not used: mc_probs= holds the draws, [n, T, C]",
    "dropout": "dropout= is not used: mc_probs= holds what was drawn under dropout",
    "members": "members= is not used: committee_probs= holds the members, [n, M, C]",
}
"""Settings of the command alone, which trains the classifier itself, and what to say of them."""


@functools.cache
def _raw() -> dict[str, tuple[list[str], list[str], bool, dict[str, Any]]]:
    """Every strategy as the library describes it."""
    return {name: (needs, more, batch, json.loads(text)) for name, needs, more, batch, text in _vabal.strategies()}


def _unused(strategy: str) -> list[str]:
    """The settings of a strategy that no call from Python can use."""
    needs, _, _, settings = _raw().get(strategy, ([], [], False, {}))
    several = "mc_probs" in needs or "committee_probs" in needs
    return [name for name in _UNUSED if name in settings] if several else []


@dataclass(frozen=True)
class Strategy:
    """A strategy by its name, and what it wants."""

    name: StrategyName
    needs: tuple[str, ...]
    """The keywords of :func:`select` that it needs. "features" may be ``stages=``, "predicted" also ``probs=``."""
    needs_of_labelled: tuple[str, ...]
    """Those that it reads of the labelled rows too."""
    is_batch: bool
    """Whether a rank depends on what else is in the batch, so that a longer batch is no ranking of the pool."""
    settings: dict[str, Any]
    """The settings that it takes as keywords, with their defaults."""


def strategies() -> list[Strategy]:
    """Every strategy with what it needs.

    >>> {s.name: s.needs for s in strategies()}["vabal"]
    ('features', 'probs')
    """
    return [_strategy(name) for name in _raw()]


def _strategy(name: str) -> Strategy:
    needs, of_labelled, is_batch, given = _raw()[name]
    settings = {key: value for key, value in given.items() if key not in _unused(name)}
    return Strategy(name, tuple(needs), tuple(of_labelled), is_batch, settings)  # type: ignore[arg-type]


def checked(strategy: str, settings: Mapping[str, Any]) -> Strategy:
    """The strategy of a name. Complains as :func:`select` does of a name or a setting that is wrong."""
    _vabal.check(strategy, as_json(settings))
    return _strategy(strategy)
