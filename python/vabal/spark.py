"""A pool in Spark: on a cluster, on Databricks, or on Sail, which speaks Spark's protocol.

::

    plan = vabal.spark.plan(pool, n=10_000)
    picks = vabal.spark.pick(pool, plan)
    candidates = vabal.spark.shortlist(pool, labelled)  # for strategies that compare rows with each other

Written for Spark Connect: it knows data frames alone, no context. Nothing of Spark is imported here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import _arrays, _columns, _in_parts
from ._columns import Binary
from ._engines import told
from ._plan import SAMPLE, Plan, needs_of
from ._plan import plan as make_plan
from ._progress import Callback
from ._select import as_json
from ._settings import StrategyName
from ._shortlist import Listing, Scan, nothing

__all__ = ["pick", "plan", "shortlist"]

_INSTALL = "install vabal and pyarrow on the workers too: spark.archives, spark.addArtifacts, or %pip"
_COLUMNS = "score double, key bigint, class int, terms array<double>, rows bigint, names string, plan string"


def pick(
    df: Any,
    plan: Plan,
    n: int | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    binary: Binary | None = None,
) -> Any:
    """The picks of a data frame: a table of pyarrow, as :meth:`Plan.pick` gives it.

    Args:
        df: the pool, a row for each image; rows with a label are left out.
        plan: made by :func:`plan` or :func:`vabal.plan`.
        n: how many, if not as many as the plan may pick.
        columns: as of :meth:`Plan.batches`.
        binary: as of :meth:`Plan.batches`.

    Each partition is scored by one task, which gives what may be picked; after one exchange of these, by id, the driver
    receives what is left. "badge" takes five passes over the rows, after each of which candidates come to the driver,
    at most some 2n a task; "core-set" one exchange of all rows, by parts, of each of which n come to the driver.
    """
    with told("Spark or Sail", _INSTALL):
        found = plan._find(df.columns, columns)
        kinds = dict(df.dtypes)
        schema = f"id {_id_type(kinds[found['ids']], found['ids'])}, {_COLUMNS}"
        chosen = df.select(*map(_quoted, dict.fromkeys(found.values())))
        wanted, given = plan._wanted(n), {"columns": found, "binary": binary}
        if plan._raw.way == "passes":

            def run(state: bytes) -> Any:
                task = _worker(plan, "look", state=state, **given)
                return chosen.mapInArrow(task, f"{_in_parts.PASS} binary").toArrow().to_batches()

            return _in_parts.by_passes(plan, run, wanted)
        if plan._raw.way == "parts":
            rows = chosen.select(*(_quoted(name) for role, name in found.items() if role != "labels"))
            fields = ", ".join(f"{_quoted(name)} {kinds[name]}" for name in rows.columns)
            tagged = chosen.mapInArrow(_worker(plan, "tag", columns=found), f"{fields}, {_in_parts.PART} int")
            parts = tagged.repartition(plan._raw.parts, _in_parts.PART)
            return _in_parts.by_parts(
                plan, parts.mapInArrow(_worker(plan, "choose", **given), fields).toArrow(), found, binary, wanted
            )
        scored = chosen.mapInArrow(_task(plan, "batches", columns=found, binary=binary), schema)
        merged = scored.repartition("id").mapInArrow(_task(plan, "merge"), schema)
        return plan.pick(merged.toArrow(), n)


def plan(
    df: Any,
    labelled: Any = None,
    *,
    n: int,
    strategy: StrategyName = "vabal",
    seed: int = 1,
    sample: int = SAMPLE,
    classes: int | Sequence[Any] | None = None,
    columns: Mapping[str, str] | None = None,
    binary: Binary | None = None,
    progress: bool | Callback | None = None,
    **settings: Any,
) -> Plan:
    """Plans how to score a data frame; arguments as of :func:`vabal.plan`.

    Args:
        df: the pool. Its rows with a label are the labelled ones, where ``labelled`` is not given.
        labelled: a data frame of what is labelled.

    The sample is the same as of :func:`vabal.plan`: the rows whose ids have the smallest hashes. Workers look at the
    ids and send these rows alone, about ``sample`` of them, to the driver.
    """
    seed, sample = _arrays.whole(seed, "seed", 2**64 - 1), _arrays.whole(sample, "sample", 2**53)
    needs, of_labelled = needs_of(strategy, as_json(settings))
    with told("Spark or Sail", _INSTALL):
        found = _columns.find(df.columns, columns, dict.fromkeys((*needs, *of_labelled)))
        if "ids" not in found:
            raise ValueError(
                f"the pool has no ids\n  expected: a column ids\n  got: {', '.join(df.columns)}"
                "\n  hint: columns={'ids': …} says which column they are in"
            )
        rows, known = df.select(*map(_quoted, dict.fromkeys(found.values()))), labelled
        if "labels" in found:
            none = _unlabelled(df, found["labels"])
            known = rows.where(f"NOT {none}") if labelled is None else labelled
            rows = rows.where(none)
        count = rows.count()
        if strategy in _in_parts.STRATEGIES:
            sample = min(sample, 1000)  # nothing is fitted to it
        share = _share(sample, count)
        schema = rows.schema
        while True:
            drawn = rows.mapInArrow(_keep(found["ids"], seed, share), schema).toArrow()
            if share >= 1 or drawn.num_rows >= sample:
                break
            share = min(4 * share, 1.0)
        tables = (drawn, None if known is None else known.toArrow())
    return make_plan(
        strategy,
        n=n,
        seed=seed,
        sample=sample,
        rows=count,
        classes=classes,
        table=tables[0],
        labelled=tables[1] if tables[1] is not None and tables[1].num_rows else None,
        columns=columns,
        binary=binary,
        progress=progress,
        **settings,
    )


def shortlist(
    df: Any,
    labelled: Any = None,
    *,
    n: int = 100_000,
    seed: int = 1,
    classes: int | Sequence[Any] | None = None,
    columns: Mapping[str, str] | None = None,
    binary: Binary | None = None,
) -> Any:
    """The shortlist of a data frame, as :func:`vabal.shortlist` gives it: a table of pyarrow with the columns ``ids``,
    ``probs`` and, where the pool has them, ``features``.

    Args:
        df: the pool, a row for each image; rows with a label are left out.
        labelled: a data frame, or a table, of what is labelled: ``features``, ``labels`` and ``ids``.
        n: the most rows.
        seed: of every random draw.
        classes: as of :func:`vabal.shortlist`.
        columns: as of :meth:`Plan.batches`.
        binary: as of :meth:`Plan.batches`.

    Two passes. In the first, each task is sent the features of at most 256 labelled rows, and gives ids with what they
    go by, at most ``n`` and no arrays; one exchange joins these list by list. In the second the rows of the list are
    fetched by a join, so that the driver receives ``n`` rows of features, once.
    """
    with told("Spark or Sail", _INSTALL):
        scan = Scan.of(df.columns, columns, labelled is not None, binary)
        found, known = scan.found, None
        if labelled is not None:
            if hasattr(labelled, "mapInArrow"):
                own = dict.fromkeys(scan.of_labelled(labelled.columns).values())
                labelled = labelled.select(*map(_quoted, own)).toArrow()
            known = scan.table_of(labelled)
        rows = df.where(_unlabelled(df, found["labels"])) if "labels" in found else df
        rows = rows.select(*map(_quoted, scan.wanted))
        first = rows.limit(1).toArrow()
        if not first.num_rows:
            raise nothing()
        listing = scan.listing(first, known, n, seed, classes)
        schema = f"id {_id_type(dict(df.dtypes)[found['ids']], found['ids'])}, list int, value bigint"
        looked_at = rows.select(*map(_quoted, scan.looked_at))
        columns = {name: column for name, column in found.items() if column in scan.looked_at}
        scanned = looked_at.mapInArrow(_listing_task(listing, "batches", found=columns, binary=binary), schema)
        merged = scanned.repartition("list").mapInArrow(_listing_task(listing, "merge"), schema)
        ids = listing.ids(merged.toArrow())
        listed = df.sparkSession.createDataFrame(_columns.arrow().table({found["ids"]: ids}))
        drawn = rows.join(listed.hint("broadcast"), found["ids"], "left_semi")
        return scan.finish(listing, ids, drawn.toArrow(), known, classes)


def _unlabelled(df: Any, column: str) -> str:
    """That a row has no label, as SQL."""
    label, number = _quoted(column), dict(df.dtypes)[column] != "string"
    return f"({label} IS NULL" + (f" OR {label} < 0 OR isnan({label}))" if number else ")")


def _share(sample: int, rows: int) -> float:
    """Of the smallest keys, so many that at least `sample` of `rows` are below, by six standard deviations."""
    return min(1.0, (sample + 6 * sample**0.5 + 40) / rows) if rows else 1.0


def _task(plan: Plan, name: str, **rest: Any) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """What a worker runs. It travels by value, so that a worker without vabal says so."""
    data = plan.to_bytes()

    def task(batches: Iterator[Any]) -> Iterator[Any]:
        from vabal import Plan

        yield from getattr(Plan.from_bytes(data), name)(batches, **rest)

    return task


def _worker(plan: Plan, name: str, **rest: Any) -> Callable[[Iterator[Any]], Iterator[Any]]:
    data = plan.to_bytes()

    def task(batches: Iterator[Any]) -> Iterator[Any]:
        from vabal import Plan, _in_parts

        yield from getattr(_in_parts, name)(Plan.from_bytes(data), batches, **rest)

    return task


def _listing_task(listing: Listing, name: str, **rest: Any) -> Callable[[Iterator[Any]], Iterator[Any]]:
    data = listing.to_bytes()

    def task(batches: Iterator[Any]) -> Iterator[Any]:
        from vabal._shortlist import Listing

        yield from getattr(Listing.from_bytes(data), name)(batches, **rest)

    return task


def _keep(ids: str, seed: int, share: float) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """Leaves the rows whose keys are in the smallest `share` of all keys."""
    largest = int(share * (2**64 - 1))

    def task(batches: Iterator[Any]) -> Iterator[Any]:
        from vabal import _columns, _plan

        for batch in batches:
            if batch.num_rows:
                keys = _plan.sample_keys(_columns.ids(batch, ids), seed)
                yield batch.filter(_columns.arrow().array(keys <= largest))

    return task


def _score_udf(plan: Plan) -> Any:
    functions, pandas = importlib.import_module("pyspark.sql.functions"), importlib.import_module("pandas")
    data, needs, series = plan.to_bytes(), plan.needs, pandas.Series

    def score(*columns: Any) -> Any:
        import importlib

        import numpy as np

        from vabal import Plan, _columns

        pa, pandas = _columns.arrow(), importlib.import_module("pandas")
        names = ("ids", *needs)
        if len(columns) != len(names):
            raise TypeError(
                f"score is of other columns\n  expected: score({', '.join(names)})\n  got: {len(columns)} columns"
            )
        plan = Plan.from_bytes(data)
        table = pa.table([pa.array(column, from_pandas=True) for column in columns], names)
        scores = [
            plan._raw.scores(pool)
            for batch in _columns.batches_of(table)
            if (pool := plan._pool(batch, {name: name for name in names}, None)) is not None
        ]
        return pandas.Series(np.frombuffer(b"".join(scores), np.float64))

    score.__annotations__ = {"columns": series, "return": series}
    return functions.pandas_udf(score, "double")


def _id_type(kind: str, column: str) -> str:
    if kind in ("tinyint", "smallint", "int", "bigint"):
        return "bigint"
    if kind == "string" or kind.startswith(("varchar", "char")):
        return "string"
    raise TypeError(
        f"ids of a type that is not read\n  where: column {column}\n  expected: whole numbers or texts\n  got: {kind}"
    )


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
