"""Strategies that compare rows with each other, on a pool in parts: BADGE in passes over all rows, core-set in each
part and then among what was chosen there. What runs on the workers of an engine, and what its driver does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from . import _columns, _vabal
from ._columns import Batches, Binary
from ._plan import Plan, picks

STRATEGIES = ("badge", "core-set")
PASS = "vabal_pass"
PART = "vabal_part"
"""The columns that workers add."""


def look(
    plan: Plan, batches: Batches, *, state: bytes, columns: Mapping[str, str], binary: Binary | None = None
) -> Iterator[Any]:
    """On a worker: one pass over some rows, as one row of bytes."""
    seeding = _vabal.Seeding.from_bytes(state)
    found = _vabal.Pass(seeding)
    for batch in _columns.batches_of(batches):
        pool = plan._pool(batch, columns, binary)
        if pool is not None:
            found.push(pool)
    pa = _columns.arrow()
    yield pa.record_batch([pa.array([found.to_bytes()], pa.binary())], [PASS])


def by_passes(plan: Plan, run: Callable[[bytes], Iterable[Any]], n: int) -> Any:
    """On the driver: the picks, where ``run`` has the workers :func:`look` at all rows with a state."""
    seeding = _vabal.Seeding(plan._raw)
    while not seeding.is_done:
        found = _vabal.Pass(seeding)
        for batch in run(seeding.to_bytes()):
            for data in batch.column(PASS).to_pylist():
                found.merge(data)
        seeding.next(found)
    return picks(*seeding.finish(n), n)


def tag(plan: Plan, batches: Batches, *, columns: Mapping[str, str]) -> Iterator[Any]:
    """On a worker: rows without a label, with the part that each is in."""
    pa = _columns.arrow()
    for batch in _columns.batches_of(batches):
        if "labels" in columns:
            batch = _columns.open_rows(batch, columns["labels"])
        if batch.num_rows:
            ids = _columns.gather(batch, {"ids": columns["ids"]}, classes=plan.classes)
            parts = np.frombuffer(plan._raw.part_of(_vabal.Pool(ids, plan.classes)), np.int32)
            schema = tagged(batch.schema, columns)
            rows = [batch.column(name) for name in schema.names[:-1]]
            yield pa.record_batch([*rows, pa.array(parts)], schema=schema)


def tagged(schema: Any, columns: Mapping[str, str]) -> Any:
    """The columns that :func:`tag` gives of those of a pool."""
    pa = _columns.arrow()
    wanted = dict.fromkeys(column for name, column in columns.items() if name != "labels")
    return pa.schema([*map(schema.field, wanted), pa.field(PART, pa.int32())])


def choose(plan: Plan, batches: Batches, *, columns: Mapping[str, str], binary: Binary | None = None) -> Iterator[Any]:
    """On a worker: of each part, all of whose rows are here, those that are chosen."""
    given = list(_columns.batches_of(batches))
    if not given:
        return
    pa = _columns.arrow()
    rows = pa.Table.from_batches(given)
    of = np.asarray(rows.column(PART))
    for part in np.unique(of):
        mine = rows.filter(pa.array(of == part)).drop_columns([PART])
        yield from mine.take(pa.array(_chosen(plan, mine, columns, binary, plan.n)[0])).to_batches()


def by_parts(plan: Plan, batches: Batches, columns: Mapping[str, str], binary: Binary | None, n: int) -> Any:
    """On the driver: the picks, of what the workers :func:`choose` of all parts."""
    pa, given = _columns.arrow(), list(_columns.batches_of(batches))
    union = pa.Table.from_batches(given) if given else None
    if union is None or not union.num_rows:
        return picks((b"", None), b"", [("distance", False, b"")], n)
    rows, answer = _chosen(plan, union, columns, binary, n)
    ids = union.column(columns["ids"]).take(pa.array(rows))
    whole = pa.types.is_integer(ids.type)
    numbers = ids.cast(pa.int64()).to_numpy().tobytes() if whole else None
    terms = [(name, False, values) for name, values in answer.terms]
    return picks((numbers, None if whole else ids.to_pylist()), answer.scores, terms, n)


def _chosen(
    plan: Plan, rows: Any, columns: Mapping[str, str], binary: Binary | None, n: int
) -> tuple[Any, _vabal.Answer]:
    """At most ``n`` rows, by their places."""
    there = {name: column for name, column in columns.items() if name != "labels"}
    pool = plan._pool(rows, there, binary)
    if pool is None:
        raise ValueError("there is no row to choose from\n  expected: at least 1 row without a label\n  got: 0 rows")
    answer = plan._raw.choose(pool, n)
    return np.frombuffer(answer.rows, np.uint64).astype(np.int64), answer
