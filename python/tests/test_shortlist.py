"""A shortlist is the same bytes however the pool is split, and that of the command."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import pool
from test_plan import layouts, pa, parts, pq, shares, table
from test_rank import command

import vabal
from vabal._shortlist import Listing, Scan

N = 120


def known(texts: bool = False) -> Any:
    """What is labelled, apart from the pool of `table()`: three classes, the last one rare."""
    of = pool(n=90, labelled=90, seed=6)
    ids = 100_000 + np.arange(90)
    return pa.table(
        {
            "ids": pa.array([f"image-{id}.png" for id in ids]) if texts else pa.array(ids),
            "features": pa.array(list(of.features)),
            "labels": pa.array(of.labels),
        }
    )


def open_rows(texts: bool = False) -> Any:
    """The pool without labels."""
    whole = table(n=1200, labelled=0).select(["ids", "features", "probs"])
    if texts:
        whole = whole.set_column(0, "ids", pa.array([f"image-{id}.png" for id in whole["ids"].to_pylist()]))
    return whole


def scanned(whole: Any, of: list[Any], labelled: Any, merges: int) -> Any:
    """The list as an engine makes it: the parts apart, their rows mixed, merged in shares, then joined."""
    scan = Scan.of(whole.column_names, None, labelled is not None, None)
    data = scan.listing(whole.to_batches()[0], labelled, N, 3, None).to_bytes()
    rows = [batch for part in of for batch in Listing.from_bytes(data).batches(part, scan.found)]
    mixed = pa.Table.from_batches(rows)
    mixed = mixed.take(np.random.default_rng(2).permutation(len(mixed)))
    shares = [mixed.filter(np.array(mixed["list"]) % merges == share) for share in range(merges)]
    return Listing.from_bytes(data).ids(b for share in shares for b in Listing.from_bytes(data).merge(share))


@pytest.mark.parametrize("apart", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("texts", [False, True], ids=["numbers", "texts"])
def test_the_list_is_that_of_the_command_however_the_pool_is_split(texts: bool, apart: bool, tmp_path: Path) -> None:
    whole, labelled = open_rows(texts), known(texts) if apart else None
    listed = vabal.shortlist(whole, labelled, n=N, seed=3)
    assert N // 2 < len(listed) <= N and listed["ids"].to_pylist() == sorted(listed["ids"].to_pylist())
    mixed = whole.take(np.random.default_rng(1).permutation(len(whole)))
    assert vabal.shortlist(mixed.to_batches(max_chunksize=13), labelled, n=N, seed=3).equals(listed)
    assert vabal.shortlist(lambda: iter(parts(mixed, 5)), labelled, n=N, seed=3).equals(listed)
    for count, merges in ((1, 1), (4, 2), (9, 7)):
        assert scanned(whole, parts(mixed, count), labelled, merges).equals(listed["ids"].combine_chunks())

    files = [tmp_path / f"part-{part}.parquet" for part in range(3)]
    for file, part in zip(files, parts(mixed, 3), strict=True):
        pq.write_table(part, file)
    run = [*command(), "shortlist", *map(str, files), "-n", str(N), "--seed", "3", "--quiet", "--out"]
    run += [str(tmp_path / "list.parquet")]
    if apart:
        pq.write_table(labelled, tmp_path / "labelled.parquet")
        run += ["--labelled", str(tmp_path / "labelled.parquet")]
    subprocess.run(run, check=True)
    theirs = pq.read_table(tmp_path / "list.parquet")
    assert theirs.column_names == ["ids", "probs", "features"]
    assert all(theirs[name].to_pylist() == listed[name].to_pylist() for name in theirs.column_names)


def test_a_list_is_ranked_here_and_on_the_command_line(tmp_path: Path) -> None:
    whole, labelled = open_rows(), known()
    listed = vabal.shortlist(whole, labelled, n=N)
    pq.write_table(listed, tmp_path / "candidates.parquet")
    pq.write_table(labelled, tmp_path / "labelled.parquet")
    run = [
        *command(),
        "rank",
        "--quiet",
        "--unlabelled",
        str(tmp_path / "candidates.parquet"),
        "--strategy",
        "core-set",
    ]
    run += ["--labelled", str(tmp_path / "labelled.parquet"), "-n", "7", "--out", str(tmp_path / "picks.parquet")]
    subprocess.run(run, check=True)
    of = {name: np.stack(labelled[name].to_pylist()).astype(np.float32) for name in ("features",)}
    chosen = vabal.select(
        "core-set",
        np.concatenate([np.stack(listed["features"].to_pylist()), of["features"]]).astype(np.float32),
        labels=np.concatenate([np.full(len(listed), -1), labelled["labels"].to_numpy()]),
        ids=np.concatenate([listed["ids"].to_numpy(), labelled["ids"].to_numpy()]),
        n=7,
    )
    assert chosen.ids.tolist() == pq.read_table(tmp_path / "picks.parquet")["id"].to_pylist()
    # What it gives is what select takes.
    alone = vabal.select("badge", listed["features"], listed["probs"], ids=listed["ids"], n=5)
    assert set(alone.ids) <= set(listed["ids"].to_pylist())


def test_each_third_is_there() -> None:
    whole, labelled = open_rows(), known()
    listed = set(vabal.shortlist(whole, labelled, n=N)["ids"].to_pylist())
    ids, p = np.array(whole["ids"]), np.sort(np.stack(whole["probs"].to_pylist()), 1)
    predicted = np.stack(whole["probs"].to_pylist()).argmax(1)
    for label in range(3):
        margins = np.where(predicted == label, p[:, -1] - p[:, -2], np.inf)
        assert ids[margins.argmin()] in listed
    labels, features = np.array(labelled["labels"]), np.stack(labelled["features"].to_pylist())
    x, rare = np.stack(whole["features"].to_pylist()), features[labels == 2]
    nearest = ((x[:, None].astype(float) - rare) ** 2).sum(2).argmin(0)
    assert len(rare) and set(ids[nearest]) <= listed
    assert vabal.shortlist(whole, labelled, n=N, seed=2)["ids"].to_pylist() != sorted(listed)


@pytest.mark.parametrize("name", layouts())
def test_every_layout_of_the_same_values_gives_the_same_bytes(name: str) -> None:
    binary: Any = "float16" if "16" in name else "float32"
    whole, labelled = table(), known()
    expected = vabal.shortlist(whole, labelled, n=N)
    assert vabal.shortlist(layouts()[name], labelled, n=N, binary=binary).equals(expected)
    assert not set(expected["ids"].to_pylist()) & set(whole["ids"].to_pylist()[:60])  # which have labels


def test_other_names_and_named_classes() -> None:
    whole, labelled = open_rows(), known()
    expected = vabal.shortlist(whole, labelled, n=N)
    columns = {"ids": "uuid", "features": "emb", "probs": "softmax", "labels": "truth"}
    called = ["ant", "bee", "cat"]
    own = labelled.set_column(2, "truth", pa.array([called[label] for label in labelled["labels"].to_pylist()]))
    got = vabal.shortlist(
        whole.rename_columns(["uuid", "emb", "softmax"]),
        own.rename_columns(["uuid", "emb", "truth"]),
        n=N,
        classes=called,
        columns=columns,
    )
    assert got.equals(expected)


def test_what_is_wrong_is_told() -> None:
    whole, labelled = open_rows(), known()
    wrong = shares(pool(n=1200, classes=4).probs)
    for message, call in {
        "9, three a class, to 1000000\n  got: 8": (whole, labelled, 8),
        "9, three a class, to 1000000\n  got: 1000001": (whole, labelled, 1_000_001),
        "can be read once only(.|\n)*hint: a list, or a function": (iter(whole.to_batches()), labelled, N),
        "there is no row to list": (whole.slice(0, 0), labelled, N),
        "the pool has no ids": (whole.drop_columns("ids"), labelled, N),
        "features": (whole, labelled.drop_columns("features"), N),
        "probs": (whole.drop_columns("probs"), labelled, N),
        "duplicate id|there twice|repeat": (pa.concat_tables([whole, whole]), labelled, N),
        "an id is in both pools": (whole, labelled.set_column(0, "ids", whole["ids"].slice(0, 90)), 900),
        "another number of classes": (
            [*whole.to_batches(), whole.set_column(2, "probs", pa.array(list(wrong)))],
            labelled,
            N,
        ),
    }.items():
        with pytest.raises((ValueError, TypeError), match=message):
            vabal.shortlist(call[0], call[1], n=call[2])
    with pytest.raises(ValueError, match="there is no row to list"):
        vabal.shortlist(table(n=60), n=N)
    texts = open_rows(texts=True)
    with pytest.raises(ValueError, match="some parts call their rows by numbers, others by texts"):
        vabal.shortlist([whole, texts], n=N)
