"""The same arrays give the same ids here and on the command line."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FEW, Known, few, pool

import vabal

ROOT = Path(__file__).parents[2]


def command() -> list[str]:
    """The program that ``VABAL`` names, or one built for it."""
    build = ["cargo", "run", "--locked", "--release", "--quiet", "--manifest-path", str(ROOT / "Cargo.toml"), "--"]
    return [os.environ["VABAL"]] if "VABAL" in os.environ else build


def rank(folder: Path, name: str, settings: dict[str, Any], arrays: dict[str, object]) -> list[str]:
    """The ids of ``vabal rank``."""
    np.savez(folder / "pool.npz", **arrays)  # type: ignore[arg-type]
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    run = [*command(), "rank", "--quiet", "--unlabelled", str(folder / "pool.npz"), "--strategy", name, "-n", "7"]
    subprocess.run([*run, *sets, "--seed", "3", "--out", str(folder / "picks.csv")], check=True)
    with (folder / "picks.csv").open() as file:
        return [row["id"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("strategy", vabal.strategies(), ids=lambda s: s.name)
def test_every_strategy_gives_the_ids_of_vabal_rank(strategy: vabal.Strategy, tmp_path: Path) -> None:
    known: Known = pool(n=90, labelled=30)
    rng = np.random.default_rng(2)
    several = rng.dirichlet(np.ones(3), size=(90, 4)).astype(np.float32)
    arrays: dict[str, object] = {
        "features": known.features,
        "probs": known.probs,
        "labels": known.labels,
        "mc_probs": several,
        "committee_probs": several,
    }
    settings = few(strategy)
    chosen = vabal.select(strategy.name, **arrays, n=7, seed=3, **settings)  # type: ignore[call-overload]
    assert [str(row) for row in chosen.ids] == rank(tmp_path, strategy.name, settings, arrays)


def test_names_of_rows_change_no_pick(tmp_path: Path) -> None:
    known: Known = pool(n=90, labelled=30)
    order = np.random.default_rng(3).permutation(90)
    arrays: dict[str, object] = {
        "features": known.features,
        "probs": known.probs,
        "labels": known.labels,
        "ids": np.array([f"image-{row:02}" for row in order]),
    }
    chosen = vabal.select("vabal-paper", **arrays, n=7, seed=3, **FEW)  # type: ignore[call-overload]
    assert list(chosen.ids) == rank(tmp_path, "vabal-paper", FEW, arrays)
