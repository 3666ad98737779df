"""Arrays of any library as numpy's, without a copy where the memory is already what Rust reads.

Nothing but numpy is imported: torch, pandas and pyarrow are known by the methods that their objects have.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

ArrayLike: TypeAlias = Any
"""numpy, a torch tensor on CPU or GPU, pandas, pyarrow, anything with DLPack, or nested lists."""

Column: TypeAlias = "npt.NDArray[np.int64] | list[str] | list[str | None]"
"""Labels or ids, as the library takes them."""


def to_numpy(value: ArrayLike) -> npt.NDArray[Any]:
    """``value`` as an array of numpy that shares its memory where it can."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            "a masked array with values that are masked\n  expected: values for every row"
            "\n  hint: fill them first; in labels=, −1 is no label: labels.filled(-1)"
        )
    if isinstance(value, np.ndarray):
        return value
    # torch: off the graph, off the GPU. bfloat16, which numpy has not, becomes float32.
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu()
        if str(getattr(value, "dtype", "")) == "torch.bfloat16":
            value = value.float()
        return np.asarray(np.from_dlpack(value))
    # pyarrow
    if hasattr(value, "to_numpy_ndarray"):  # a tensor column
        return np.asarray(value.to_numpy_ndarray())
    if hasattr(value, "combine_chunks"):  # a table or a chunked array
        value = value.combine_chunks()
    if hasattr(value, "to_numpy_ndarray"):
        return np.asarray(value.to_numpy_ndarray())
    if hasattr(value, "column_names") and hasattr(value, "columns"):
        return np.column_stack([to_numpy(column) for column in value.columns])
    if hasattr(value, "flatten") and hasattr(getattr(value, "type", None), "list_size"):
        return to_numpy(value.flatten()).reshape(len(value), value.type.list_size)
    if type(value).__module__.partition(".")[0] == "pyarrow" and hasattr(value, "to_numpy"):
        return np.asarray(value.to_numpy(zero_copy_only=False))
    # pandas, and whatever knows numpy itself
    if hasattr(value, "to_numpy"):
        return np.asarray(value.to_numpy())
    if hasattr(value, "__array__") or not hasattr(value, "__dlpack__"):
        return np.asarray(value)
    return np.asarray(np.from_dlpack(value))


def refuse(value: ArrayLike, name: str) -> None:
    """Complains of what holds values but is no array of them, and says what was meant."""
    kind = type(value).__name__
    if hasattr(value, "tocsr") or hasattr(value, "to_dense") and getattr(value, "is_sparse", False):
        dense = "toarray" if hasattr(value, "tocsr") else "to_dense"
        raise TypeError(
            f"{name}= is sparse\n  expected: a dense array\n  got: {kind} {list(value.shape)}\n"
            f"  hint: .{dense}(); where there are many columns, reduce them first, say by TruncatedSVD of scikit-learn"
        )
    if isinstance(value, (Iterator, Set, Mapping)):
        meant = "np.stack(list(…))" if isinstance(value, Iterator) else "np.array(list(…)), in the order of the rows"
        raise TypeError(
            f"{name}= has no rows in an order that stays\n  expected: an array\n  got: {kind}\n  hint: {meant}"
        )


def column_names(table: ArrayLike) -> list[str] | None:
    """What the columns of a table of pandas, polars or pyarrow are called, where all are texts."""
    names: Any = getattr(table, "column_names", getattr(table, "columns", ()))
    called = [] if names is None else list(names)
    return called if called and all(isinstance(name, str) for name in called) else None


def holds_texts(column: ArrayLike) -> bool:
    """Whether one of the values is a text."""
    array = to_numpy(column)
    return array.dtype.kind == "U" or (array.dtype.kind == "O" and any(isinstance(item, str) for item in array.flat))


def reals(value: ArrayLike, name: str) -> npt.NDArray[np.float32]:
    """``value`` as a C-contiguous float32 array; copied only if it is not one."""
    refuse(value, name)
    array = to_numpy(value)
    if array.dtype.kind == "O" and array.ndim == 1 and len(array):
        array = _stacked(array, name)
    if array.dtype.kind in "cUSVMm":
        raise TypeError(f"{name}= holds {array.dtype}, not numbers")
    try:
        # What is beyond float32 becomes infinite, which the library names by its row.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.require(array, dtype=np.float32, requirements=["C", "A"])
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}= holds something that is no number: {error}") from None


def _stacked(rows: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """A column of lists or arrays, as pandas and pyarrow have it, as one array."""
    arrays = [to_numpy(row) for row in rows]
    for row, array in enumerate(arrays):
        if array.shape != arrays[0].shape or array.dtype.kind == "O":
            got = "nothing" if rows[row] is None else list(array.shape)
            raise ValueError(
                f"{name}= holds rows of different shapes\n  where: row {row}"
                f"\n  expected: {list(arrays[0].shape)}, as in row 0\n  got: {got}"
            )
    return np.stack(arrays)


def identities(value: ArrayLike) -> tuple[npt.NDArray[Any], Column]:
    """Ids as the caller gave them, and as the library takes them: whole numbers of 64 bits, or texts."""
    refuse(value, "ids")
    given = to_numpy(value)
    if given.dtype.kind == "O" and all(isinstance(item, str) for item in given.flat):
        given = given.astype(str)
    if given.dtype.kind not in "iuU":
        raise TypeError(f"ids= holds {given.dtype}\n  expected: whole numbers or texts")
    if given.dtype.kind == "u" and (given > np.iinfo(np.int64).max).any():
        return given, _column(np.char.zfill(given.astype(str), 20))  # as texts
    return given, _column(given if given.dtype.kind == "U" else given.astype(np.int64))


def class_names(classes: int | Sequence[Any] | None) -> tuple[int | list[str] | None, dict[Any, str] | None]:
    """The number of classes or their names as the library takes them, and by which texts it knows the caller's."""
    if classes is None or isinstance(classes, (int, np.integer)):
        return None if classes is None else max(int(classes), 0), None
    items = [item.item() if isinstance(item, np.generic) else item for item in classes]
    if items == list(range(len(items))) and not any(isinstance(item, bool) for item in items):
        return len(items), None
    names = {item: repr(item) for item in items}
    return [names[item] for item in items], names


def labels(value: ArrayLike, name: str, names: dict[Any, str] | None) -> Column:
    """Labels [n] as whole numbers, −1 where there is none (below 0, NaN, None, NA); texts where classes are named."""
    refuse(value, name)
    array = to_numpy(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        return np.zeros(array.shape, np.int64)  # which the library refuses, by its shape
    if array.dtype.kind == "b" and names is None:
        raise TypeError(
            f"{name}= holds True and False\n  expected: the class of each row, −1 where there is none\n"
            "  hint: of a mask of the labelled rows: np.where(mask, y, -1); of two classes: classes=[False, True]"
        )
    if array.dtype.kind not in "iubf" or names is not None:
        items = array.tolist()
        if names is not None or any(isinstance(item, str) for item in items):
            return [_name(item, names or {}) for item in items]
        try:
            array = np.array([np.nan if _missing(item) else float(item) for item in items], np.float64)
        except (TypeError, ValueError):
            raise TypeError(
                f"{name}= holds {array.dtype}\n  expected: whole numbers, −1 or NaN where there is none"
                "\n  hint: give the names of the classes, in the order of the columns of probs=, as classes="
            ) from None
    if array.dtype.kind == "f":
        missing = np.isnan(array)
        broken = ~missing & ((array != np.floor(array)) | (np.abs(array) >= 2**53))
        if broken.any():
            row = int(np.argmax(broken))
            raise ValueError(f"a class is no whole number\n  where: {name}=, row {row}\n  got: {array[row]}")
        array = np.where(missing, -1, array)
    return np.ascontiguousarray(np.maximum(array.astype(np.int64), -1))


def _column(array: npt.NDArray[Any]) -> Column:
    if array.ndim != 1:
        return np.zeros(array.shape, np.int64)  # which the library refuses, by its shape
    return array.tolist() if array.dtype.kind == "U" else np.ascontiguousarray(array)


def _name(item: Any, names: dict[Any, str]) -> str | None:
    if item in names:
        return names[item]
    return None if _missing(item) or (isinstance(item, numbers.Real) and item < 0) else repr(item)


def _missing(item: Any) -> bool:
    if item is None:
        return True
    if isinstance(item, str):
        return False
    try:
        return bool(item != item)
    except TypeError:  # pandas.NA, which answers with itself
        return True


def whole(value: Any, name: str, largest: int) -> int:
    """``value`` as a whole number from 0 to ``largest``."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}= is no whole number\n  got: {value!r}") from None
    if not 0 <= number <= largest:
        raise ValueError(f"{name}= is out of range\n  expected: 0 to {largest}\n  got: {number}")
    return number
