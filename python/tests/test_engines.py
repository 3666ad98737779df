"""Processes, Spark, Ray, and the recipes of docs/scale.md give the picks of one machine, byte for byte.

scripts/engines.sh runs this, in an environment that has the engines; elsewhere it is left out.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from engines import (
    LAYOUTS,
    RECIPES,
    STRATEGIES,
    Pool,
    check_errors,
    check_picks,
    check_recipe,
    check_shortlist,
    make,
)
from test_in_parts import IN_PARTS, made
from test_in_parts import picked as picked_in_parts
from test_plan import pa, pq

import vabal

if os.environ.get("VABAL_ENGINES") != "all":
    pytest.skip("VABAL_ENGINES is not all: scripts/engines.sh", allow_module_level=True)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return make(tmp_path_factory.mktemp("pool"))


def score(plan: vabal.Plan, files: list[str]) -> list[Any]:
    return list(plan.batches(batch for file in files for batch in pq.ParquetFile(file).iter_batches(50)))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("processes", [1, 2, 7])
def test_processes(processes: int, strategy: vabal.StrategyName, pool: Pool) -> None:
    plan, files = pool.plans[strategy], pool.files("float16")
    shares = [files[share::processes] for share in range(processes)]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as workers:
        scored = [batch for part in workers.map(score, [plan] * processes, shares) for batch in part]
    assert plan.pick(scored).equals(pool.picks[strategy])


@pytest.fixture(scope="module")
def spark() -> Iterator[Callable[[str], Any]]:
    """Gives a session: of a cluster of two executors, or of Spark Connect, which ends the other."""
    pyspark = importlib.import_module("pyspark")
    builders = importlib.import_module("pyspark.sql").SparkSession
    sessions: dict[str, Any] = {}

    def session(of: str) -> Any:
        if of not in sessions:
            for other in sessions.values():
                other.stop()
            connect = of == "connect"
            builder = builders.builder.remote("local[2]") if connect else builders.builder.master(of)
            for key, value in {
                "spark.ui.enabled": "false",
                "spark.sql.shuffle.partitions": "3",
                "spark.sql.files.openCostInBytes": "134217728",  # a task for each file
                "spark.task.maxFailures": "2",  # what is wrong in a row is wrong again
            }.items():
                builder = builder.config(key, value)
            sessions[of] = builder.getOrCreate()
        return sessions[of]

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}.items():
            patch.setenv(name, value)
        yield session
        for each in sessions.values():
            each.stop()
    shutil.rmtree(Path(pyspark.__path__[0]) / "work", ignore_errors=True)  # logs of the executors


CLUSTER = "local-cluster[2,1,1024]"


def test_spark(spark: Callable[[str], Any], pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_picks(spark(CLUSTER), pool)
    check_shortlist(spark(CLUSTER), pool)
    check_errors(spark(CLUSTER), pool)
    monkeypatch.chdir(tmp_path)
    at = {"s3://bucket/pool": str(pool.folder / "list")}
    check_recipe("Spark", pool, "vabal", at, {"spark": spark(CLUSTER), "vabal": vabal})
    assert (tmp_path / "picks.csv").read_text().startswith("rank,id,score,predicted,")


def test_spark_with_an_executor_killed_midway(spark: Callable[[str], Any], pool: Pool, tmp_path: Path) -> None:
    killed, last = str(tmp_path / "killed"), pq.read_table(pool.files()[-1])["ids"][0].as_py()

    def kill(batches: Iterator[Any]) -> Iterator[Any]:
        import os
        from pathlib import Path

        for batch in batches:
            if last in batch.column("ids").to_pylist() and not os.path.exists(killed):
                os.close(os.open(killed, os.O_CREAT))
                process = os.getpid()
                while b"CoarseGrainedExecutorBackend" not in Path(f"/proc/{process}/cmdline").read_bytes():
                    process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
                os.kill(process, 9)
            yield batch

    df = spark(CLUSTER).read.parquet(str(pool.folder / "list")).select("ids", "labels", "features", "probs")
    assert vabal.spark.pick(df.mapInArrow(kill, df.schema), pool.plans["vabal"]).equals(pool.picks["vabal"])
    assert os.path.exists(killed)


def test_a_worker_of_spark_without_vabal_is_named(
    spark: Callable[[str], Any], pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vabal.py").write_text("raise ModuleNotFoundError(\"No module named 'vabal'\", name='vabal')")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}:$PYTHONPATH exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    df = spark(CLUSTER).read.parquet(str(pool.folder / "list"))
    monkeypatch.setattr(spark(CLUSTER).sparkContext, "pythonExec", str(python))
    with pytest.raises(ModuleNotFoundError, match="a worker of Spark or Sail has no vabal\n  hint: install"):
        vabal.spark.pick(df, pool.plans["margin"])


def test_spark_connect(spark: Callable[[str], Any], pool: Pool) -> None:
    df, plan = spark("connect").read.parquet(str(pool.folder / "float16")), pool.plans["vabal"]
    assert vabal.spark.pick(df, plan).equals(pool.picks["vabal"])
    assert vabal.spark.plan(df, n=50, seed=3, binary="float16", classes=3) == plan
    assert vabal.spark.shortlist(df, n=90, binary="float16").equals(vabal.shortlist(pool.whole, n=90))
    half = spark("connect").read.parquet(str(pool.folder / "half"))
    with pytest.raises(TypeError, match=r"cannot read columns of FLOAT16\n(.|\n)*hint: store .* as BINARY"):
        vabal.spark.pick(half, pool.plans["margin"])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("engine", ["Dask", "Daft", "DuckDB", "Polars", "DataFusion"])
def test_recipes(engine: str, strategy: vabal.StrategyName, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAFT_RUNNER", "native")
    for layout in LAYOUTS:
        folder = pool.folder / "at" / layout
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "pool").exists():
            (folder / "pool").symlink_to(pool.folder / layout)
        monkeypatch.chdir(folder)
        pool.plans[strategy].save("pool.plan")
        names: dict[str, Any] = {}
        exec(RECIPES[engine], names)
        assert names["picks"].equals(pool.picks[strategy]), layout


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Any]:
    """Ray on three cores, whose workers look for modules in a folder first."""
    ray = importlib.import_module("ray")
    importlib.import_module("ray.data")
    with pytest.MonkeyPatch.context() as patch:
        # Else a machine that is busy starves the workers, which are nice by 15.
        patch.setenv("RAY_worker_niceness", "0")
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        ray.init(
            num_cpus=3,
            include_dashboard=False,
            object_store_memory=500_000_000,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        try:
            yield ray
        finally:
            ray.shutdown()


@pytest.mark.parametrize("name", ["vabal", "pyarrow"])
def test_a_package_that_workers_of_ray_lack_is_named(name: str, pool: Pool, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')")
    with (
        cluster(tmp_path) as ray,
        pytest.raises(
            ModuleNotFoundError, match=rf"a worker of Ray has no {name}\n  hint: ray.init\(runtime_env="
        ) as raised,
    ):
        rows = [{"ids": row, "probs": [0.5, 0.3, 0.2]} for row in range(9)]
        vabal.ray.pick(ray.data.range(9).map(lambda row: rows[row["id"]]), pool.plans["margin"])
    assert raised.value.name == name


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    with cluster(Path(__file__).parent) as ray:
        yield ray


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ray(layout: str, ray: Any, pool: Pool) -> None:
    dataset = ray.data.read_parquet(str(pool.folder / layout), override_num_blocks=7)
    for strategy, plan in pool.plans.items():
        if layout == "list" or strategy == "vabal":
            assert vabal.ray.pick(dataset, plan, actors=2).equals(pool.picks[strategy])


@pytest.mark.parametrize("strategy", IN_PARTS)
def test_ray_by_strategies_that_compare_rows(strategy: vabal.StrategyName, ray: Any, pool: Pool) -> None:
    plan = made(strategy, pool.whole)
    blocks = [pq.read_table(file) for file in pool.files("float16")]
    assert (blocks[0]["labels"].to_numpy() >= 0).all()  # a block without a row to choose from
    assert vabal.ray.pick(ray.data.from_arrow(blocks), plan).equals(picked_in_parts(plan, [pool.whole]))


def test_the_recipe_for_ray(ray: Any, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_recipe("Ray", pool, "margin", {"s3://bucket/pool": str(pool.folder / "list")}, {"ray": ray, "vabal": vabal})


def test_ray_with_an_actor_killed_midway(ray: Any, pool: Pool, tmp_path: Path) -> None:
    killed, last = str(tmp_path / "killed"), pq.read_table(pool.files()[-1])["ids"][0].as_py()

    def kill(block: Any) -> Any:  # runs in the actor that scores
        import os

        if last in block.column("ids").to_pylist() and not os.path.exists(killed):
            os.close(os.open(killed, os.O_CREAT))
            os.kill(os.getpid(), 9)
        return block

    dataset = ray.data.read_parquet(str(pool.folder / "list"), override_num_blocks=7)
    dataset = dataset.map_batches(kill, batch_format="pyarrow", batch_size=None)
    assert vabal.ray.pick(dataset, pool.plans["vabal"], actors=2).equals(pool.picks["vabal"])
    assert os.path.exists(killed)


def test_an_error_of_a_worker_of_ray_arrives_whole(ray: Any, pool: Pool) -> None:
    whole = pool.whole.set_column(1, "features", pa.array([[1.0] * 11] * len(pool.whole)))
    with pytest.raises(
        ValueError, match=r"^features of another width\n  where: column features, id \d+\n  expected: 12"
    ):
        vabal.ray.pick(ray.data.from_arrow(whole), pool.plans["vabal"])
    with pytest.raises(ValueError, match=r"^duplicate id\n  where: id \d+\n"):
        dataset = ray.data.read_parquet(str(pool.folder / "list"))
        vabal.ray.pick(dataset.union(dataset), pool.plans["vabal"])
