"""Arrays of any library as numpy's, without a copy where the memory is already what Rust reads.

Nothing but numpy is imported: torch, pandas and pyarrow are known by the methods that their objects have.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

ArrayLike: TypeAlias = Any
"""numpy, a torch tensor on CPU or GPU, pandas, pyarrow, anything with DLPack, or nested lists."""

_SHAPES = {1: "[n]", 2: "[n, d]", 3: "[n, draws, C]", 4: "[n, channels, height, width]"}


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


def reals(value: ArrayLike, name: str, dimensions: int, shape: str | None = None) -> npt.NDArray[np.float32]:
    """``value`` as a C-contiguous float32 array of so many dimensions; copied only if it is not one."""
    array = to_numpy(value)
    if array.dtype.kind == "O" and array.ndim == 1 and dimensions > 1 and len(array):
        array = _stacked(array, name)
    if array.dtype.kind == "c" or array.dtype.kind in "USVMm":
        raise TypeError(f"{name}= holds {array.dtype}, not numbers")
    if array.ndim != dimensions:
        raise ValueError(
            f"{name}= has another shape\n  expected: {shape or _SHAPES[dimensions]}\n  got: {list(array.shape)}"
            + ("\n  hint: give one row of numbers a row: value.reshape(len(value), -1)" if array.ndim else "")
        )
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


def pixels(value: ArrayLike) -> npt.NDArray[np.uint8]:
    """Images as [n, channels, height, width], uint8, whichever of the two orders they come in."""
    array = to_numpy(value)
    if array.dtype != np.uint8:
        raise TypeError(f"images= holds {array.dtype}\n  expected: uint8, pixels from 0 to 255")
    if array.ndim == 3:
        array = array[:, np.newaxis]
    if array.ndim != 4:
        raise ValueError(
            "images= has another shape\n  expected: [n, channels, height, width] or [n, height, width, channels]"
            f"\n  got: {list(array.shape)}"
        )
    if array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = np.moveaxis(array, 3, 1)
    return np.require(array, requirements=["C", "A"])


def identities(value: ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Ids as the caller gave them, and the whole numbers that the library goes by.

    Whole numbers from 0 on are taken as they are; texts and others by their place in ascending order, so that the
    order in which a pool is listed changes nothing either way.
    """
    given = to_numpy(value)
    if given.ndim != 1:
        raise ValueError(f"ids= has another shape\n  expected: [n]\n  got: {list(given.shape)}")
    if given.dtype.kind == "O" and all(isinstance(item, str) for item in given):
        given = given.astype(str)
    if given.dtype.kind not in "iuU":
        raise TypeError(f"ids= holds {given.dtype}\n  expected: whole numbers or texts")
    unique, ranks = np.unique(given, return_inverse=True)
    if len(unique) < len(given):
        twice = unique[np.argmax(np.bincount(ranks) > 1)]
        raise ValueError(f"an id is there twice\n  where: id {twice}\n  expected: ids that do not repeat")
    if given.dtype.kind in "iu" and (not len(given) or (unique[0] >= 0 and unique[-1] <= np.iinfo(np.int64).max)):
        return given, np.require(given, dtype=np.int64, requirements=["C", "A"])
    return given, np.require(ranks, dtype=np.int64, requirements=["C", "A"])


def class_names(classes: int | Sequence[Any] | None) -> tuple[int | None, list[Any] | None]:
    """The number of classes and their names, as far as they are given."""
    if classes is None:
        return None, None
    if isinstance(classes, (int, np.integer)):
        if int(classes) < 2:
            raise ValueError(f"fewer than two classes\n  where: classes=\n  expected: 2 or more\n  got: {classes}")
        return int(classes), None
    names = [item.item() if isinstance(item, np.generic) else item for item in classes]
    if len(set(names)) < len(names):
        raise ValueError(f"classes= names a class twice\n  got: {names}")
    if len(names) < 2:
        raise ValueError(f"fewer than two classes\n  where: classes=\n  expected: 2 or more\n  got: {names}")
    return len(names), names


def classes_of(value: ArrayLike, name: str, classes: list[Any] | None, count: int | None) -> npt.NDArray[np.int64]:
    """Labels [n] as whole numbers from 0 on, −1 where there is none (below 0, NaN, None, NA).

    With ``classes`` a label is one of its values, and becomes its place in it.
    """
    array = to_numpy(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"{name}= has another shape\n  expected: [n], a class each\n  got: {list(array.shape)}"
            + ("\n  hint: for one column a class give value.argmax(1)" if array.ndim == 2 else "")
        )
    if classes is not None and classes != list(range(len(classes))):
        place = {item: number for number, item in enumerate(classes)}
        return np.fromiter((_place(item, row, name, place) for row, item in enumerate(array)), np.int64, len(array))
    if array.dtype.kind in "iub":
        numbered = array.astype(np.int64)
    else:
        try:
            floats = (
                array.astype(np.float64)
                if array.dtype.kind == "f"
                else np.fromiter(map(_real, array), np.float64, len(array))
            )
        except (TypeError, ValueError):
            raise TypeError(
                f"{name}= holds {array.dtype}\n  expected: whole numbers, −1 or NaN where there is none"
                "\n  hint: give the names of the classes, in the order of the columns of probs=, as classes="
            ) from None
        missing = np.isnan(floats)
        broken = ~missing & ((floats != np.floor(floats)) | (np.abs(floats) >= 2**53))
        if broken.any():
            row = int(np.argmax(broken))
            raise ValueError(f"a class is no whole number\n  where: {name}=, row {row}\n  got: {floats[row]}")
        numbered = np.where(missing, -1, floats).astype(np.int64)
    if count is not None and (numbered >= count).any():
        row = int(np.argmax(numbered >= count))
        raise ValueError(
            f"a class is out of range\n  where: {name}=, row {row}\n  expected: 0 to {count - 1}"
            f"\n  got: {numbered[row]}"
        )
    return np.ascontiguousarray(np.maximum(numbered, -1))


def _missing(item: Any) -> bool:
    if item is None:
        return True
    if isinstance(item, str):
        return False
    try:
        return bool(item != item)
    except TypeError:  # pandas.NA, which answers with itself
        return True


def _real(item: Any) -> float:
    if _missing(item):
        return float("nan")
    if isinstance(item, str):
        raise TypeError
    return float(item)


def _place(item: Any, row: int, name: str, place: dict[Any, int]) -> int:
    if isinstance(item, np.generic):
        item = item.item()
    if item in place:
        return place[item]
    if _missing(item) or (isinstance(item, numbers.Real) and item < 0):
        return -1
    known = ", ".join(map(repr, list(place)[:10])) + (", …" if len(place) > 10 else "")
    raise ValueError(
        f"a class is not one of classes=\n  where: {name}=, row {row}\n  expected: {known}\n  got: {item!r}"
    )


def whole(value: Any, name: str, largest: int) -> int:
    """``value`` as a whole number from 0 to ``largest``."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}= is no whole number\n  got: {value!r}") from None
    if not 0 <= number <= largest:
        raise ValueError(f"{name}= is out of range\n  expected: 0 to {largest}\n  got: {number}")
    return number
