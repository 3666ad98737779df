"""Arrays of other libraries, and that none is copied without need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FEW, Known

import vabal
from vabal import _arrays


def chosen(known: Known, features: Any, probs: Any, labels: Any) -> list[int]:
    return list(vabal.select("vabal-paper", features, probs, labels, n=10, **FEW).ids)


@pytest.fixture
def expected(known: Known) -> list[int]:
    return chosen(known, known.features, known.probs, known.labels)


def test_numpy_of_any_layout_and_type(known: Known, expected: list[int]) -> None:
    wide = np.zeros((400, 24), dtype=np.float32)
    wide[:, ::2] = known.features
    for features in (
        known.features.astype(np.float64),
        np.asfortranarray(known.features),
        wide[:, ::2],
        known.features.astype(">f4"),
        known.features.tolist(),
        known.features[::-1][::-1],
        np.frombuffer(b"x" + known.features.tobytes(), np.uint8)[1:].view(np.float32).reshape(400, 12),  # unaligned
    ):
        assert chosen(known, features, known.probs, known.labels) == expected
    frozen = known.features.copy()
    frozen.flags.writeable = False
    assert chosen(known, frozen, known.probs, known.labels) == expected


def test_torch(known: Known, expected: list[int]) -> None:
    torch = pytest.importorskip("torch")
    features, probs = torch.from_numpy(known.features), torch.from_numpy(known.probs)
    assert np.shares_memory(_arrays.reals(features, "features"), known.features)
    assert chosen(known, features.requires_grad_(), probs.double(), torch.from_numpy(known.labels)) == expected
    assert chosen(known, features.T.contiguous().T, probs, known.labels) == expected
    half = _arrays.reals(features.bfloat16(), "features")
    np.testing.assert_allclose(half, known.features, rtol=1e-2)
    parameters = torch.nn.Parameter(features)
    assert chosen(known, parameters, probs, known.labels) == expected
    if torch.cuda.is_available():
        assert chosen(known, features.cuda(), probs.cuda(), known.labels) == expected


def test_pandas(known: Known, expected: list[int]) -> None:
    pd = pytest.importorskip("pandas")
    features, probs = pd.DataFrame(known.features), pd.DataFrame(known.probs)
    labels = pd.Series(known.labels).where(known.labels >= 0)
    assert chosen(known, features, probs, labels) == expected
    assert chosen(known, features, probs, labels.astype("Int64")) == expected
    ids = pd.Series([f"image {row}" for row in range(400)])
    assert list(vabal.select("margin", probs=probs, ids=ids, n=2).ids)[0].startswith("image ")
    names = pd.Series(labels.map({0: "a", 1: "b", 2: "c"}), dtype="category")
    by_name = vabal.select("vabal-paper", features, probs, names, classes=["a", "b", "c"], n=10, **FEW)
    assert list(by_name.ids) == expected
    embeddings = pd.DataFrame({"embedding": list(known.features)})["embedding"]  # a column of arrays
    assert chosen(known, embeddings, probs, labels) == expected
    assert chosen(known, embeddings.map(list), probs, labels) == expected


@pytest.mark.parametrize("broken", [[1.0, 2.0], None, "text"])
def test_a_row_of_another_shape_is_named(known: Known, broken: Any) -> None:
    rows = np.empty(400, dtype=object)
    rows[:] = list(known.features)
    rows[7] = broken
    with pytest.raises(
        ValueError, match=r"features= holds rows of different shapes\n  where: row 7\n  expected: \[12\]"
    ):
        vabal.select("core-set", rows, n=1)


def test_pyarrow(known: Known, expected: list[int]) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({str(j): known.probs[:, j] for j in range(3)})
    flat = pa.array(known.features.ravel())
    listed = pa.FixedSizeListArray.from_arrays(flat, 12)
    labels = pa.array([None if label < 0 else int(label) for label in known.labels])
    assert chosen(known, listed, table, labels) == expected
    assert np.shares_memory(_arrays.reals(listed, "features"), flat.to_numpy())
    assert chosen(known, pa.chunked_array([listed[:100], listed[100:]]), table, pa.chunked_array([labels])) == expected
    of_any_length = pa.array(known.features.tolist(), pa.list_(pa.float32()))
    assert chosen(known, of_any_length, pa.array(known.probs.tolist()), labels) == expected
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(known.features)
    assert chosen(known, tensor, table.to_batches()[0], labels) == expected
    ids = pa.array([f"image {row}" for row in range(400)])
    assert str(vabal.select("margin", probs=table, ids=ids, n=1).ids[0]).startswith("image ")


def test_what_only_knows_dlpack(known: Known, expected: list[int]) -> None:
    class Foreign:
        def __init__(self, array: Any) -> None:
            self.array = array

        def __dlpack__(self, **options: Any) -> Any:
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return self.array.__dlpack_device__()  # type: ignore[no-any-return]

    assert chosen(known, Foreign(known.features), known.probs, known.labels) == expected


def test_labels_by_the_names_of_the_columns(known: Known) -> None:
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    names = ["cat", "dog", "axolotl"]
    spelt = [names[label] if label >= 0 else None for label in known.labels]
    expected = vabal.select("vabal", known.features, known.probs, known.labels, n=9)
    frame = pd.DataFrame(known.probs, columns=names)
    table = pa.table({name: known.probs[:, c] for c, name in enumerate(names)})
    for probs in (frame, table):
        for labels in (spelt, pd.Series(spelt), pd.Series(spelt, dtype="category"), pa.array(spelt)):
            assert vabal.select("vabal", known.features, probs, labels, n=9) == expected
    with pytest.raises(ValueError, match="expected: 'cat', 'dog', 'axolotl'\n  got: 'cow'"):
        vabal.select("entropy", probs=frame, labels=["cow"] * 400, n=1)
    numbers = vabal.select("vabal", known.features, frame, known.labels, n=9)
    assert numbers == expected


def test_what_is_no_array_is_told_by_what_was_meant(known: Known) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"features= is sparse(.|\n)*got: csr_matrix \[400, 12\]\n  hint: .toarray\(\)"):
        vabal.select("core-set", sparse.csr_matrix(known.features), n=1)
    for rows in ((row for row in known.features), iter(known.features), map(list, known.features)):
        with pytest.raises(TypeError, match=r"features= has no rows in an order(.|\n)*hint: np.stack\(list"):
            vabal.select("core-set", rows, n=1)
    with pytest.raises(TypeError, match="labels= has no rows in an order(.|\n)*got: set"):
        vabal.select("entropy", probs=known.probs, labels=set(known.labels), n=1)
    with pytest.raises(TypeError, match="ids= has no rows in an order(.|\n)*got: dict_keys"):
        vabal.select("random", ids=dict.fromkeys(range(9)).keys(), n=1)
    mask = known.labels >= 0
    with pytest.raises(TypeError, match=r"labels= holds True and False(.|\n)*np.where\(mask, y, -1\)"):
        vabal.select("entropy", probs=known.probs, labels=mask, n=1)
    two = known.probs[:, :2] / known.probs[:, :2].sum(1, keepdims=True)
    answers = np.where(mask, known.truth == 1, None)
    by_name = vabal.select("entropy", probs=two, labels=answers, classes=[False, True], n=9)
    assert by_name == vabal.select("entropy", probs=two, labels=np.where(mask, known.truth == 1, -1), n=9)


def test_candidates_are_not_copied(tmp_path: Path) -> None:
    code = """
import sys
import numpy as np, vabal
probs = np.full((500_000, 100), 0.01, dtype=np.float32)  # 200 MB
labels = np.full(500_000, -1); labels[:1000] = 0
if sys.argv[1] == "scattered":
    labels[::2] = 0
def peak():  # of this process alone: ru_maxrss outlives exec
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
vabal.select("entropy", probs=probs, labels=labels, n=10)
print((peak() - before) // 1024)
"""

    def megabytes(case: str) -> int:
        return int(subprocess.check_output([sys.executable, "-c", code, case], text=True, cwd=tmp_path))

    if sys.platform == "linux":
        assert megabytes("block") < 70
        assert megabytes("scattered") < 70
