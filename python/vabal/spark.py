"""A pool in Spark: on a cluster, on Databricks, or on Sail, which speaks Spark's protocol.

::

    plan = vabal.spark.plan(pool, n=10_000)
    picks = vabal.spark.pick(pool, plan)

Written for Spark Connect: it knows data frames alone, no context. Nothing of Spark is imported here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import _arrays, _columns
from ._columns import Binary
from ._engines import told
from ._plan import SAMPLE, Plan, needs_of
from ._plan import plan as make_plan
from ._progress import Callback
from ._select import as_json
from ._settings import StrategyName

__all__ = ["pick", "plan"]

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
    receives what is left.
    """
    with told("Spark or Sail", _INSTALL):
        found = plan._find(df.columns, columns)
        kinds = dict(df.dtypes)
        schema = f"id {_id_type(kinds[found['ids']], found['ids'])}, {_COLUMNS}"
        chosen = df.select(*map(_quoted, dict.fromkeys(found.values())))
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
            label = _quoted(found["labels"])
            number = dict(df.dtypes)[found["labels"]] != "string"
            none = f"({label} IS NULL" + (f" OR {label} < 0 OR isnan({label}))" if number else ")")
            known = rows.where(f"NOT {none}") if labelled is None else labelled
            rows = rows.where(none)
        count = rows.count()
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
