"""A pool in a dataset of Ray.

::

    picks = vabal.ray.pick(ray.data.read_parquet("s3://pool"), plan)

Ray is imported when :func:`pick` is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from . import _in_parts
from ._columns import Binary
from ._engines import told
from ._plan import Plan

__all__ = ["pick"]

_INSTALL = "ray.init(runtime_env={'pip': ['vabal', 'pyarrow']}), or install them on every node"


class _Look:
    """An actor: of each block, what a pass over it finds."""

    def __init__(self, data: bytes, state: bytes, columns: Mapping[str, str], binary: Binary | None) -> None:
        self.plan, self.state, self.columns, self.binary = Plan.from_bytes(data), state, columns, binary

    def __call__(self, block: Any) -> Any:
        found = _in_parts.look(self.plan, block, state=self.state, columns=self.columns, binary=self.binary)
        return importlib.import_module("pyarrow").Table.from_batches(list(found))


class _Score:
    """An actor: of each block, what may be picked."""

    def __init__(self, data: bytes, columns: Mapping[str, str], binary: Binary | None) -> None:
        self.plan, self.columns, self.binary = Plan.from_bytes(data), columns, binary

    def __call__(self, block: Any) -> Any:
        pa = importlib.import_module("pyarrow")
        found = list(self.plan.batches(block, self.columns, binary=self.binary))
        schema = found[0].schema if found else self.plan.schema(_id_type(block.schema.field(self.columns["ids"]).type))
        return pa.Table.from_batches(found, schema)


def pick(
    dataset: Any,
    plan: Plan,
    n: int | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    binary: Binary | None = None,
    actors: int = 2,
) -> Any:
    """The picks of a dataset: a table of pyarrow, as :meth:`Plan.pick` gives it.

    Args:
        dataset: the pool, a row for each image; rows with a label are left out.
        plan: made by :func:`vabal.plan`.
        n: how many, if not as many as the plan may pick.
        columns: as of :meth:`Plan.batches`.
        binary: as of :meth:`Plan.batches`.
        actors: how many of Ray's actors score at most, one core each.

    An actor gives of each block what may be picked; the driver joins these as they come.
    """
    data = importlib.import_module("ray.data")
    with told("Ray", _INSTALL):
        found = plan._find(dataset.columns(), columns)
        chosen = dataset.select_columns(list(dict.fromkeys(found.values())))
        wanted = plan._wanted(n)

        def mapped(actor: type, *args: Any) -> Any:
            done = chosen.map_batches(
                actor,
                fn_constructor_args=(plan.to_bytes(), *args),
                batch_format="pyarrow",
                batch_size=None,
                # From one on: where all cores were held by actors, none would be left to read the blocks.
                compute=data.ActorPoolStrategy(min_size=1, max_size=actors),
            )
            return done.iter_batches(batch_format="pyarrow", batch_size=None)

        if plan._raw.way == "passes":
            return _in_parts.by_passes(plan, lambda state: mapped(_Look, state, found, binary), wanted)
        if plan._raw.way == "parts":
            sent, pa = plan.to_bytes(), importlib.import_module("pyarrow")

            def tag(block: Any) -> Any:
                rows = _in_parts.tag(Plan.from_bytes(sent), block, columns=found)
                return pa.Table.from_batches(rows, _in_parts.tagged(block.schema, found))

            def choose(block: Any) -> Any:
                return pa.Table.from_batches(
                    _in_parts.choose(Plan.from_bytes(sent), block, columns=found, binary=binary)
                )

            tagged = chosen.map_batches(tag, batch_format="pyarrow", batch_size=None)
            parts = tagged.groupby(_in_parts.PART).map_groups(choose, batch_format="pyarrow")
            batches = parts.iter_batches(batch_format="pyarrow", batch_size=None)
            return _in_parts.by_parts(plan, batches, found, binary, wanted)
        return plan.pick(mapped(_Score, found, binary), n)


def _id_type(kind: Any) -> str:
    return "int64" if importlib.import_module("pyarrow").types.is_integer(kind) else "string"
