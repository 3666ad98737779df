"""``vabal.shortlist``: the rows of a pool of any size for strategies that compare rows with each other."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from . import _arrays, _columns, _vabal
from ._columns import Batches, Binary
from ._plan import column_of
from ._select import LARGEST

_OF_POOL = ("probs", "predicted", "mc_probs", "committee_probs")
_LISTED = ("id", "list", "value")


def shortlist(
    table: Batches | Callable[[], Batches],
    labelled: Batches | None = None,
    *,
    n: int = 100_000,
    seed: int = 1,
    classes: int | Sequence[Any] | None = None,
    columns: Mapping[str, str] | None = None,
    binary: Binary | None = None,
) -> Any:
    """The rows of a large pool that are worth ranking, as the command `vabal shortlist` lists them: a table of pyarrow
    with the columns ``ids``, ``probs`` and, where the pool has them, ``features``, by ascending ids.

    For strategies that compare rows with each other, such as "badge" or "core-set". A third of the list are the rows
    with the smallest margins, as many of each predicted class; a third the nearest neighbours of labelled rows of rare
    classes; a third a uniform sample. Without ``labelled``, or without features, the first and the last are a half
    each. However the pool is split, the list is the same bytes. :func:`vabal.spark.shortlist` makes it on an engine.

    Args:
        table: the pool, rows of ``ids``, ``probs`` and ``features``, as a table, a list of tables or of batches, or a
            function that gives an iterator of them: it is read twice, once for the list and once for its rows. Memory
            holds one batch and the list. Rows with a label are left out.
        labelled: a table of what is labelled: ``features`` and ``labels``, and ``ids``, which no candidate may have.
        n: the most rows, from three a class to 1,000,000.
        seed: of every random draw.
        classes: as of :func:`vabal.select`; without it, as many as ``probs`` has columns.
        columns: as of :meth:`Plan.batches`.
        binary: as of :meth:`Plan.batches`.

    >>> import numpy as np, pyarrow as pa, vabal
    >>> probs = np.random.default_rng(1).dirichlet(np.ones(3), 1000).astype(np.float32)
    >>> pool = pa.table({"ids": np.arange(1000), "probs": list(probs)})
    >>> candidates = vabal.shortlist(pool, n=100)
    >>> candidates.num_rows <= 100, candidates.column_names
    (True, ['ids', 'probs'])
    """
    given = table if callable(table) else lambda: table
    if not callable(table) and isinstance(table, Iterator):
        raise TypeError(
            "the pool can be read once only\n  expected: tables or batches that can be read twice\n"
            f"  got: {type(table).__name__}"
            "\n  hint: a list, or a function that opens it again: lambda: file.iter_batches()"
        )
    first = next(_columns.batches_of(given()), None)
    if first is None:
        raise nothing()
    scan = Scan.of(first.schema.names, columns, labelled is not None, binary)
    if "labels" in scan.found:
        opened = (_columns.open_rows(batch, scan.found["labels"]) for batch in _columns.batches_of(given()))
        first = next((batch for batch in opened if batch.num_rows), None)
        if first is None:
            raise nothing()
    known = None if labelled is None else scan.table_of(labelled)
    listing = scan.listing(first, known, n, seed, classes)
    pa, pc = _columns.arrow(), importlib.import_module("pyarrow.compute")
    ids = listing.ids(listing.batches(given(), scan.found, binary=binary))
    kept = []
    for batch in _columns.batches_of(given()):
        if "labels" in scan.found:
            batch = _columns.open_rows(batch, scan.found["labels"])
        own = pa.array(_columns.ids(batch, scan.found["ids"]))
        rows = batch.filter(pc.is_in(own, value_set=ids)).select(scan.wanted)
        if rows.num_rows:
            kept.append(rows)
    return scan.finish(listing, ids, pa.Table.from_batches(kept) if kept else None, known, classes)


class Scan:
    """Which columns of a pool hold what."""

    def __init__(self, found: dict[str, str], columns: Mapping[str, str] | None, near: bool, binary: Binary | None):
        self.found, self.columns, self.binary = found, columns, binary
        self.features = [name for name in found if name == "features" or name.startswith("stage")]
        self.near = near and bool(self.features)
        """Whether rows are compared with labelled ones."""

    @classmethod
    def of(cls, there: Sequence[str], columns: Mapping[str, str] | None, near: bool, binary: Binary | None) -> Scan:
        """Of what a pool has; ``near`` says whether something is labelled apart."""
        told = {name: column for name, column in (columns or {}).items() if name != "labels" or column in there}
        found = _columns.find(there, told, ("features", "probs"))
        if "ids" not in found:
            raise ValueError(
                f"the pool has no ids\n  expected: a column ids, whole numbers or texts, unlike in all parts\n"
                f"  got: {', '.join(there)}\n  hint: columns={{'ids': …}} says which column they are in"
            )
        return cls(found, columns, near, binary)

    @property
    def wanted(self) -> list[str]:
        """The columns that a candidate has."""
        return list(dict.fromkeys(column for name, column in self.found.items() if name != "labels"))

    @property
    def looked_at(self) -> list[str]:
        """Those of them that the scan reads."""
        skipped = () if self.near else self.features
        return list(dict.fromkeys(self.found[name] for name in self.found if name not in ("labels", *skipped)))

    def of_labelled(self, there: Sequence[str]) -> dict[str, str]:
        """The columns of what is labelled."""
        own = {
            name: column
            for name, column in (self.columns or {}).items()
            if name not in _OF_POOL and (name != "ids" or column in there)
        }
        return _columns.find(there, own, ("features",) if self.near else ())

    def table_of(self, labelled: Batches) -> Any:
        """What is labelled as one table of pyarrow, of the columns that are read."""
        batches = list(_columns.batches_of(labelled))
        if not batches:
            return None
        wanted = list(dict.fromkeys(self.of_labelled(batches[0].schema.names).values()))
        return _columns.arrow().Table.from_batches([batch.select(wanted) for batch in batches])

    def pool(
        self, rows: Any, known: Any, classes: int | Sequence[Any] | None, listing: Listing | None = None
    ) -> _vabal.Pool:
        """Rows of the pool, and what is labelled apart."""
        told, names = _arrays.class_names(classes)
        count = told if told is None or isinstance(told, int) else len(told)
        if listing is not None:
            told = count = listing.classes
        columns = {name: column for name, column in self.found.items() if name != "labels"}
        arrays = _columns.gather(rows, columns, classes=count, binary=self.binary)
        if known is None:
            return _vabal.Pool(arrays, told)
        found = self.of_labelled(known.column_names)
        given = _columns.gather(known, found, classes=count, binary=self.binary, names=names)
        return _vabal.Pool(arrays, told, given)

    def listing(self, first: Any, known: Any, n: int, seed: int, classes: int | Sequence[Any] | None) -> Listing:
        """An empty list, of one row of the pool and of what is labelled."""
        size, seed = _arrays.whole(n, "n", LARGEST), _arrays.whole(seed, "seed", 2**64 - 1)
        near = self.near and known is not None
        return Listing(_vabal.Shortlist(size, self.pool(first.slice(0, 1), known, classes), near, seed))

    def finish(self, listing: Listing, ids: Any, rows: Any, known: Any, classes: int | Sequence[Any] | None) -> Any:
        """The list with its rows."""
        if rows is None or not rows.num_rows:
            raise nothing()
        pool = self.pool(rows, known, classes if known is not None else None, listing if known is None else None)
        called, probs, features = _vabal.candidates(pool, bool(self.features))
        if rows.num_rows != len(ids):
            raise ValueError(
                "the pool has other rows when it is read again\n"
                f"  expected: {len(ids)} rows, as listed\n  got: {rows.num_rows}"
            )
        columns = {"ids": column_of(*called), "probs": _rows(*probs)}
        if features is not None:
            columns["features"] = _rows(*features)
        return _columns.arrow().table(columns)


class Listing:
    """Which rows are on the list: small, the same on every machine, sent to workers as bytes."""

    def __init__(self, raw: _vabal.Shortlist) -> None:
        self._data, self.classes = raw.to_bytes(), raw.classes

    @classmethod
    def from_bytes(cls, data: bytes) -> Listing:
        """Reads what :meth:`to_bytes` gave."""
        return cls(_vabal.Shortlist.from_bytes(data))

    def to_bytes(self) -> bytes:
        """What a worker needs."""
        return self._data

    def batches(self, batches: Batches, found: Mapping[str, str], *, binary: Binary | None = None) -> Iterator[Any]:
        """Scans a part of the pool and gives what may be on the list: for each row its id, the list it is on, and what
        it goes by there, without arrays."""
        raw = _vabal.Shortlist.from_bytes(self._data)
        skipped = ("labels",) if raw.width is not None else ("labels", "features", *(f"stage{l}" for l in range(100)))
        columns = {name: column for name, column in found.items() if name not in skipped}
        for batch in _columns.batches_of(batches):
            if "labels" in found:
                batch = _columns.open_rows(batch, found["labels"])
            if batch.num_rows:
                arrays = _columns.gather(batch, columns, classes=raw.classes, width=raw.width, binary=binary)
                raw.push(_vabal.Pool(arrays, raw.classes))
        yield from _listed(raw)

    def merge(self, batches: Batches) -> Iterator[Any]:
        """Of what :meth:`batches` gave for several parts, what may still be on the list."""
        yield from _listed(self._joined(batches))

    def ids(self, batches: Batches) -> Any:
        """The ids of the list, ascending, of what :meth:`batches` gave for all parts."""
        return column_of(*self._joined(batches).ids())

    def _joined(self, batches: Batches) -> _vabal.Shortlist:
        raw = _vabal.Shortlist.from_bytes(self._data)
        for batch in _columns.batches_of(batches):
            list_, value = (np.ascontiguousarray(batch.column(name).to_numpy(), np.int64) for name in _LISTED[1:])
            raw.add(_columns.ids(batch, "id"), list_, value)
        return raw


def nothing() -> ValueError:
    """That there is nothing to list."""
    return ValueError(
        "there is no row to list\n  expected: at least 1 row without a label\n  got: 0 rows"
        "\n  hint: give −1 (or NaN) as the label of rows to choose from"
    )


def _listed(raw: _vabal.Shortlist) -> Iterator[Any]:
    pa = _columns.arrow()
    called, lists, values = raw.listed()
    columns = [
        column_of(*called),
        pa.array(np.frombuffer(lists, np.int64).astype(np.int32)),
        pa.array(np.frombuffer(values, np.int64)),
    ]
    if len(columns[0]):
        yield from pa.Table.from_arrays(columns, _LISTED).to_batches(max_chunksize=65_536)


def _rows(values: bytes, width: int) -> Any:
    pa = _columns.arrow()
    return pa.FixedSizeListArray.from_arrays(pa.array(np.frombuffer(values, np.float32)), width)
