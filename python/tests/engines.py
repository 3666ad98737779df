"""The pool that the tests of engines share, in files of each layout, and its picks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_in_parts import IN_PARTS, made
from test_in_parts import picked as picked_in_parts
from test_plan import pa, parts, picked, pq, table
from test_shortlist import known

import vabal

SCALE = (Path(__file__).parents[2] / "docs/scale.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^### (\w+)\n.*?^```python\n(.*?)^```$", SCALE, re.MULTILINE | re.DOTALL))
"""The code of docs/scale.md, by engine."""
SHORTLIST = SCALE.split("### A shortlist on Spark and Sail\n")[1].split("```python\n")[1].split("```")[0]
STRATEGIES: tuple[vabal.StrategyName, ...] = ("margin", "vabal")
LAYOUTS = ("list", "float32", "float16")


@dataclass(frozen=True)
class Pool:
    """A pool as seven files, in a folder for each layout."""

    folder: Path
    whole: Any
    plans: dict[vabal.StrategyName, vabal.Plan]
    picks: dict[vabal.StrategyName, Any]

    def files(self, layout: str = "list") -> list[str]:
        return sorted(map(str, (self.folder / layout).glob("*.parquet")))


def make(folder: Path) -> Pool:
    whole = table()

    def stored(column: Any, layout: str) -> Any:
        rows = column.to_pylist()
        return column if layout == "list" else pa.array([np.array(row, layout).tobytes() for row in rows])

    for layout in LAYOUTS:
        (folder / layout).mkdir()
        changed = whole.select(["ids", "labels"])
        for name in ("features", "probs"):
            changed = changed.append_column(name, stored(whole[name], layout))
        for number, part in enumerate(parts(changed, 7)):
            pq.write_table(part, folder / layout / f"{number}.parquet")
    half = pa.table({"ids": whole["ids"], "features": whole["features"], "probs": halves(whole["probs"])})
    (folder / "half").mkdir()
    pq.write_table(half, folder / "half" / "0.parquet")
    plans = {strategy: vabal.plan(strategy, table=whole, n=50, seed=3) for strategy in STRATEGIES}
    return Pool(folder, whole, plans, {strategy: picked(plan, [whole]) for strategy, plan in plans.items()})


def halves(column: Any) -> Any:
    return column.cast(pa.list_(pa.float16()))


def changed(code: str, at: dict[str, str]) -> str:
    """Code with other addresses."""
    for there, here in at.items():
        assert there in code
        code = code.replace(there, here)
    return code


def check_recipe(
    engine: str, pool: Pool, strategy: vabal.StrategyName, at: dict[str, str], names: dict[str, Any]
) -> None:
    """Runs the code of docs/scale.md, with addresses that are here and fewer picks."""
    exec(changed(RECIPES[engine], {"10_000": "50", **at}), names)
    plan = vabal.plan(strategy, table=pool.whole, n=50)
    assert names["picks"].equals(picked(plan, [pool.whole]))


def check_picks(spark: Any, pool: Pool) -> None:
    """Plans and picks of every engine of data frames."""
    for layout in LAYOUTS:
        df = spark.read.parquet(str(pool.folder / layout))
        for strategy, plan in pool.plans.items():
            if layout == "list" or strategy == "vabal":
                assert vabal.spark.pick(df, plan).equals(pool.picks[strategy]), (layout, strategy)
    for strategy in IN_PARTS:
        df, together = spark.read.parquet(str(pool.folder / "float16")).coalesce(2), made(strategy, pool.whole)
        assert vabal.spark.pick(df, together).equals(picked_in_parts(together, [pool.whole])), strategy
    df = spark.read.parquet(str(pool.folder / "list"))
    plan = pool.plans["vabal"]
    assert vabal.spark.plan(df, n=50, seed=3) == plan
    sampled = vabal.plan("margin", table=pool.whole, n=5, sample=300)
    assert vabal.spark.plan(df, strategy="margin", n=5, sample=300) == sampled and sampled.sampled == 300
    apart = vabal.spark.plan(df.where("labels < 0"), df.where("labels >= 0"), n=50, seed=3)
    assert apart == plan

    spark.udf.register("score", pool.plans["margin"].pandas_udf())
    df.createOrReplaceTempView("pool")
    best = spark.sql("SELECT max(score(ids, probs)) AS best FROM pool WHERE labels < 0").toArrow()
    assert best["best"].to_pylist() == pool.picks["margin"]["score"].to_pylist()[:1]


def check_shortlist(spark: Any, pool: Pool) -> None:
    """The list of every engine of data frames is that of one process, from every layout, whatever ids are."""
    labelled = known()
    expected = vabal.shortlist(pool.whole, labelled, n=90, seed=3)
    apart = spark.createDataFrame(labelled)
    for layout in LAYOUTS:
        df = spark.read.parquet(str(pool.folder / layout)).coalesce(2)
        binary: Any = None if layout == "list" else layout
        assert vabal.spark.shortlist(df, labelled, n=90, seed=3, binary=binary).equals(expected), layout
    df = spark.read.parquet(str(pool.folder / "list")).coalesce(2)
    assert vabal.spark.shortlist(df, apart, n=90, seed=3).equals(expected)
    assert vabal.spark.shortlist(df, n=90).equals(vabal.shortlist(pool.whole, n=90))
    bare = df.selectExpr("concat('image ', ids) AS `the id`", "probs AS softmax", "labels")
    ids = pa.array([f"image {id}" for id in pool.whole["ids"].to_pylist()])
    whole = pa.table({"ids": ids, "probs": pool.whole["probs"], "labels": pool.whole["labels"]})
    columns = {"ids": "the id", "probs": "softmax"}
    assert vabal.spark.shortlist(bare, n=90, columns=columns).equals(vabal.shortlist(whole, n=90))

    at = {"s3://bucket/labelled": str(pool.folder / "labelled.parquet"), "n=500": "n=5"}
    pq.write_table(labelled, at["s3://bucket/labelled"])
    code = changed(SHORTLIST, at | {"candidates.parquet": str(pool.folder / "candidates.parquet")})
    exec(code, names := {"spark": spark, "vabal": vabal, "pq": pq, "pool": df})
    assert names["candidates"].equals(vabal.shortlist(pool.whole, labelled)) and len(names["chosen"]) == 5

    with pytest.raises(ValueError, match=r"features of another width\n  where: column features, id \d+\n"):
        vabal.spark.shortlist(df.selectExpr("ids", "slice(features, 1, 11) AS features", "probs"), labelled, n=90)
    with pytest.raises(ValueError, match=r"where: column probs, row \d+, id \d+\n"):
        vabal.spark.shortlist(df.selectExpr("ids", "transform(probs, p -> double('NaN')) AS probs"), n=90)
    with pytest.raises(ValueError, match="there is no row to list"):
        vabal.spark.shortlist(df.where("labels >= 0"), labelled, n=90)
    with pytest.raises(ValueError, match="9, three a class, to 1000000"):
        vabal.spark.shortlist(df, n=8)


def check_errors(spark: Any, pool: Pool) -> None:
    """A worker's error arrives whole, with the id."""
    df, plan = spark.read.parquet(str(pool.folder / "list")), pool.plans["vabal"]
    with pytest.raises(ValueError) as raised:
        vabal.spark.pick(df.selectExpr("ids", "slice(features, 1, 11) AS features", "probs"), plan)
    lines = str(raised.value).split("\n")
    assert lines[0] == "features of another width" and lines[2:] == ["  expected: 12", "  got: 11"]
    assert int(lines[1].removeprefix("  where: column features, id ")) in pool.whole["ids"].to_pylist()
    nan = df.selectExpr("ids", "features", "transform(probs, p -> double('NaN')) AS probs")
    with pytest.raises(ValueError, match=r"where: column probs, row \d+, id \d+\n"):
        vabal.spark.pick(nan, plan)
    with pytest.raises(ValueError, match=r"an id is below 0(.|\n)*got: -\d+\n"):
        vabal.spark.pick(df.selectExpr("-ids - 1 AS ids", "features", "probs"), plan)
    with pytest.raises(ValueError, match=r"an id is missing\n  where: column ids"):
        vabal.spark.pick(df.selectExpr("nullif(ids, ids) AS ids", "features", "probs"), plan)
    with pytest.raises(ValueError, match=r"duplicate id\n  where: id \d+\n"):
        vabal.spark.pick(df.union(df), plan)
    with pytest.raises(ValueError, match="a part without ids"):
        vabal.spark.pick(df.drop("ids"), plan)
    with pytest.raises(TypeError, match="ids of a type that is not read(.|\n)*got: double"):
        vabal.spark.pick(df.selectExpr("double(ids) AS ids", "features", "probs"), plan)
