"""The arrays of a call as one pool, each checked by its keyword."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _arrays, _vabal
from ._arrays import ArrayLike


@dataclass(frozen=True)
class Arrays:
    """A pool, and what its rows are called."""

    pool: _vabal.Pool
    ids: npt.NDArray[Any]
    rows: int


def gather(
    *,
    features: ArrayLike | None = None,
    probs: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    stages: Sequence[ArrayLike] | None = None,
    predicted: ArrayLike | None = None,
    mc_probs: ArrayLike | None = None,
    committee_probs: ArrayLike | None = None,
    images: ArrayLike | None = None,
    ids: ArrayLike | None = None,
    classes: int | Sequence[Any] | None = None,
) -> Arrays:
    """Makes one pool of the arrays of a call."""
    if features is not None and stages is not None:
        raise TypeError("features= and stages= say the same: give one of them")
    count, names = _arrays.class_names(classes)
    if features is not None:
        stages = [features]
    matrices = None
    if stages is not None:
        name = "features" if features is not None else "stages"
        matrices = [_arrays.reals(stage, name, 2, "[n, d]") for stage in stages]
        if not matrices:
            raise ValueError("stages= is empty\n  expected: at least one array [n, d]")

    def of(value: ArrayLike | None, name: str, dimensions: int, shape: str) -> npt.NDArray[np.float32] | None:
        return None if value is None else _arrays.reals(value, name, dimensions, shape)

    given = {
        "probs": of(probs, "probs", 2, "[n, C], a column a class"),
        "mc_probs": of(mc_probs, "mc_probs", 3, "[n, T, C], T passes under dropout"),
        "committee_probs": of(committee_probs, "committee_probs", 3, "[n, M, C], M classifiers"),
        "images": None if images is None else _arrays.pixels(images),
    }
    if count is None:
        count = next(
            (
                array.shape[-1]
                for array in (given["probs"], given["mc_probs"], given["committee_probs"])
                if array is not None
            ),
            None,
        )
    own = None if ids is None else _arrays.identities(ids)
    columns = {
        "labels": None if labels is None else _arrays.classes_of(labels, "labels", names, count),
        "predicted": None if predicted is None else _arrays.classes_of(predicted, "predicted", names, count),
    }
    lengths = (
        {f"stages={'' if len(matrices) == 1 else f', stage {l + 1}'}": len(m) for l, m in enumerate(matrices or [])}
        if matrices
        else {}
    )
    if features is not None and matrices:
        lengths = {"features=": len(matrices[0])}
    lengths |= {f"{name}=": len(array) for name, array in (given | columns).items() if array is not None}
    if own is not None:
        lengths["ids="] = len(own[0])
    if not lengths:
        raise TypeError("no array is given\n  expected: features=, probs=, labels=, … or ids=, n rows each")
    (first, rows), *others = lengths.items()
    for name, length in others:
        if length != rows:
            raise ValueError(
                f"{first} and {name} disagree\n  expected: a row each for every image of the pool, labelled or not"
                f"\n  got: {rows} and {length} rows"
            )
    pool = _vabal.Pool(
        rows,
        ids=None if own is None else own[1],
        labels=columns["labels"],
        classes=count,
        stages=matrices,
        probs=given["probs"],
        predicted=columns["predicted"],
        mc_probs=given["mc_probs"],
        committee_probs=given["committee_probs"],
        images=given["images"],
    )
    return Arrays(pool, np.arange(rows) if own is None else own[0], rows)
