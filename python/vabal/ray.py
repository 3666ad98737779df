"""A pool in a dataset of Ray.

::

    picks = vabal.ray.pick(ray.data.read_parquet("s3://pool"), plan)

Ray is imported when :func:`pick` is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from ._columns import Binary
from ._engines import told
from ._plan import Plan

__all__ = ["pick"]

_INSTALL = "ray.init(runtime_env={'pip': ['vabal', 'pyarrow']}), or install them on every node"


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
        scored = dataset.select_columns(list(dict.fromkeys(found.values()))).map_batches(
            _Score,
            fn_constructor_args=(plan.to_bytes(), found, binary),
            batch_format="pyarrow",
            batch_size=None,
            # From one on: where all cores were held by actors, none would be left to read the blocks.
            compute=data.ActorPoolStrategy(min_size=1, max_size=actors),
        )
        return plan.pick(scored.iter_batches(batch_format="pyarrow", batch_size=None), n)


def _id_type(kind: Any) -> str:
    return "int64" if importlib.import_module("pyarrow").types.is_integer(kind) else "string"
