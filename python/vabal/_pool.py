"""The arrays of a call as one pool, each under its keyword."""

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
    ids: ArrayLike | None = None,
    classes: int | Sequence[Any] | None = None,
) -> Arrays:
    """Makes one pool of the arrays of a call."""
    if features is not None and stages is not None:
        raise TypeError("features= and stages= say the same: give one of them")
    columns = [given for given in (labels, predicted) if given is not None]
    if classes is None and (called := _arrays.column_names(probs)) and any(map(_arrays.holds_texts, columns)):
        classes = called
    told, names = _arrays.class_names(classes)
    arrays: list[tuple[str, str, Any]] = []
    for l, stage in enumerate([] if stages is None else stages, 1):
        arrays.append((f"stage{l}", f"stages=, stage {l}", _arrays.reals(stage, "stages")))
    reals = {"features": features, "probs": probs, "mc_probs": mc_probs, "committee_probs": committee_probs}
    arrays += [(name, f"{name}=", _arrays.reals(value, name)) for name, value in reals.items() if value is not None]
    for name, value in {"labels": labels, "predicted": predicted}.items():
        if value is not None:
            arrays.append((name, f"{name}=", _arrays.labels(value, name, names)))
    own = None
    if ids is not None:
        own, column = _arrays.identities(ids)
        arrays.append(("ids", "ids=", column))
    pool = _vabal.Pool(arrays, told)
    rows = len(arrays[0][2]) if arrays else 0
    return Arrays(pool, np.arange(rows) if own is None else own, rows)
