"""Columns of tables as arrays: lists, lists of one length, lists of lists, and bytes, which every engine can hold.

pyarrow is imported when there is a table to read.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from . import _arrays

Batches: TypeAlias = Any
"""A table of pyarrow, pandas, polars or whatever else speaks Arrow, or an iterable of such tables or of batches."""
Binary: TypeAlias = Literal["float16", "float32"]
"""What the bytes of a BINARY column are, little endian, where neither a width nor the ending of its name tells."""

ARRAYS = ("features", "probs", "predicted", "mc_probs", "committee_probs", "labels", "ids")
_ENDINGS: dict[str, Binary] = {"_f16": "float16", "_f32": "float32"}
_ALIAS = {"ids": "id", "labels": "label"}
_LARGEST_BATCH = 65_536


def arrow() -> Any:
    """pyarrow."""
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise ModuleNotFoundError("tables are read by pyarrow\n  hint: pip install pyarrow", name="pyarrow") from error


def batches_of(given: Batches) -> Iterator[Any]:
    """Batches that are not empty, none very large."""
    pa = arrow()
    whole = isinstance(given, (pa.Table, pa.RecordBatch)) or hasattr(given, "__arrow_c_stream__")
    for table in [given] if whole else given:
        if isinstance(table, pa.RecordBatch):
            stream = [table]
        elif hasattr(table, "__arrow_c_stream__"):  # read batch by batch: it may be larger than memory
            stream = pa.RecordBatchReader.from_stream(table)
        else:
            raise TypeError(f"this is no table\n  expected: batches or tables of Arrow\n  got: {type(table).__name__}")
        for batch in stream:
            batch = _without_views(batch)
            for start in range(0, batch.num_rows, _LARGEST_BATCH):
                yield batch.slice(start, _LARGEST_BATCH)


def _without_views(batch: Any) -> Any:
    """Texts and bytes in the layout that pyarrow can filter."""
    pa = arrow()
    plain = {pa.binary_view(): pa.large_binary(), pa.string_view(): pa.large_string()}
    fields = [field.with_type(plain.get(field.type, field.type)) for field in batch.schema]
    return batch if all(map(pa.Field.equals, fields, batch.schema)) else batch.cast(pa.schema(fields))


def find(there: Sequence[str], columns: Mapping[str, str] | None, needs: Iterable[str]) -> dict[str, str]:
    """The column of each array: as told, else of its name. What is not there is left out."""
    told = dict(columns or {})
    for name, column in told.items():
        if name not in ARRAYS and not re.fullmatch(r"stage\d+", name):
            near = difflib.get_close_matches(name, ARRAYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else "columns= says which column holds each: {'ids': 'uuid'}"
            raise TypeError(f"columns= names no array\n  expected: {', '.join(ARRAYS)}\n  got: {name}\n  hint: {hint}")
        if column not in there:
            raise ValueError(
                f"a column is missing\n  where: columns=, {name}\n  expected: {column}\n  got: {', '.join(there)}"
            )
    found = {}
    for name in ("ids", "labels", *needs):
        own = next((own for own in (name, f"{name}_f16", f"{name}_f32", _ALIAS.get(name, name)) if own in there), name)
        if told.get(name, own) in there:
            found[name] = told.get(name, own)
        elif name == "features":
            stages = {stage: stage for stage in told if stage.startswith("stage")}
            stages |= {
                column.partition("_")[0]: column for column in there if re.fullmatch(r"stage\d+(_f16|_f32)?", column)
            }
            found |= {each: told.get(each, stages[each]) for each in sorted(stages, key=lambda each: int(each[5:]))}
        elif name == "probs":
            found |= {"predicted": told.get("predicted", "predicted")} if "predicted" in (*there, *told) else {}
        elif name == "predicted":
            found |= find(there, columns, ("probs",))
    return found


def open_rows(batch: Any, column: str) -> Any:
    """The rows without a label."""
    pa, pc = arrow(), importlib.import_module("pyarrow.compute")
    labels = batch.column(column)
    none = pc.is_null(labels, nan_is_null=True)
    if pa.types.is_integer(labels.type) or pa.types.is_floating(labels.type):
        none = pc.or_kleene(none, pc.less(labels, 0))
    elif pa.types.is_boolean(labels.type):
        raise TypeError(f"labels are True and False\n  where: column {column}\n  expected: a class, −1 for none")
    return batch if pc.all(none).as_py() else batch.filter(none)


def ids(batch: Any, column: str) -> _arrays.Column:
    """Whole numbers or texts, none missing."""
    pa = arrow()
    values = _plain(batch.column(column))
    kind = values.type
    if values.null_count:
        row = values.is_null().index(True).as_py()
        raise ValueError(
            f"an id is missing\n  where: column {column}, row {row} of a batch, behind {_behind(values, row)}"
            "\n  expected: whole numbers or texts\n  got: none\n  hint: every row needs an id of its own"
        )
    if pa.types.is_integer(kind):
        whole = values.to_numpy(zero_copy_only=False)
        if kind == pa.uint64() and (whole > np.iinfo(np.int64).max).any():
            got = int(whole.max())
            raise ValueError(f"an id is too large\n  where: column {column}\n  expected: below 2**63\n  got: {got}")
        return np.ascontiguousarray(whole, np.int64)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts: list[str] = values.to_pylist()
        return texts
    raise TypeError(
        f"ids of a type that is not read\n  where: column {column}\n  expected: whole numbers or texts\n  got: {kind}"
    )


def _behind(values: Any, row: int) -> str:
    return f"id {values[row - 1]}" if row else "none"


def floats(
    column: Any, place: str, called: Callable[[int], str], width: int | None = None, binary: Binary | None = None
) -> npt.NDArray[np.float32]:
    """Numbers as [n, …], float32. `width` is how many a row has, where that is known; for BINARY of both types."""
    pa, pc = arrow(), importlib.import_module("pyarrow.compute")
    shape, values = [len(column)], column

    def row(position: int) -> str:
        return f"{place}, {called(position // max(int(np.prod(shape[1:])), 1))}"

    while True:
        if hasattr(values, "combine_chunks"):
            values = values.combine_chunks()
        if hasattr(values, "to_numpy_ndarray"):  # tensors
            tensors = np.asarray(values.to_numpy_ndarray())
            return np.ascontiguousarray(tensors.reshape(*shape, *tensors.shape[1:]), np.float32)
        values = _plain(values)
        kind = values.type
        nested = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        if values.null_count:
            where = row(values.is_null().index(True).as_py())
            raise ValueError(f"a value is missing\n  where: {where}\n  expected: numbers in every row\n  got: null")
        if pa.types.is_fixed_size_list(kind):
            lengths: Any = [kind.list_size]
        elif nested:
            lengths = pc.list_value_length(values).to_numpy(zero_copy_only=False)
        elif _is_bytes(kind):
            return _of_bytes(values, shape, row, width, binary)
        else:
            break
        _even(np.asarray(lengths), row)
        shape.append(int(lengths[0]))
        values = values.flatten()
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise TypeError(
            f"these are no numbers\n  where: {place}\n  expected: lists of floats, or BINARY\n  got: {kind}"
        )
    with np.errstate(over="ignore"):
        array = values.to_numpy(zero_copy_only=False).reshape(shape)
        return np.require(array, dtype=np.float32, requirements=["C", "A"])


def _even(lengths: npt.NDArray[Any], row: Callable[[int], str], unit: str = "") -> None:
    other = np.flatnonzero(lengths != lengths[0])
    if len(other):
        raise ValueError(
            f"rows of different lengths\n  where: {row(int(other[0]))}"
            f"\n  expected: {lengths[0]}{unit}, as in the first row\n  got: {lengths[other[0]]}{unit}"
        )


def _is_bytes(kind: Any) -> bool:
    types = arrow().types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _of_bytes(
    values: Any, shape: list[int], row: Callable[[int], str], width: int | None, binary: Binary | None
) -> npt.NDArray[np.float32]:
    if binary not in (None, "float16", "float32"):
        raise ValueError(f"binary= is out of range\n  expected: 'float16' or 'float32'\n  got: {binary!r}")
    buffers, kind = values.buffers(), values.type
    if arrow().types.is_fixed_size_binary(kind):
        size, start, data = kind.byte_width, values.offset * kind.byte_width, buffers[1]
    else:
        of = np.int64 if arrow().types.is_large_binary(kind) else np.int32
        offsets = np.frombuffer(buffers[1], of, len(values) + 1, values.offset * np.dtype(of).itemsize)
        lengths = np.diff(offsets)
        _even(lengths, row, " bytes")
        size, start, data = int(lengths[0]), int(offsets[0]), buffers[2]
    types: list[Binary] = [binary] if binary else ["float32", "float16"]
    if width is not None:
        fit = [each for each in types if size == width * np.dtype(each).itemsize]
        if not fit:
            expected = " or ".join(f"{width * np.dtype(each).itemsize} bytes, {width} of {each}" for each in types)
            raise ValueError(f"rows of another width\n  where: {row(0)}\n  expected: {expected}\n  got: {size} bytes")
        types = fit
    little = np.dtype(types[0]).newbyteorder("<")
    if size == 0 or size % little.itemsize:
        raise ValueError(f"bytes that are no {types[0]}\n  where: {row(0)}\n  got: {size} bytes")
    count = size // little.itemsize
    flat = np.frombuffer(data, little, len(values) * count, start)
    return np.require(flat.reshape(*shape, count), dtype=np.float32, requirements=["C", "A"])


def _plain(values: Any) -> Any:
    """Without a dictionary, without an extension."""
    while hasattr(values, "dictionary_decode") or hasattr(values, "storage"):
        values = values.dictionary_decode() if hasattr(values, "dictionary_decode") else values.storage
    return values


def gather(
    batch: Any,
    found: Mapping[str, str],
    *,
    classes: int | None,
    width: int | None = None,
    binary: Binary | None = None,
    names: dict[Any, str] | None = None,
) -> list[tuple[str, str, Any]]:
    """The arrays of a batch or a table, as :class:`_vabal.Pool` takes them."""
    own = ids(batch, found["ids"]) if "ids" in found else None

    def called(row: int) -> str:
        return f"row {row}" if own is None else f"id {own[row]}"

    arrays: list[tuple[str, str, Any]] = []
    for name, column in found.items():
        values, place = batch.column(column), f"column {column}"
        kind = binary or _ENDINGS.get(column[-4:])
        if name == "ids":
            arrays.append((name, place, own))
        elif name in ("labels", "predicted"):
            arrays.append((name, place, _arrays.labels(_arrays.to_numpy(values), name, names)))
        elif name in ("mc_probs", "committee_probs"):
            array = floats(values, place, called, None, kind)
            if array.ndim == 2 and classes and array.shape[1] % classes == 0:
                array = array.reshape(len(array), -1, classes)
            arrays.append((name, place, array))
        else:
            wide = classes if name == "probs" else width if name == "features" else None
            array = floats(values, place, called, wide, kind)
            if wide is not None and array.ndim == 2 and array.shape[1] != wide:
                what = "probabilities of another number of classes" if name == "probs" else "features of another width"
                raise ValueError(f"{what}\n  where: {place}, {called(0)}\n  expected: {wide}\n  got: {array.shape[1]}")
            arrays.append((name, place, array))
    return arrays
