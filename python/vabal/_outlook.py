"""``vabal.outlook``: whether more labels still help."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from . import _arrays, _vabal
from ._arrays import ArrayLike
from ._select import LARGEST

Reason: TypeAlias = Literal["early", "unmeasured", "go on", "stable", "flat"]
"""Why stopping is reasonable, or not."""

_TEXTS: dict[Reason, str] = {
    "early": "too early to say: it takes four trainings, each on ten labels more than the one before",
    "unmeasured": "cannot be said: a class has fewer than five rows that are held out",
    "go on": "more labels still help",
    "stable": "the last three models predict the same of nearly every row",
    "flat": "the last three trainings are the same within what the held-out rows can tell, and more labels are "
    "expected to bring less than a point",
}
assert set(_TEXTS) == set(get_args(Reason))


class Training(NamedTuple):
    """One training of a loop, for :func:`outlook`."""

    labels: int | ArrayLike
    """How many labels it was trained on, or these labels, −1, NaN or None where there is none."""
    truth: ArrayLike
    """The classes of rows that are held out, [m]: drawn at random, and never trained on."""
    predicted: ArrayLike
    """What the model takes them for, [m]."""
    pool: ArrayLike | None = None
    """What it takes other rows for, [n], the same rows in every training: how far models agree is told by them."""


class Estimate(NamedTuple):
    """A share with its 95 % interval."""

    value: float
    """NaN where it cannot be told."""
    low: float
    high: float


@dataclass(frozen=True)
class Outlook:
    """Whether more labels still help."""

    stop: bool
    """Whether stopping is reasonable."""
    reason: Reason
    """"stable" and "flat": stop. "early", "unmeasured": it cannot be said. "go on": more labels help."""
    gain: float | None
    """What ``more`` labels are expected to add to the balanced accuracy; None of fewer than three steps."""
    accuracy: Estimate | None
    """The balanced accuracy of the last training; without a value where a class is not held out."""
    recall: dict[Any, Estimate | None]
    """The recall of each class; None of a class that is not held out."""
    agreement: tuple[float | None, ...]
    """Cohen's kappa of each training with the one before, where both have ``pool``."""

    def __str__(self) -> str:
        return _TEXTS[self.reason]


def outlook(
    history: Iterable[Training | Mapping[str, Any] | Sequence[Any]],
    *,
    classes: int | Sequence[Any] | None = None,
    more: int = 100,
) -> Outlook:
    """Whether more labels still help, as the labelling page says it.

    Stopping is reasonable when the last three models predict the same of the pool (mean kappa of 0.99: Bloodgood &
    Vijay-Shanker 2009); or when the last three have not moved beyond the interval of the held-out rows, and ``more``
    labels are expected to bring less than a point. It takes four steps of ten labels each, and five held-out rows of
    every class. A training on less than ten labels more than the one before takes the place of that one.

    Args:
        history: the trainings in order: :class:`Training`, or a mapping or tuple with its fields.
        classes: how many there are, or their names; without it, those that stand in ``labels`` and ``truth``.
        more: labels to look ahead.

    >>> import vabal
    >>> truth = [0, 1] * 50
    >>> rounds = [vabal.Training(n, truth, truth, pool=truth * 9) for n in (20, 40, 60, 80)]
    >>> found = vabal.outlook(rounds)
    >>> found.stop, found.reason, str(found)
    (True, 'stable', 'the last three models predict the same of nearly every row')
    >>> found.recall[1]
    Estimate(value=1.0, low=0.928..., high=1.0)
    """
    trainings = [_training(item) for item in history]
    more = _arrays.whole(more, "more", LARGEST)
    items = [[_items(one, name) for name in ("labels", "truth", "predicted", "pool")] for one in trainings]
    if classes is None:
        seen = {name for labels, truth, *_ in items for name in (*(labels or []), *(truth or []))}
        names = sorted(name for name in seen if not _none(name))
        if all(isinstance(name, int) for name in names):
            names = list(range(max(names, default=-1) + 1))
    else:
        names = list(range(classes)) if isinstance(classes, (int, np.integer)) else list(classes)
    places = {name: place for place, name in enumerate(names)}
    codes: dict[Any, int] = {}
    raw: list[tuple[int, float | None, list[tuple[int, int, bool]]]] = []
    before: npt.NDArray[np.int64] | None = None
    for number, (training, (labels, truth, predicted, pool)) in enumerate(zip(trainings, items, strict=True)):
        where = f"history=, training {number}"
        if truth is None or predicted is None or len(truth) != len(predicted):
            raise ValueError(
                f"truth and predicted have other lengths\n  where: {where}\n  expected: one prediction a row"
                f"\n  got: {len(truth or [])} and {len(predicted or [])}"
            )
        for name in truth:
            if name not in places:
                raise ValueError(f"a class that is not known\n  where: {where}, truth\n  got: {name!r}")
        right, held = np.zeros(len(names), int), np.zeros(len(names), int)
        for name, said in zip(truth, predicted, strict=True):
            held[places[name]] += 1
            right[places[name]] += said == name
        known = None if labels is None else [name for name in labels if not _none(name)]
        count = _arrays.whole(training.labels, "labels", LARGEST) if known is None else len(known)
        learnt = set(names if known is None else known)
        coded = None if pool is None else np.array([codes.setdefault(one, len(codes)) for one in pool], np.int64)
        kappa = None
        if coded is not None and before is not None and len(coded) == len(before):
            kappa = _vabal.agreement(before, coded)
        before = coded
        each = [(int(right[k]), int(held[k]), bool(right[k]) or name in learnt) for k, name in enumerate(names)]
        raw.append((count, kappa, each))
    reason, _, gain, accuracy, recall = _vabal.outlook(raw, more)
    because: Any = reason
    return Outlook(
        stop=reason in ("stable", "flat"),
        reason=because,
        gain=gain,
        accuracy=None if accuracy is None else Estimate(*(float("nan") if v is None else v for v in accuracy)),
        recall=dict(zip(names, [None if one is None else Estimate(*one) for one in recall], strict=True)),
        agreement=tuple(kappa for _, kappa, _ in raw),
    )


def _training(item: Any) -> Training:
    if isinstance(item, Training):
        return item
    return Training(**item) if isinstance(item, Mapping) else Training(*item)


def _items(training: Training, name: str) -> list[Any] | None:
    """The values of a field; None of a number of labels, and of what is not there."""
    value = getattr(training, name)
    if value is None or (name == "labels" and isinstance(value, numbers.Number)):
        return None
    _arrays.refuse(value, name)
    column = _arrays.to_numpy(value)
    if column.ndim != 1:
        raise ValueError(f"{name} has another shape\n  expected: a class a row, [n]\n  got: {list(column.shape)}")
    if column.dtype.kind == "f" and (whole := np.nan_to_num(column, nan=-1)).size and (whole == np.floor(whole)).all():
        column = whole.astype(np.int64)
    values: list[Any] = column.tolist()
    return values


def _none(name: Any) -> bool:
    return _arrays._missing(name) or (isinstance(name, (int, float)) and name < 0)
