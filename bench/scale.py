"""`vabal rank` on a Parquet pool of any size beside pyarrow with numpy streaming the same file: seconds, CPU, memory.

    pip install pyarrow numpy
    python bench/scale.py                                   # 10⁶ and 10⁷ rows, 8 classes
    python bench/scale.py --rows 10000000 --classes 64 --strategies margin
    python bench/scale.py --rows 10000000 --features 64 --strategies vabal
    python bench/scale.py --rows 100000000 --ids none       # 3.5 GB on disk, deleted afterwards
    python bench/scale.py --layouts list f32 f16            # lists, and bytes of 32 and of 16 bits

The pool is made on the spot, row group by row group, and read once before, so that it lies in the system's cache where that
has the room. Private memory is the largest of RssAnon, sampled: what is mapped from a file is not in it.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

N, GROUP, LABELLED = 10_000, 1 << 18, 1000
ROOT = pathlib.Path(__file__).resolve().parent.parent


def packed(values, layout):
    """Rows of numbers as a column: lists, or bytes of 32 or of 16 bits."""
    rows, width = values.shape
    if layout == "list":
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width).cast(pa.list_(pa.float32()))
    values = values.astype("<f2" if layout == "f16" else "<f4")
    size = width * values.itemsize
    offsets = pa.py_buffer((np.arange(rows + 1, dtype="i4") * size).tobytes())
    return pa.Array.from_buffers(pa.binary(), rows, [None, offsets, pa.py_buffer(values.tobytes())])


def batch(rng, first, rows, options, layout, labelled=False):
    """Rows of clusters, one a class, the last ones rare."""
    sizes = np.linspace(1, 0.1, options.classes)
    labels = rng.choice(options.classes, size=rows, p=sizes / sizes.sum())
    logits = rng.normal(size=(rows, options.classes), scale=1.5).astype("f4")
    logits[np.arange(rows), labels] += 3
    probs = np.exp(logits)
    # 1/2048 apart at most, so that they are the same in 16 bits.
    probs = np.round(probs / probs.sum(1, keepdims=True) * 2048) / 2048
    name = "" if layout == "list" else "_" + layout
    columns = {"probs" + name: packed(probs.astype("f4"), layout)}
    if options.features:
        centres = np.random.default_rng(7).normal(size=(options.classes, options.features)).astype("f4")
        features = centres[labels] + rng.normal(size=(rows, options.features)).astype("f4")
        columns["features" + name] = packed(features, layout)
    if labelled:
        columns["labels"] = pa.array(labels)
    if options.ids == "number":
        columns["ids"] = pa.array(np.arange(first, first + rows))
    return pa.table(columns)


def make(path, rows, options, layout, first=0, labelled=False):
    rng, writer = np.random.default_rng(first + 1), None
    for start in range(0, rows, GROUP):
        table = batch(rng, first + start, min(GROUP, rows - start), options, layout, labelled)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, compression=options.codec, use_dictionary=False)
        writer.write_table(table, row_group_size=GROUP)
    writer.close()



def numpy_margin(path, classes):
    """What a person would write: batch by batch, the smallest margins so far."""
    file, best, ids = pq.ParquetFile(path, pre_buffer=False), np.empty(0, "f4"), np.empty(0, "i8")
    names, first = file.schema_arrow.names, 0
    column = next(name for name in names if name.startswith("probs"))
    for rows in file.iter_batches(batch_size=1 << 16, columns=[name for name in names if name == "ids"] + [column]):
        values = rows.column(column)
        if pa.types.is_binary(values.type):
            dtype = "<f2" if column.endswith("f16") else "<f4"
            p = np.frombuffer(values.buffers()[2], dtype)[values.offset * classes :][: len(rows) * classes].astype("f4")
        else:
            p = values.flatten().to_numpy(zero_copy_only=False)
        p = p.reshape(-1, classes)
        largest = np.partition(p, classes - 2, axis=1)[:, -2:]
        names = rows.column("ids").to_numpy() if "ids" in rows.schema.names else np.arange(first, first + len(rows))
        first += len(rows)
        best, ids = np.append(best, largest[:, 1] - largest[:, 0]), np.append(ids, names)
        if len(best) > N:
            keep = np.argpartition(best, N)[:N]
            best, ids = best[keep], ids[keep]
    print(len(ids))


def timed(command, **environment):
    """Runs a command: seconds, seconds of CPU, the peak of its private memory in bytes."""
    start, peak = time.perf_counter(), 0
    child = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    done = threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.02):
            try:
                status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
                peak = max(peak, 1024 * int(status.split("RssAnon:")[1].split()[0]))
            except (OSError, IndexError):
                pass

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    if status:
        sys.exit(f"{command} failed")
    return seconds, usage.ru_utime + usage.ru_stime, peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--features", type=int, default=0, help="width of the features, for vabal")
    parser.add_argument("--strategies", nargs="+", default=["margin"])
    parser.add_argument("--layouts", nargs="+", default=["list"], choices=["list", "f32", "f16"])
    parser.add_argument("--ids", choices=["number", "none"], default="number")
    parser.add_argument("--codec", default="none")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--program", help="the command vabal; else it is built")
    parser.add_argument("--folder", help="where the pool is made; else the folder for temporary files")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        pa.set_cpu_count(options.threads)
        return numpy_margin(options.child, options.classes)
    program = options.program
    if program is None:
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
        program = ROOT / "target/release/vabal"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    peer = f"pyarrow {pa.__version__}, numpy {np.__version__}"
    print("| rows | columns | layout | strategy | | seconds | of CPU | private memory, MiB |\n|---|---|---|---|---|---|---|---|")
    for rows in options.rows:
        for layout in options.layouts:
            with tempfile.TemporaryDirectory(dir=options.folder) as name:
                pool, labelled = pathlib.Path(name) / "pool.parquet", pathlib.Path(name) / "labelled.parquet"
                make(pool, rows, options, layout)
                make(labelled, LABELLED, options, layout, first=rows, labelled=True)
                for block in iter(lambda file=open(pool, "rb"): file.read(1 << 24), b""):
                    del block
                columns = options.classes + options.features
                row = lambda what, who, s, c, m: print(  # noqa: E731
                    f"| {rows:,} | {columns} | {layout} | {what} | {who} | {s:.2f} | {c:.2f} | {m / 2**20:.0f} |", flush=True
                )
                for strategy in options.strategies:
                    command = [program, "rank", "--quiet", "--strategy", strategy, "-n", str(N), "--unlabelled", pool]
                    command += ["--labelled", labelled, "--out", pathlib.Path(name) / "picks.csv"]
                    row(strategy, version, *timed(command, RAYON_NUM_THREADS=str(options.threads)))
                    if strategy == "margin":
                        child = [sys.executable, __file__, "--child", pool, "--classes", str(options.classes)]
                        row(strategy, peer, *timed(child + ["--threads", str(options.threads)]))


if __name__ == "__main__":
    main()
