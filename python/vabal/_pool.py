"""The arrays of a call as one pool, each under its keyword."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from . import _arrays, _vabal
from ._settings import AllRows


@dataclass(frozen=True)
class Arrays:
    """A pool, and what its rows are called."""

    pool: _vabal.Pool
    ids: npt.NDArray[Any]
    rows: int


def gather(**given: Unpack[AllRows]) -> Arrays:
    """Makes one pool of the arrays of a call."""
    stages, ids, classes = given.get("stages"), given.get("ids"), given.get("classes")
    if given.get("features") is not None and stages is not None:
        raise TypeError("features= and stages= say the same: give one of them")
    reals = {name: given.get(name) for name in ("features", "probs", "mc_probs", "committee_probs")}
    columns = {name: given.get(name) for name in ("labels", "predicted")}
    told_apart = (column for column in columns.values() if column is not None)
    if (
        classes is None
        and (called := _arrays.column_names(reals["probs"]))
        and any(map(_arrays.holds_texts, told_apart))
    ):
        classes = called
    told, names = _arrays.class_names(classes)
    arrays: list[tuple[str, str, Any]] = []
    for l, stage in enumerate([] if stages is None else stages, 1):
        arrays.append((f"stage{l}", f"stages=, stage {l}", _arrays.reals(stage, "stages")))
    arrays += [(name, f"{name}=", _arrays.reals(value, name)) for name, value in reals.items() if value is not None]
    for name, value in columns.items():
        if value is not None:
            arrays.append((name, f"{name}=", _arrays.labels(value, name, names)))
    own = None
    if ids is not None:
        own, column = _arrays.identities(ids)
        arrays.append(("ids", "ids=", column))
    pool = _vabal.Pool(arrays, told)
    rows = len(arrays[0][2]) if arrays else 0
    return Arrays(pool, np.arange(rows) if own is None else own, rows)
