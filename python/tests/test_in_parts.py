"""BADGE in passes and core-set in two rounds: the same picks however a pool is split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_plan import listed, pa, parts, table

import vabal
from vabal import _in_parts

IN_PARTS: tuple[vabal.StrategyName, ...] = ("badge", "core-set")


def made(strategy: vabal.StrategyName, whole: Any, n: int = 50) -> vabal.Plan:
    """A plan; of core-set, for a pool of three parts."""
    plan = vabal.plan(strategy, table=whole, n=n, seed=3, rows=30_000_000)
    assert plan._raw.parts == (3 if strategy == "core-set" else 1)
    return plan


def picked(plan: vabal.Plan, tables: list[Any], n: int | None = None) -> Any:
    """What an engine does, in one process."""
    found = plan._find(tables[0].schema.names, None)
    if plan._raw.way == "passes":

        def run(state: bytes) -> list[Any]:
            return [row for part in tables for row in _in_parts.look(plan, part, state=state, columns=found)]

        return _in_parts.by_passes(plan, run, plan._wanted(n))
    rows = [batch for part in tables for batch in _in_parts.tag(plan, part, columns=found)]
    assert all(batch.schema.equals(_in_parts.tagged(tables[0].schema, found)) for batch in rows)
    chosen: list[Any] = []
    for part in range(plan._raw.parts):
        mine = [batch.filter(pa.array(np.asarray(batch.column(_in_parts.PART)) == part)) for batch in rows]
        chosen += _in_parts.choose(plan, mine, columns=found)
    return _in_parts.by_parts(plan, chosen, found, None, plan._wanted(n))


@pytest.mark.parametrize("strategy", IN_PARTS)
def test_however_a_pool_is_split_the_picks_are_the_same(strategy: vabal.StrategyName) -> None:
    whole = table()
    plan = made(strategy, whole)
    expected = picked(plan, [whole])
    ids = set(expected["id"].to_pylist())
    assert expected.num_rows == len(ids) == 50
    assert not ids & set(np.array(whole["ids"])[np.array(whole["labels"]) >= 0])
    mixed = whole.take(np.random.default_rng(1).permutation(len(whole)))
    assert picked(vabal.Plan.from_bytes(plan.to_bytes()), parts(mixed, 5)).equals(expected)
    batches = [pa.Table.from_batches([batch]) for batch in mixed.to_batches(max_chunksize=90)]
    assert picked(plan, batches).equals(expected)
    texts = whole.set_column(0, "ids", pa.array([f"{id}.png" for id in whole["ids"].to_pylist()]))
    assert all(id.endswith(".png") for id in picked(made(strategy, texts), [texts])["id"].to_pylist())
    with pytest.raises(ValueError, match="does not score each row alone"):
        list(plan.batches(whole))


def test_core_set_of_one_part_is_that_of_select() -> None:
    whole = table()
    plan = vabal.plan("core-set", table=whole, n=50)
    assert plan._raw.parts == 1
    features = np.array(whole["features"].to_pylist(), np.float32)
    selection = vabal.select("core-set", features, labels=whole["labels"], ids=whole["ids"], n=50)
    assert picked(plan, parts(whole, 3))["id"].to_pylist() == list(selection.ids)


@pytest.mark.parametrize("strategy", IN_PARTS)
def test_what_is_wrong_is_named(strategy: vabal.StrategyName) -> None:
    whole = table()
    plan = made(strategy, whole)
    with pytest.raises(ValueError, match="duplicate id"):
        picked(plan, [whole, whole])
    narrow = whole.slice(400).set_column(1, "features", listed(np.ones((len(whole) - 400, 3), np.float32)))
    with pytest.raises(ValueError, match="of another width|of different lengths"):
        picked(plan, [whole.slice(0, 400), narrow])
    with pytest.warns(UserWarning, match="asked for 800, and there are no more than 640"):
        assert picked(made(strategy, whole, 800), [whole]).num_rows == 640
    with pytest.warns(UserWarning, match="no more than 0"):
        assert picked(plan, [whole.slice(0, 0)]).num_rows == 0
