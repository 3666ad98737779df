"""``vabal.plan``: a pool of any size, scored in parts."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _arrays, _columns, _pool, _vabal
from ._arrays import ArrayLike
from ._columns import Batches, Binary
from ._progress import Callback, telling
from ._select import LARGEST, as_json, tell
from ._settings import StrategyName

SAMPLE = 200_000
"""Rows of the sample, where nothing else is asked for."""
_CHUNK = 65_536


class Plan:
    """All that scoring any part of a pool needs; made by :func:`vabal.plan`, or read from a file.

    Small, and the same on every machine: pickle sends it to workers. ::

        candidates = plan.batches(part)  # on each worker, of its part
        picks = plan.pick(candidates_of_all_parts)  # once
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: _vabal.Plan) -> None:
        self._raw = raw

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Reads what :meth:`save` or the command `vabal plan` wrote."""
        return cls(_vabal.Plan.from_bytes(Path(path).read_bytes(), os.fspath(path)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file that `vabal score` and `vabal pick` read, whole or not at all."""
        target = Path(path)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            try:
                file.write(self.to_bytes())
                file.close()
                Path(file.name).chmod(0o666 & ~_umask())
                os.replace(file.name, target)
            except BaseException:
                os.unlink(file.name)
                raise

    def to_bytes(self) -> bytes:
        """The bytes of the file that :meth:`save` writes."""
        return self._raw.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Plan:
        """Reads what :meth:`to_bytes` gave."""
        return cls(_vabal.Plan.from_bytes(data, "the bytes of a plan"))

    def __reduce__(self) -> tuple[Callable[[bytes], Plan], tuple[bytes]]:
        return type(self).from_bytes, (self.to_bytes(),)

    @property
    def strategy(self) -> StrategyName:
        """The name of the strategy."""
        name: StrategyName = self._raw.strategy  # type: ignore[assignment]
        return name

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the strategy."""
        settings: dict[str, Any] = json.loads(self._raw.settings)
        return settings

    @property
    def n(self) -> int:
        """The most picks."""
        return self._raw.n

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self._raw.labelled)

    @property
    def labelled(self) -> list[int]:
        """Labels of each class."""
        return self._raw.labelled

    @property
    def sampled(self) -> int:
        """Rows of the sample that it was made of."""
        return self._raw.sampled

    @property
    def needs(self) -> tuple[str, ...]:
        """The arrays that scoring reads beside the ids; "features" may be stages, and "probs" predicted classes."""
        return tuple(self._raw.needs)

    def __eq__(self, other: object) -> bool:
        return self.to_bytes() == other.to_bytes() if isinstance(other, Plan) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._raw.digest)

    def __repr__(self) -> str:
        return (
            f"Plan({self.strategy!r}, n={self.n}, classes={self.classes}, labels={sum(self.labelled)}, "
            f"sampled={self.sampled})"
        )

    def schema(self, ids: str = "int64") -> Any:
        """The columns that :meth:`batches` gives, as a schema of pyarrow, for `ids` of "int64" or "string"."""
        pa = _columns.arrow()
        return pa.schema(
            {
                "id": getattr(pa, ids)(),
                "score": pa.float64(),
                "key": pa.int64(),
                "class": pa.int32(),
                "terms": pa.list_(pa.float64()),
                "rows": pa.int64(),
                "names": pa.string(),
                "plan": pa.string(),
            }
        )

    def batches(
        self, batches: Batches, columns: Mapping[str, str] | None = None, *, binary: Binary | None = None
    ) -> Iterator[Any]:
        """Scores a part of the pool and gives the rows of it that may be picked, as batches of Arrow.

        Args:
            batches: an iterable of batches or tables, or one table. Rows with a label are left out. Memory holds one
                batch, and of each class at most twice as many candidates as the plan may pick.
            columns: which column holds each array, where it is not called like it: ``{"ids": "image", "probs":
                "softmax"}``. ``ids`` are whole numbers from 0 or texts, unlike in all parts; arrays are lists, lists of
                one length, or BINARY (little endian).
            binary: what BINARY is, "float16" or "float32". Else classes and widths tell, or a column's name that ends
                in ``_f16`` or ``_f32``; otherwise it is float32.

        The columns: ``id``, ``score`` (larger is asked first), ``key`` and ``id`` for equal scores, ``class`` whose
        quota the row counts for, ``terms`` by ``names``, ``rows`` scored of the class on its first row and 0 on the
        others, ``plan``. They can be stored, sent, split and joined in any way: the picks are the same bytes.
        """
        top = _vabal.Top(self._raw)
        found: dict[str, str] = {}
        for batch in _columns.batches_of(batches):
            found = found or self._find(batch.schema.names, columns)
            pool = self._pool(batch, found, binary)
            if pool is not None:
                top.push(pool)
        yield from self._candidates(top)

    def merge(self, batches: Batches) -> Iterator[Any]:
        """Of what :meth:`batches` gave for several parts, what may still be picked: a step on the way to :meth:`pick`
        where there are many parts."""
        yield from self._candidates(self._joined(batches))

    def pick(self, batches: Batches, n: int | None = None) -> Any:
        """The picks, of what :meth:`batches` gave for all parts: a table of pyarrow with the columns ``rank``, ``id``,
        ``score`` and the terms, as the command `vabal pick` writes it.

        Args:
            batches: an iterable of batches or tables, or one table, in any order. Each part is to be there once.
            n: how many, if not as many as the plan may pick.
        """
        wanted = self._wanted(n)
        return picks(*self._joined(batches).finish(wanted), wanted)

    def pandas_udf(self) -> Any:
        """A function of Spark's SQL: the score of a row, of its id and of what :attr:`needs` names, in that order. ::

            spark.udf.register("score", plan.pandas_udf())
            spark.sql("SELECT id, score(id, probs) AS score FROM pool")

        It knows neither quotas nor what equal scores go by: for picks, :func:`vabal.spark.pick`.
        """
        from . import spark

        return spark._score_udf(self)

    def _wanted(self, n: int | None) -> int:
        return self.n if n is None else _arrays.whole(n, "n", LARGEST)

    def _find(self, there: Sequence[str], columns: Mapping[str, str] | None) -> dict[str, str]:
        found = _columns.find(there, columns, self.needs)
        if "ids" not in found:
            raise ValueError(
                f"a part without ids\n  expected: a column ids, whole numbers or texts, unlike in all parts\n"
                f"  got: {', '.join(there)}\n  hint: columns={{'ids': …}} says which column they are in"
            )
        return found

    def _pool(self, batch: Any, found: Mapping[str, str], binary: Binary | None) -> _vabal.Pool | None:
        """The rows without a label."""
        if "labels" in found:
            batch = _columns.open_rows(batch, found["labels"])
        if not batch.num_rows:
            return None
        arrays = {name: column for name, column in found.items() if name != "labels"}
        given = _columns.gather(batch, arrays, classes=self.classes, width=self._raw.width, binary=binary)
        return _vabal.Pool(given, self.classes)

    def _candidates(self, top: _vabal.Top) -> Iterator[Any]:
        pa = _columns.arrow()
        (numbers, texts), scores, keys, classes, terms, rows, names = top.candidates()
        count = len(scores) // 8
        offsets = np.arange(count + 1, dtype=np.int32) * len(names)
        columns = [
            column_of(numbers, texts),
            pa.array(np.frombuffer(scores, np.float64)),
            pa.array(np.frombuffer(keys, np.int64)),
            pa.array(np.frombuffer(classes, np.int64).astype(np.int32)),
            pa.ListArray.from_arrays(offsets, pa.array(np.frombuffer(terms, np.float64))),
            pa.array(np.frombuffer(rows, np.int64)),
            pa.array([",".join(names)] * count, pa.string()),
            pa.array([self._raw.digest] * count, pa.string()),
        ]
        schema = self.schema("int64" if texts is None else "string")
        if count:
            yield from pa.Table.from_arrays(columns, schema=schema).to_batches(max_chunksize=_CHUNK)

    def _joined(self, batches: Batches) -> _vabal.Top:
        pa = _columns.arrow()
        top = _vabal.Top(self._raw)
        for batch in _columns.batches_of(batches):
            wanted = self.schema().names
            if missing := [name for name in wanted if name not in batch.schema.names]:
                raise ValueError(
                    f"these are no scores\n  expected: {', '.join(wanted)}\n  got: {', '.join(batch.schema.names)}, "
                    f"without {', '.join(missing)}\n  hint: plan.pick(plan.batches(part) …): score the parts first"
                )
            plans = batch.column("plan").unique().to_pylist()
            if plans != [self._raw.digest]:
                raise ValueError(
                    f"these scores are of another plan\n  expected: the plan {self._raw.digest}\n  got: "
                    f"{', '.join(map(str, plans))}\n  hint: score all parts with the plan that you pick with"
                )
            names = batch.column("names").unique().to_pylist()
            if len(names) != 1:
                raise ValueError(f"scores with different terms\n  got: {', '.join(map(str, names))}")

            def numbers(name: str, kind: Any, batch: Any = batch) -> Any:
                return np.ascontiguousarray(batch.column(name).to_numpy(zero_copy_only=False), kind)

            whole = (numbers("key", np.int64), numbers("class", np.int64), numbers("rows", np.int64))
            terms = np.ascontiguousarray(batch.column("terms").flatten().cast(pa.float64()).to_numpy(), np.float64)
            called = names[0].split(",") if names[0] else []
            top.add(_columns.ids(batch, "id"), numbers("score", np.float64), whole, terms, called)
        return top


def picks(
    ids: tuple[bytes | None, list[str] | None], scores: bytes, terms: list[tuple[str, bool, bytes]], wanted: int
) -> Any:
    """Picks as a table of pyarrow, with a warning where there are fewer than were wanted."""
    pa = _columns.arrow()
    score = np.frombuffer(scores, np.float64)
    if len(score) < wanted:
        tell([f"asked for {wanted}, and there are no more than {len(score)}"])
    table: dict[str, Any] = {"rank": pa.array(np.arange(1, len(score) + 1))}
    table |= {"id": column_of(*ids), "score": pa.array(score)}
    for name, is_class, values in terms:
        column = np.frombuffer(values, np.float64)
        table[name] = pa.array(column.astype(np.int64) if is_class else column)
    return pa.table(table)


def column_of(numbers: bytes | None, texts: list[str] | None) -> Any:
    """Ids of the library as a column of Arrow."""
    pa = _columns.arrow()
    return pa.array(np.frombuffer(numbers or b"", np.int64)) if texts is None else pa.array(texts, pa.string())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def plan(
    strategy: StrategyName = "vabal",
    features: ArrayLike | None = None,
    probs: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    n: int,
    seed: int = 1,
    sample: int = SAMPLE,
    rows: int | None = None,
    stages: Sequence[ArrayLike] | None = None,
    predicted: ArrayLike | None = None,
    mc_probs: ArrayLike | None = None,
    committee_probs: ArrayLike | None = None,
    ids: ArrayLike | None = None,
    classes: int | Sequence[Any] | None = None,
    table: Batches | None = None,
    labelled: Batches | None = None,
    columns: Mapping[str, str] | None = None,
    binary: Binary | None = None,
    progress: bool | Callback | None = None,
    **settings: Any,
) -> Plan:
    """Plans how to score a pool that is too large for one memory, for at most ``n`` picks.

    Of a sample of the pool and of what is labelled, it makes what scoring a row needs: a :class:`Plan`. Then every part
    is scored where it is, ``plan.batches(part)``, and the best are joined, ``plan.pick(…)``; however the pool is split,
    the picks are the same bytes. :mod:`vabal.spark` and :mod:`vabal.ray` do both on an engine.

    Give arrays as to :func:`vabal.select`, or a ``table`` with columns of their names. "badge" and "core-set", which
    compare rows with each other, are for :func:`vabal.spark.pick` and :func:`vabal.ray.pick`. A strategy that scores
    row by row: "vabal", "vabal-paper", "vabal-official", "margin", "entropy", "least-confidence", "random", "bald",
    "power-bald", or an "ensemble-…".

    What is not named below is as of :func:`vabal.select`.

    Args:
        n: the most that will be picked, at most 500,000.
        sample: how many rows without a label are looked at, those whose ids have the smallest hashes.
        rows: how many rows without a label the pool has, where those given are a sample of it: a VAE takes as many
            steps, and core-set cuts the pool accordingly.
        table: a table of pyarrow, pandas or polars, or an iterable of such, in place of the arrays.
        labelled: a table of what is labelled, where that is apart.
        columns: as of :meth:`Plan.batches`.
        binary: as of :meth:`Plan.batches`.

    >>> import numpy as np, vabal
    >>> probs = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], dtype=np.float32)
    >>> vabal.plan("margin", probs=probs, n=2)
    Plan('margin', n=2, classes=2, labels=0, sampled=3)
    """
    given: dict[str, Any] = {
        "features": features,
        "probs": probs,
        "labels": labels,
        "stages": stages,
        "predicted": predicted,
        "mc_probs": mc_probs,
        "committee_probs": committee_probs,
        "ids": ids,
    }
    wanted = _arrays.whole(n, "n", LARGEST)
    for name, number in (("n", wanted), ("sample", _arrays.whole(sample, "sample", LARGEST))):
        if number == 0:
            raise ValueError(f"{name}= asks for no rows\n  expected: 1 or more\n  got: 0")
    rows = None if rows is None else _arrays.whole(rows, "rows", LARGEST)
    seed, json_settings = _arrays.whole(seed, "seed", 2**64 - 1), as_json(settings)
    if table is None:
        if labelled is not None or columns is not None:
            raise TypeError("labelled= and columns= go with table=\n  hint: of arrays, labels= says what is labelled")
        pool = _pool.gather(**given, classes=classes).pool
    elif both := [name for name, value in given.items() if value is not None]:
        raise TypeError(f"table= holds all arrays\n  got: {both[0]}= too\n  hint: give one of them")
    else:
        pool = _of_tables(strategy, json_settings, (table, labelled), columns, binary, classes)
    with telling(progress) as told:
        raw, warnings = _vabal.Plan.make((strategy, json_settings), pool, wanted, (sample, rows), seed, told)
    tell(warnings)
    return Plan(raw)


def _of_tables(
    strategy: str,
    settings: str,
    tables: tuple[Batches, Batches | None],
    columns: Mapping[str, str] | None,
    binary: Binary | None,
    classes: int | Sequence[Any] | None,
) -> _vabal.Pool:
    pa = _columns.arrow()
    told, names = _arrays.class_names(classes)
    count = told if told is None or isinstance(told, int) else len(told)
    needs, of_labelled = needs_of(strategy, settings)

    def arrays(given: Batches, needs: Iterable[str]) -> list[tuple[str, str, Any]]:
        batches = list(_columns.batches_of(given))
        if not batches:
            return []
        whole = pa.Table.from_batches(batches)
        found = _columns.find(whole.column_names, columns, needs)
        return _columns.gather(whole, found, classes=count, binary=binary, names=names)

    first, second = tables
    if second is None:
        return _vabal.Pool(arrays(first, dict.fromkeys((*needs, *of_labelled))), told)
    open_rows = [array for array in arrays(first, needs) if array[0] != "labels"]
    return _vabal.Pool(open_rows, told, arrays(second, of_labelled))


def needs_of(strategy: str, settings: str) -> tuple[list[str], list[str]]:
    """The arrays that a strategy needs, of the rows without and with a label."""
    _vabal.check(strategy, settings)
    return next((needs, more) for name, needs, more, _, _ in _vabal.strategies() if name == strategy)


def sample_keys(ids: _arrays.Column, seed: int) -> npt.NDArray[np.uint64]:
    """What ids are sampled by: those with the smallest are the sample."""
    return np.frombuffer(_vabal.sample_keys(_vabal.Pool([("ids", "ids", ids)]), seed), np.uint64)
