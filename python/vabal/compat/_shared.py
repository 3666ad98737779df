"""What the four shapes have in common: samples, names of classes, and the predictions of several classifiers."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _arrays
from .._select import Strategy

Features = Callable[..., Any]
"""``features(classifier, samples) → [n, d]``, or a list of arrays, one a stage."""

Draw = Callable[..., Any] | str
"""``draw(classifier, samples) → [T, n, C]``, or the name of the classifier's method that gives this."""

OTHER = object()
"""The class that a classifier has not seen, where it has seen one alone."""


def described_by(name: str, strategy: str, settings: dict[str, Any]) -> str:
    """How an adaptor with these settings is shown."""
    return f"{name}({', '.join([repr(strategy), *(f'{key}={value!r}' for key, value in settings.items())])})"


def flat(samples: Any) -> npt.NDArray[np.float32]:
    """Samples as rows of features: dense, or sparse as scipy's, [n, …] to [n, d]."""
    if hasattr(samples, "toarray"):
        samples = samples.toarray()
    array = _arrays.to_numpy(samples)
    return _arrays.reals(array.reshape(len(array), -1), "features")


def arguments(features: Any) -> dict[str, Any]:
    """Features as the keyword of select: a list of arrays is several stages."""
    return {"stages": features} if isinstance(features, (list, tuple)) else {"features": features}


def take(samples: Any, rows: npt.NDArray[Any]) -> Any:
    """Some of the samples, in the type that they have."""
    if hasattr(samples, "iloc"):
        return samples.iloc[rows]
    if hasattr(samples, "tocsr"):
        return samples.tocsr()[rows]
    return samples[rows] if hasattr(samples, "shape") or hasattr(samples, "x") else [samples[row] for row in rows]


def stacked(parts: list[Any]) -> Any:
    """Samples under one another, in the type that the first has."""
    if any(hasattr(part, "tocsr") for part in parts):
        return importlib.import_module("scipy.sparse").vstack(parts).tocsr()
    if all(hasattr(part, "iloc") for part in parts):
        return importlib.import_module("pandas").concat(parts)
    return np.concatenate([_arrays.to_numpy(part) for part in parts])


def names_of(classifier: Any) -> list[Any] | None:
    """The classes that the columns of ``predict_proba`` stand for."""
    for owner in (classifier, getattr(classifier, "estimator", None)):
        names = getattr(owner, "classes_", None)
        if names is not None:
            return list(np.asarray(names).tolist())
    return None


def wants(strategy: Strategy, *names: str) -> bool:
    """Whether it needs one of these arrays, of labelled rows or of others."""
    return any(name in (*strategy.needs, *strategy.needs_of_labelled) for name in names)


def reads(strategy: Strategy) -> str | None:
    """The keyword by which it is given the predictions of several classifiers, if it is."""
    return next((name for name in ("mc_probs", "committee_probs") if name in strategy.needs), None)


def both(labelled: Any, pool: Any, made: Callable[[Any], Any]) -> Any:
    """What ``made`` gives of the labelled samples, then of the pool, stage by stage."""
    of_pool = made(pool)
    if labelled is None:
        return of_pool
    of_labelled = made(labelled)
    if isinstance(of_pool, (list, tuple)):
        return [
            np.concatenate([_arrays.to_numpy(a), _arrays.to_numpy(b)])
            for a, b in zip(of_labelled, of_pool, strict=True)
        ]
    return np.concatenate([_arrays.to_numpy(of_labelled), _arrays.to_numpy(of_pool)])


def size_of(samples: Any) -> int:
    """How many samples there are."""
    if isinstance(samples, str) or not (hasattr(samples, "shape") or hasattr(samples, "__len__")):
        raise TypeError(
            f"samples of a type that is not understood\n  expected: [n, …]\n  got: {type(samples).__name__}"
        )
    shape = getattr(samples, "shape", None)
    if shape == ():
        raise TypeError("samples of a type that is not understood\n  expected: [n, …]\n  got: one value")
    return int(shape[0]) if shape else len(samples)


def shuffled(n: int, seed: int) -> npt.NDArray[np.int64]:
    """Ids in an order of the seed's: draws and ties go by the ids, so that ties are broken at random."""
    return np.random.default_rng(seed).permutation(n)


def labelled(
    answers: Sequence[Any], candidates: int, names: list[Any] | None, arrays: dict[str, Any]
) -> dict[str, Any]:
    """``labels`` and ``classes`` for rows with answers, then candidates; and probabilities with two columns at least.

    Where no classifier says what the classes are called, they are those of the answers.
    """
    made: dict[str, Any] = {}
    given = next((name for name in ("probs", "mc_probs", "committee_probs") if name in arrays), None)
    known = sorted(set(answers)) if names is None else names
    if given is not None and names is None and len(known) != arrays[given].shape[-1]:
        known = list(range(arrays[given].shape[-1]))  # columns without names: the classes are counted
    if given is not None:
        made[given], known = binary(arrays[given], known)
    if len(known) == 1:
        known = [*known, OTHER]
    places = {name: place for place, name in enumerate(known)}
    if not all(answer in places for answer in answers):  # which select refuses, by its name
        return made | {"labels": [*answers, *[None] * candidates], "classes": known}
    labels = np.full(len(answers) + candidates, -1)
    labels[: len(answers)] = [places[answer] for answer in answers]
    return made | {"labels": labels, "classes": len(known) or None}


def binary(probs: npt.NDArray[Any], names: Sequence[Any]) -> tuple[npt.NDArray[Any], list[Any]]:
    """Probabilities [..., C] with two columns at least: the second is the class that was not seen."""
    if probs.shape[-1] > 1:
        return probs, list(names)
    return np.concatenate([probs, 1 - probs], axis=-1), [*names, OTHER]


def completed(
    probs: npt.NDArray[Any], names: list[Any] | None, answers: Sequence[Any]
) -> tuple[npt.NDArray[Any], list[Any] | None]:
    """Probabilities [..., C] with a column of zeros for each class of ``answers`` that the classifier was not shown."""
    if names is None or not (missing := sorted(set(answers) - set(names))):
        return probs, names
    zeros = np.zeros((*probs.shape[:-1], len(missing)), dtype=probs.dtype)
    return np.concatenate([probs, zeros], axis=-1), [*names, *missing]


def members(classifier: Any) -> tuple[list[Any], list[Any] | None, Any]:
    """The fitted members of an ensemble that predict probabilities, their classes, and which columns each reads."""
    for owner in (getattr(classifier, "estimator_", None), classifier, getattr(classifier, "estimator", None)):
        found = getattr(owner, "estimators_", None)
        if found is None or not len(found):
            continue
        each = list(np.ravel(np.asarray(found, dtype=object)))
        if all(hasattr(one, "predict_proba") for one in each):
            return each, names_of(owner), getattr(owner, "estimators_features_", None)
    return [], None, None


def voices(
    classifier: Any,
    samples: Any,
    *,
    draw: Draw | None,
    bootstrap: Callable[[npt.NDArray[Any]], Any] | None,
    known: tuple[npt.NDArray[Any], Sequence[Any]] | None,
    seed: int,
    count: int = 10,
) -> tuple[npt.NDArray[Any], list[Any] | None]:
    """Predictions [n, T, C] of several classifiers, and the names of the columns.

    Args:
        classifier: an ensemble, a list of fitted classifiers, or one to make copies of.
        samples: to predict.
        draw: gives the predictions; or the name of the classifier's method that does.
        bootstrap: ``bootstrap(rows)`` fits a copy of the classifier to these rows of what is labelled.
        known: the rows that are labelled, and their classes.
        seed: of the bootstraps.
        count: how many copies to make.
    """
    if draw is not None:
        predicted = getattr(classifier, draw)(samples) if isinstance(draw, str) else draw(classifier, samples)
        drawn = _arrays.to_numpy(predicted)
        if drawn.ndim != 3:
            raise ValueError(f"draw= gives another shape\n  expected: [T, n, C]\n  got: {list(drawn.shape)}")
        return drawn.transpose(1, 0, 2), names_of(classifier)
    if isinstance(classifier, (list, tuple)):
        return _by_name(list(classifier), samples)
    found, names, columns = members(classifier)
    if found and names is not None:
        outer = names_of(classifier) or names
        return _counted(found, samples, columns, [outer.index(name) for name in names], len(outer)), outer
    if bootstrap is None or known is None:
        raise TypeError(
            "the predictions of several classifiers are missing\n"
            "  expected: draw=, an ensemble, a list of classifiers, or labelled samples to fit copies to\n"
            f"  got: {type(classifier).__name__}"
        )
    if not len(known[0]):  # nothing is known: all classes alike
        told = getattr(classifier, "classes", None)
        names = None if told is None else list(np.asarray(told).tolist())
        width = 2 if names is None else len(names)
        return np.full((size_of(samples), 1, width), 1 / width), names
    return _by_name([bootstrap(some) for some in _bootstraps(*known, count, seed)], samples)


def _by_name(classifiers: list[Any], samples: Any) -> tuple[npt.NDArray[Any], list[Any] | None]:
    """Predictions [n, T, C] with a column for each class that one of the classifiers knows."""
    predicted = [_arrays.to_numpy(one.predict_proba(samples)) for one in classifiers]
    own = [names_of(one) for one in classifiers]
    whole = sorted({name for names in own for name in names or []})
    if any(names is None for names in own):
        return np.stack(predicted, axis=1), None
    made = np.zeros((len(predicted[0]), len(classifiers), len(whole)))
    for place, (probs, names) in enumerate(zip(predicted, own, strict=True)):
        made[:, place, [whole.index(name) for name in names or []]] = probs
    return made, whole


def _counted(found: list[Any], samples: Any, columns: Any, places: list[int], width: int) -> npt.NDArray[np.float64]:
    """Predictions [n, T, C] of the members of an ensemble of scikit-learn, which counts the classes for them."""
    if columns is not None:
        dense = samples if isinstance(samples, np.ndarray) or hasattr(samples, "tocsr") else _arrays.to_numpy(samples)
    predicted = [
        _arrays.to_numpy(one.predict_proba(samples if columns is None else dense[:, columns[place]]))
        for place, one in enumerate(found)
    ]
    made = np.zeros((len(predicted[0]), len(found), width))
    for place, (one, probs) in enumerate(zip(found, predicted, strict=True)):
        seen = range(len(places)) if probs.shape[1] == len(places) else np.asarray(one.classes_, dtype=np.int64)
        made[:, place, [places[int(count)] for count in seen]] = probs
    return made


def _bootstraps(
    rows: npt.NDArray[Any], classes: Sequence[Any], count: int, seed: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Rows drawn with replacement, class by class, so that none is missing."""
    rng = np.random.default_rng(seed)
    groups: dict[Any, list[Any]] = {}
    for row, name in zip(rows.tolist(), classes, strict=True):
        groups.setdefault(name, []).append(row)
    for _ in range(count):
        yield np.concatenate([rng.choice(group, len(group)) for group in groups.values()]).astype(np.int64)


class Constant:
    """What is known before there are two classes to tell apart: the one class, or nothing."""

    def __init__(self, classes: Sequence[Any]) -> None:
        self.classes_ = np.array([*classes], dtype=object) if classes else None

    def predict_proba(self, samples: Any) -> npt.NDArray[np.float64]:
        n = size_of(samples)
        return np.full((n, 2), 0.5) if self.classes_ is None else np.ones((n, 1))


def fit(classifier: Any, samples: Any, classes: Sequence[Any], **options: Any) -> Any:
    """A copy of a classifier of scikit-learn's kind, fitted; where there are less than two classes, a constant."""
    found = list(dict.fromkeys(classes))
    if len(found) < 2:
        return Constant(found)
    return copy.deepcopy(classifier).fit(samples, np.asarray(classes), **options)


def unfitted(error: Exception) -> bool:
    """Whether scikit-learn says by this that a classifier has not been fitted."""
    return any(kind.__name__ == "NotFittedError" for kind in type(error).__mro__)
