"""A pool in parts gives the picks of the whole, here and on the command line, in whatever columns it comes."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import pool
from test_rank import command

import vabal

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

BY_ROW: tuple[vabal.StrategyName, ...] = (
    "margin",
    "entropy",
    "least-confidence",
    "random",
    "bald",
    "power-bald",
    "ensemble-vote-entropy",
    "vabal",
)


def table(n: int = 700, labelled: int = 60, **change: Any) -> Any:
    """A pool of lists, values that float16 holds, a row for each id in no order."""
    known = pool(n=n, labelled=labelled)
    rng = np.random.default_rng(8)
    several = rng.dirichlet(np.ones(3), size=(n, 4))
    columns = {
        "ids": pa.array(rng.permutation(10 * n)[:n]),
        "features": listed(known.features.astype(np.float16).astype(np.float32)),
        "probs": listed(shares(known.probs)),
        "mc_probs": listed(several.astype(np.float32)),
        "committee_probs": listed(several.astype(np.float32)),
        "labels": pa.array(known.labels),
    }
    return pa.table(columns | change)


def shares(p: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Nearly `p`, of values that float16 holds."""
    whole = np.floor(p * 256)
    whole[:, 0] += 256 - whole.sum(1)
    return (whole / 256).astype(np.float32)


def listed(array: npt.NDArray[Any]) -> Any:
    """Lists of lists, as deep as the array."""
    values = pa.array(array.ravel())
    for length in array.shape[:0:-1]:
        offsets = np.arange(0, len(values) + 1, length, dtype=np.int32)
        values = pa.ListArray.from_arrays(offsets, values)
    return values


def parts(whole: Any, k: int) -> list[Any]:
    """Shares of a table, of different sizes."""
    ends = [len(whole) * (part + 1) ** 2 // k**2 for part in range(k)]
    return [whole.slice(start, end - start) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def picked(plan: vabal.Plan, of: Iterable[Any], **rest: Any) -> Any:
    return plan.pick([batch for part in of for batch in plan.batches(part, **rest)])


@pytest.mark.filterwarnings("ignore:the VAE has not learnt")
def test_a_vae_of_a_plan_scores_parts_as_select_does_the_whole() -> None:
    whole = table(300)
    few: dict[str, Any] = {"epochs": 2, "draws": 5, "n": 20, "seed": 3}
    plan = vabal.plan("vabal-paper", table=whole, **few)
    expected = picked(plan, [whole])
    assert picked(vabal.Plan.from_bytes(plan.to_bytes()), parts(whole, 5)).equals(expected)
    features, probs = (np.array(whole[name].to_pylist(), np.float32) for name in ("features", "probs"))
    selection = vabal.select("vabal-paper", features, probs, whole["labels"], ids=whole["ids"], **few)
    assert expected["id"].to_pylist() == list(selection.ids)


@pytest.mark.parametrize("strategy", BY_ROW)
def test_however_a_pool_is_split_ordered_and_joined_the_picks_are_those_of_the_whole(
    strategy: vabal.StrategyName,
) -> None:
    whole = table()
    plan = vabal.plan(strategy, table=whole, n=50, seed=3)
    expected = picked(plan, [whole])
    assert expected.num_rows == 50 and expected["rank"].to_pylist() == list(range(1, 51))
    mixed = whole.take(np.random.default_rng(1).permutation(len(whole)))
    assert vabal.plan(strategy, table=parts(mixed, 3), n=50, seed=3) == plan
    assert picked(plan, parts(mixed, 7)).equals(expected)
    assert picked(plan, [mixed.to_batches(max_chunksize=13)]).equals(expected)
    scored = [pa.Table.from_batches(list(plan.batches(part))) for part in parts(mixed, 5)]
    assert plan.pick(reversed(scored)).equals(expected)
    twice = [batch for some in (scored[:2], scored[2:]) for batch in plan.merge(some)]
    assert plan.pick(twice).equals(expected)
    # Candidates go by any row, as an exchange between workers sends them.
    rows = pa.concat_tables(scored)
    rows = rows.take(np.random.default_rng(2).permutation(len(rows)))
    assert plan.pick(batch for part in parts(rows, 3) for batch in plan.merge(part)).equals(expected)
    most = 3 if strategy == "vabal" else 1
    assert all(len(part) <= 50 * most for part in scored)
    labelled = set(np.array(whole["ids"])[np.array(whole["labels"]) >= 0])
    assert not labelled & set(expected["id"].to_pylist())


@pytest.mark.parametrize("strategy", BY_ROW)
@pytest.mark.parametrize("texts", [False, True], ids=["numbers", "texts"])
def test_the_picks_are_those_of_select(strategy: vabal.StrategyName, texts: bool) -> None:
    whole = table()
    if texts:
        whole = whole.set_column(0, "ids", pa.array([f"image-{id}.png" for id in whole["ids"].to_pylist()]))
    plan = vabal.plan(strategy, table=whole, n=40, seed=5)
    arrays: dict[str, Any] = {name: np.array(whole[name].to_pylist()) for name in whole.column_names}
    chosen = vabal.select(strategy, **arrays, n=40, seed=5)
    picks = picked(plan, parts(whole, 4))
    assert picks["id"].to_pylist() == chosen.ids.tolist()
    assert np.array_equal(picks["score"].to_numpy(), chosen.scores)
    assert picks.column_names[3:] == list(chosen.terms)
    assert all(np.array_equal(picks[name].to_numpy(), values) for name, values in chosen.terms.items())
    # Arrays in the place of a table make the same plan.
    assert vabal.plan(strategy, **arrays, n=40, seed=5) == plan


@pytest.mark.parametrize("strategy", ["margin", "random", "vabal"])
@pytest.mark.parametrize("texts", [False, True], ids=["numbers", "texts"])
def test_plan_and_picks_are_those_of_the_command(strategy: vabal.StrategyName, texts: bool, tmp_path: Path) -> None:
    whole = table()
    if texts:
        whole = whole.set_column(0, "ids", pa.array([f"image-{id}.png" for id in whole["ids"].to_pylist()]))
    files = [tmp_path / f"part-{part}.parquet" for part in range(3)]
    for file, part in zip(files, parts(whole, 3), strict=True):
        pq.write_table(part, file)
    common = ["--quiet", "--out", str(tmp_path / "plan")]
    names = [str(file) for file in files]
    run = [*command(), "plan", *names, "-n", "30", "--strategy", strategy, "--seed", "3", "--sample", "300", *common]
    subprocess.run(run, check=True)
    plan = vabal.plan(strategy, table=map(pq.read_table, files), n=30, seed=3, sample=300)
    assert plan.to_bytes() == (tmp_path / "plan").read_bytes()
    assert plan.sampled == 300
    scores, picks = str(tmp_path / "scores.jsonl"), str(tmp_path / "picks.parquet")
    subprocess.run(
        [*command(), "score", *names, "--plan", str(tmp_path / "plan"), "--quiet", "--out", scores], check=True
    )
    subprocess.run(
        [*command(), "pick", scores, "--plan", str(tmp_path / "plan"), "--quiet", "--out", picks], check=True
    )
    ours = picked(vabal.Plan.load(tmp_path / "plan"), (pq.ParquetFile(file).iter_batches() for file in files))
    theirs = pq.read_table(picks)
    assert ours.equals(theirs.cast(pa.schema([field.with_nullable(True) for field in theirs.schema])))


def layouts() -> dict[str, Any]:
    """The same values in every layout that a column may have."""
    whole = table()
    p, d = (np.array(whole[name].to_pylist(), np.float32) for name in ("probs", "features"))
    rows: dict[str, Any] = {
        "fixed": lambda a: pa.FixedSizeListArray.from_arrays(pa.array(a.ravel()), a.shape[1]),
        "large": lambda a: pa.array(list(a), pa.large_list(pa.float32())),
        "float64": lambda a: listed(a.astype(np.float64)),
        "float16": lambda a: listed(a.astype(np.float16)),
        "binary 32": lambda a: pa.array([row.tobytes() for row in a.astype("<f4")]),
        "binary 16": lambda a: pa.array([row.tobytes() for row in a.astype("<f2")]),
        "large binary 16": lambda a: pa.array([row.tobytes() for row in a.astype("<f2")], pa.large_binary()),
        "fixed binary 16": lambda a: pa.array([row.tobytes() for row in a.astype("<f2")], pa.binary(2 * a.shape[1])),
        "dictionary": lambda a: pa.array([row.tobytes() for row in a.astype("<f4")]).dictionary_encode(),
        "tensor": lambda a: pa.FixedShapeTensorArray.from_numpy_ndarray(a),
    }
    return {name: whole.set_column(2, "probs", of(p)).set_column(1, "features", of(d)) for name, of in rows.items()}


@pytest.mark.parametrize("name", layouts())
@pytest.mark.parametrize("strategy", ["margin", "vabal"])
def test_every_layout_of_the_same_values_gives_the_same_bytes(strategy: vabal.StrategyName, name: str) -> None:
    whole, other = table(), layouts()[name]
    plan = vabal.plan(strategy, table=whole, n=50)
    assert picked(plan, parts(other, 3)).equals(picked(plan, [whole]))
    binary: Any = "float16" if "16" in name else "float32"
    assert vabal.plan(strategy, table=other, n=50, binary=binary) == plan
    ending = "_f16" if "16" in name else "_f32" if "binary" in name else ""
    names = [column + ending if column in ("features", "probs") else column for column in other.column_names]
    assert vabal.plan(strategy, table=other.rename_columns(names), n=50) == plan
    assert picked(plan, [other.rename_columns(names)]).equals(picked(plan, [whole]))


def test_tables_of_pandas_and_streams_under_other_names() -> None:
    whole = table().rename_columns(["uuid", "emb", "softmax", "draws", "members", "known"])
    columns = {"ids": "uuid", "features": "emb", "probs": "softmax", "labels": "known"}
    plan = vabal.plan("vabal", table=table(), n=20)
    expected = picked(plan, [table()])
    for made in (whole.to_pandas(), whole.to_reader()):
        assert picked(plan, [made], columns=columns).equals(expected)
    assert vabal.plan("vabal", table=whole, columns=columns, n=20) == plan
    renamed = whole.select(["uuid", "emb", "softmax", "known"]).rename_columns(["id", "stage4", "probs", "label"])
    assert picked(plan, parts(renamed, 2)).equals(expected)


def test_what_is_labelled_may_come_apart_and_the_sample_is_of_the_rest() -> None:
    whole = table()
    known = np.array(whole["labels"]) >= 0
    plan = vabal.plan("vabal", table=whole, n=20, sample=200)
    apart = vabal.plan("vabal", table=whole.filter(~known), labelled=whole.filter(known), n=20, sample=200)
    assert apart == plan and plan.sampled == 200 and sum(plan.labelled) == 60
    with pytest.warns(vabal.VabalWarning, match="predicted as class 1, 2: .* a larger sample= helps"):
        few = vabal.plan("vabal", table=whole, n=20, sample=60)
    assert few.sampled == 60
    vabal.plan("margin", table=whole, n=20, sample=60)  # fits nothing, so that there is nothing to doubt


def test_a_plan_is_a_value_and_a_file(tmp_path: Path) -> None:
    plan = vabal.plan("vabal", table=table(), n=20, ridge=0.5)
    plan.save(tmp_path / "a.plan")
    for same in (vabal.Plan.load(tmp_path / "a.plan"), pickle.loads(pickle.dumps(plan))):
        assert same == plan and hash(same) == hash(plan)
        assert picked(same, [table()]).equals(picked(plan, [table()]))
    assert [path.name for path in tmp_path.iterdir()] == ["a.plan"]
    assert repr(plan) == "Plan('vabal', n=20, classes=3, labels=60, sampled=640)"
    assert (plan.strategy, plan.n, plan.classes, plan.needs) == ("vabal", 20, 3, ("features", "probs"))
    assert plan.settings["ridge"] == 0.5 and plan != vabal.plan("vabal", table=table(), n=21, ridge=0.5)
    with pytest.raises(ValueError, match=r"b\.plan(.|\n)*hint"):
        (tmp_path / "b.plan").write_bytes(plan.to_bytes()[:-9])
        vabal.Plan.load(tmp_path / "b.plan")
    newer = plan.to_bytes().replace(b'\\"version\\":1', b'\\"version\\":2')
    with pytest.raises(ValueError, match="expected: version 1\n  got: version 2\n  hint: "):
        vabal.Plan.from_bytes(newer)


def test_fewer_picks_and_fewer_rows_than_asked_for() -> None:
    plan = vabal.plan("margin", table=table(), n=50)
    scored = list(plan.batches(table()))
    assert plan.pick(scored, 7).equals(plan.pick(scored).slice(0, 7))
    with pytest.raises(ValueError, match="more picks than the scores are for(.|\n)*hint: make the plan for more"):
        plan.pick(scored, 51)
    with pytest.warns(vabal.VabalWarning, match="asked for 50, and there are no more than 9"):
        assert len(picked(plan, [table().slice(100, 9)])) == 9
    with pytest.warns(vabal.VabalWarning, match="no more than 0"):
        assert plan.pick([]).column_names == ["rank", "id", "score"]


def changed(name: str, at: int, to: Any) -> Any:
    """The table with another value in row `at` of a column."""
    whole = table()
    values = whole[name].to_pylist()
    values[at] = to
    return whole.set_column(whole.column_names.index(name), name, pa.array(values))


NAN = float("nan")
WRONG: dict[str, tuple[Any, str]] = {
    "no ids": (table().drop_columns("ids"), "a part without ids(.|\n)*got: features, probs"),
    "a null id": (changed("ids", 100, None), "an id is missing\n  where: column ids, row 40 .* behind id"),
    "a negative id": (changed("ids", 100, -7), "an id is below 0(.|\n)*got: -7\n  hint"),
    "ids of floats": (
        table(ids=pa.array(np.arange(700) / 2)),
        "ids of a type that is not read(.|\n)*whole numbers or texts\n  got: double",
    ),
    "ids that are too large": (
        table(ids=pa.array(np.arange(700, dtype=np.uint64) + 2**63)),
        "got: 9223372036854776507",
    ),
    "not a number": (changed("features", 100, [NAN] * 12), r"not finite\n  where: column features, row 40, id \d+\n"),
    "a null row": (changed("probs", 100, None), r"a value is missing\n  where: column probs, id \d+\n"),
    "a null value": (changed("probs", 100, [None, 0.5, 0.5]), r"column probs, (row 40, )?id \d+\n"),
    "a row of another length": (changed("features", 100, [1.0]), r"where: column features, id \d+\n  expected: 12"),
    "another width": (
        table(features=listed(pool(n=700, d=13).features)),
        r"features of another width\n  where: column features, id \d+\n  expected: 12\n  got: 13",
    ),
    "another C": (
        table(probs=listed(pool(n=700, classes=4).probs)),
        r"probabilities of another number of classes\n  where: column probs, id \d+\n  expected: 3\n  got: 4",
    ),
    "BINARY of another width": (
        table(features=pa.array([b"1234567"] * 700)),
        r"another width\n  where: column features, id \d+\n  expected: 48 bytes, 12 .*\n  got: 7 bytes",
    ),
    "texts": (table(features=pa.array(["x"] * 700)), "no numbers\n  where: column features(.|\n)*got: string"),
    "labels that are a mask": (table(labels=pa.array([True] * 700)), "labels are True and False"),
    "features that are missing": (table().drop_columns("features"), "features"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_id(name: str) -> None:
    plan = vabal.plan("vabal", table=table(), n=50)
    wrong, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        list(plan.batches(wrong))
    assert "expected: " in str(raised.value)


def test_an_id_that_is_in_two_parts_is_named_if_it_is_picked() -> None:
    plan = vabal.plan("margin", table=table(), n=50)
    with pytest.raises(ValueError, match=r"duplicate id\n  where: id \d+\n(.|\n)*was a part scored twice\?"):
        picked(plan, [table(), table().slice(300, 200)])
    texts = table(ids=pa.array([str(row) for row in range(700)]))
    with pytest.raises(ValueError, match="some parts call their rows by numbers, others by texts"):
        picked(plan, [table().slice(0, 350), texts.slice(350)])


def test_scores_of_another_plan_and_rows_that_are_none_are_refused() -> None:
    plan, other = (vabal.plan("margin", table=table(), n=n) for n in (50, 51))
    with pytest.raises(ValueError, match="these scores are of another plan\n  expected: the plan [0-9a-f]{16}\n"):
        plan.pick(other.batches(table()))
    with pytest.raises(ValueError, match="these are no scores(.|\n)*hint: .*score the parts first"):
        plan.pick(table())
    with pytest.raises(TypeError, match="this is no table(.|\n)*got: int"):
        list(plan.batches([3]))


def test_a_call_that_is_wrong_is_refused() -> None:
    for message, call in {
        "expected: at most 500000\n  got: 500001\n  hint": {"n": 500_001},
        "n= asks for no rows": {"n": 0},
        "sample= asks for no rows": {"n": 5, "sample": 0},
        "columns= names no array(.|\n)*did you mean 'features'": {"n": 5, "columns": {"feature": "ids"}},
        "a column is missing(.|\n)*expected: nothing": {"n": 5, "columns": {"probs": "nothing"}},
    }.items():
        with pytest.raises((ValueError, TypeError), match=message):
            vabal.plan("margin", table=table(), **call)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="does not score each row alone(.|\n)*strategy galaxy"):
        vabal.plan("galaxy", table=table(), n=5)
    with pytest.raises(TypeError, match="table= holds all arrays\n  got: probs= too"):
        vabal.plan("margin", table=table(), probs=[[0.5, 0.5]], n=5)
    with pytest.raises(TypeError, match="go with table="):
        vabal.plan("margin", probs=[[0.5, 0.5]], columns={}, n=5)
    bare = pa.table({"ids": [1], "probs": pa.array([b"123456789"])})
    with pytest.raises(
        ValueError, match=r"bytes that are no float32\n  where: column probs, id 1\n(.|\n)*got: 9 bytes"
    ):
        vabal.plan("margin", table=bare, n=1)
