"""Sail, on one machine and as its local cluster, gives the picks of one machine, byte for byte.

scripts/engines.sh runs this, in an environment that has Sail; elsewhere it is left out.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest
from engines import check_errors, check_picks, check_recipe, check_shortlist, make

import vabal

if os.environ.get("VABAL_ENGINES") != "sail":
    pytest.skip("VABAL_ENGINES is not sail: scripts/engines.sh", allow_module_level=True)


@pytest.mark.parametrize("mode", ["local", "local-cluster"])
def test_sail(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAIL_MODE", mode)
    server = importlib.import_module("pysail.spark").SparkConnectServer(ip="127.0.0.1", port=0)
    server.start(background=True)
    session = importlib.import_module("pyspark.sql").SparkSession
    address = f"sc://127.0.0.1:{server.listening_address[1]}"
    spark = session.builder.remote(address).create()
    pool = make(tmp_path)
    try:
        check_picks(spark, pool)
        check_shortlist(spark, pool)
        check_errors(spark, pool)
        at = {"sc://localhost:50051": address, '"pool"': repr(str(pool.folder / "list"))}
        names = {"SparkSession": session, "vabal": vabal}
        check_recipe("Sail", pool, "vabal", at, names)
        names["spark"].stop()
        half = spark.read.parquet(str(pool.folder / "half"))
        with pytest.raises(TypeError, match=r"cannot read columns of FLOAT16\n(.|\n)*hint: store .* as BINARY"):
            vabal.spark.pick(half, pool.plans["margin"])
    finally:
        spark.stop()
        server.stop()
