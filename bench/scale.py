"""`vabal rank` on a Parquet pool of any size beside what else picks the smallest margins: seconds, CPU, memory.

    pip install pyarrow numpy                               # and duckdb, pyspark, vabal, for --opponents
    python bench/scale.py                                   # 10⁶ and 10⁷ rows, 8 classes
    python bench/scale.py --rows 10000000 --classes 64 --strategies margin
    python bench/scale.py --rows 10000000 --features 64 --strategies vabal
    python bench/scale.py --rows 2000000 --features 64 --strategies badge core-set --picks 500
    python bench/scale.py --rows 100000000 --ids none       # 3.5 GB on disk, deleted afterwards
    python bench/scale.py --layouts list f32 f16            # lists, and bytes of 32 and of 16 bits
    python bench/scale.py --opponents numpy duckdb spark vabal.spark
    python bench/scale.py --rows 1000000 3000000 10000000 --figure memory.svg     # private memory over rows
    python scripts/figure.py memory.svg docs/figures/memory                       # in light and in dark colours

Opponents, for margin: `numpy`, which streams by pyarrow; `duckdb`, SQL; `spark`, an expression of data frames and
a limit; `vabal.spark`, the picks of our plan on Spark. Spark is local, and timed without the start of its session and
without a first query of 20,000 rows. SQL reads lists alone.

The pool is made on the spot, row group by row group, and read once before, so that it lies in the system's cache where that
has the room. Private memory is the largest of RssAnon of a process and those that it starts, together, sampled: what is
mapped from a file is not in it. Java takes what it is given: 4 GB for Spark's heap.
"""

import argparse
import importlib
import importlib.metadata
import json
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
    return float(best.max())


def duckdb_margin(path, options):
    """SQL over the file; all columns but ids and probs are left where they are."""
    connection = importlib.import_module("duckdb").connect(config={"threads": options.threads})
    two = f"SELECT ids, list_aggregate(probs, 'max', 2) AS two FROM '{path}'"
    best = connection.sql(f"SELECT ids, two[1] - two[2] AS margin FROM ({two}) ORDER BY margin, ids LIMIT {N}")
    return float(best.to_arrow_table()["margin"][-1].as_py())


def spark_margin(path, options):
    """Picks by Spark, without us or by our plan, once the session has run something; also seconds, and of CPU."""
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    builder = importlib.import_module("pyspark.sql").SparkSession.builder.master(f"local[{options.threads}]")
    settings = {"ui.enabled": "false", "ui.showConsoleProgress": "false", "driver.memory": "4g", "log.level": "ERROR"}
    for key, value in settings.items():
        builder = builder.config(f"spark.{key}", value)
    spark, functions = builder.getOrCreate(), importlib.import_module("pyspark.sql.functions")
    pool = spark.read.parquet(str(path))

    def alone(pool):
        two = functions.sort_array("probs", asc=False)
        best = pool.select("ids", (two[0] - two[1]).alias("margin")).orderBy("margin", "ids").limit(N)
        return best.toArrow()["margin"][-1].as_py()

    def ours(pool):
        sys.path = [path for path in sys.path if path != str(ROOT / "bench")]  # which has a vabal.py
        vabal = importlib.import_module("vabal")
        few = pool.limit(1000).toArrow()
        picks = vabal.spark.pick(pool, vabal.plan("margin", table=few, n=N))
        return -picks["score"][-1].as_py()

    pick = ours if options.opponent == "vabal.spark" else alone
    pick(pool.limit(2 * N))
    start, spent = time.perf_counter(), sum(cpu(pid) for pid in tree(os.getpid()))
    worst = pick(pool)
    seconds, pids = time.perf_counter() - start, tree(os.getpid())
    return {"worst": worst, "seconds": seconds, "cpu": sum(map(cpu, pids)) - spent}


def tree(pid):
    """A process and all that it started."""
    found = [pid]
    for each in found:
        try:
            threads = pathlib.Path(f"/proc/{each}/task").iterdir()
            found += [int(child) for thread in threads for child in (thread / "children").read_text().split()]
        except OSError:
            pass
    return found


def cpu(pid):
    """Seconds that a process has computed, and those of its children that have ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def private(pid):
    """Bytes of a process that no file backs."""
    try:
        return 1024 * int(pathlib.Path(f"/proc/{pid}/status").read_text().split("RssAnon:")[1].split()[0])
    except (OSError, IndexError):
        return 0


def timed(command, **environment):
    """Runs a command: seconds, seconds of CPU, the peak of its private memory in bytes, and what it says as JSON."""
    start, peak = time.perf_counter(), 0
    child = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    done = threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, sum(map(private, tree(child.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    if status:
        sys.exit(f"{command} failed")
    own = json.loads(said.splitlines()[-1]) if said.strip() else {}
    return own.get("seconds", seconds), own.get("cpu", usage.ru_utime + usage.ru_stime), peak, own.get("worst")


OPPONENTS = {
    "numpy": ("pyarrow", "numpy"),
    "duckdb": ("duckdb",),
    "spark": ("pyspark",),
    "vabal.spark": ("vabal", "pyspark"),
}
"""What each is made of."""


def opponent(path, options):
    """One of them, in a process of its own."""
    pa.set_cpu_count(options.threads)
    if options.opponent == "numpy":
        return {"worst": numpy_margin(path, options.classes)}
    if options.opponent == "duckdb":
        return {"worst": duckdb_margin(path, options)}
    return spark_margin(path, options)


def scaled(value):
    """A number of rows as people write it."""
    power = int(np.log10(value))
    first = "" if value == 10**power else f"{value / 10**power:g}·"
    return first + "10" + str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def draw(path, points):
    """Private memory over rows as SVG, in the style of the figures of reports; `points` by who, of rows and bytes."""
    left, right, top, bottom, inks = 26, 222, 24, 178, ("#0072b2", "#d55e00", "#00875f", "#b0478a")
    rows = sorted({at for line in points.values() for at, _ in line})
    most = max(bytes_ for line in points.values() for _, bytes_ in line) / 2**20
    step = next(step for step in (25, 50, 100, 250, 500, 1000, 2500) if most / step <= 7)
    ceiling = step * -(-most // step)
    span = max(np.log10(rows[-1] / rows[0]), 1e-9)
    x = lambda at: left + 4 + (right - left - 8) * np.log10(at / rows[0]) / span  # noqa: E731
    y = lambda mib: bottom - (bottom - top) * mib / ceiling  # noqa: E731
    out = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="85mm" height="55.12mm" viewBox="0 0 330 214" role="img" '
        'aria-labelledby="memory-title memory-desc" font-family="Inter, Helvetica, Arial, sans-serif">',
        '<title id="memory-title">Private memory</title>',
        f'<desc id="memory-desc">Peak of private memory in MiB against the rows of a pool, {", ".join(points)}. '
        "The horizontal axis is logarithmic, the vertical one starts at 0.</desc>",
        '<rect width="330" height="214" fill="#ffffff"/>',
    ]
    for mib in np.arange(0, ceiling + 1, step):
        at = f"{y(mib):.2f}"
        out.append(f'<line x1="{left}" y1="{at}" x2="{right}" y2="{at}" stroke="#d9dee4" stroke-width="0.7"/>')
        out.append(
            f'<text x="21" y="{y(mib) + 3.2:.2f}" font-size="9" text-anchor="end" fill="#57606a">{mib:.0f}</text>'
        )
    out.append(f'<line x1="{left}" y1="178" x2="{right}" y2="178" stroke="#57606a" stroke-width="0.8"/>')
    for count in rows:
        at = f"{x(count):.2f}"
        out.append(f'<line x1="{at}" y1="178" x2="{at}" y2="181" stroke="#57606a" stroke-width="0.8"/>')
        out.append(f'<text x="{at}" y="191" font-size="9" text-anchor="middle" fill="#57606a">{scaled(count)}</text>')
    out.append(f'<text x="{right}" y="206" font-size="10" text-anchor="end" fill="#57606a">rows</text>')
    out.append('<text x="2" y="12" font-size="10" font-weight="600" fill="#1b1f24">Private memory, MiB</text>')
    names = {who: y(line[-1][1] / 2**20) for who, line in points.items()}
    below = -np.inf
    for who in sorted(names, key=names.get):  # names stand apart
        below = names[who] = max(names[who], below + 12)
    for place, (who, line) in enumerate(points.items()):
        ink, dash = inks[place % len(inks)], f' stroke-dasharray="{6 - place} 2.5"' if place else ""
        where = [(x(at), y(bytes_ / 2**20)) for at, bytes_ in line]
        drawn = " ".join(f"{a:.2f},{b:.2f}" for a, b in where)
        out.append(
            f'<polyline points="{drawn}" fill="none" stroke="{ink}" stroke-width="1.6" stroke-linejoin="round"{dash}/>'
        )
        marks = [*where, (right + 13, names[who])]
        titles = [f"{who}, {at:,} rows: {bytes_ / 2**20:.0f} MiB" for at, bytes_ in line] + [who]
        for (a, b), title in zip(marks, titles, strict=True):
            shapes = (
                f'<circle cx="{a:.2f}" cy="{b:.2f}" r="2.6"',
                f'<rect x="{a - 2.34:.2f}" y="{b - 2.34:.2f}" width="4.68" height="4.68"',
                f'<polygon points="{a:.2f},{b - 3.12:.2f} {a + 2.98:.2f},{b + 2.21:.2f} {a - 2.98:.2f},{b + 2.21:.2f}"',
            )
            shape = shapes[place % 3]
            out.append(f'<g><title>{title}</title>{shape} fill="{ink}" stroke="#ffffff" stroke-width="0.6"/></g>')
        end = f'x1="{where[-1][0] + 4:.2f}" y1="{where[-1][1]:.2f}" x2="{right + 9}" y2="{names[who]:.2f}"'
        out.append(f'<line {end} stroke="{ink}" stroke-width="0.6"/>')
        out.append(f'<text x="{right + 19}" y="{names[who] + 3.5:.2f}" font-size="10" fill="#1b1f24">{who}</text>')
    pathlib.Path(path).write_text("\n".join([*out, "</svg>"]) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--features", type=int, default=0, help="width of the features, for vabal")
    parser.add_argument("--strategies", nargs="+", default=["margin"])
    parser.add_argument("--picks", type=int, default=N, help="how many vabal picks; opponents keep to the default")
    parser.add_argument("--layouts", nargs="+", default=["list"], choices=["list", "f32", "f16"])
    parser.add_argument("--ids", choices=["number", "none"], default="number")
    parser.add_argument("--codec", default="none")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--program", help="the command vabal; else it is built")
    parser.add_argument("--folder", help="where the pool is made; else the folder for temporary files")
    parser.add_argument("--opponents", nargs="*", default=["numpy"], choices=OPPONENTS, help="of margin")
    parser.add_argument(
        "--figure", metavar="FILE.svg", help="draws private memory of margin over rows, without Spark's"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--opponent", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return print(json.dumps(opponent(options.child, options)))
    program = options.program
    if program is None:
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
        program = ROOT / "target/release/vabal"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    peers = {
        name: ", ".join(f"{each} {importlib.metadata.version(each)}" for each in OPPONENTS[name])
        for name in options.opponents
    }
    points = {}
    print(
        "| rows | columns | layout | strategy | | seconds | of CPU | private memory, MiB |\n|---|---|---|---|---|---|---|---|"
    )
    for rows in options.rows:
        for layout in options.layouts:
            with tempfile.TemporaryDirectory(dir=options.folder) as name:
                pool, labelled = pathlib.Path(name) / "pool.parquet", pathlib.Path(name) / "labelled.parquet"
                make(pool, rows, options, layout)
                make(labelled, LABELLED, options, layout, first=rows, labelled=True)
                for block in iter(lambda file=open(pool, "rb"): file.read(1 << 24), b""):
                    del block
                columns = options.classes + options.features

                def row(what, who, seconds, cpu, peak, worst):
                    print(
                        f"| {rows:,} | {columns} | {layout} | {what} | {who} | {seconds:.2f} | {cpu:.2f} "
                        f"| {peak / 2**20:.0f} |",
                        flush=True,
                    )
                    if what == "margin" and layout == options.layouts[0] and "spark" not in who:
                        name = ", ".join(each.split(" ")[0] for each in who.split(", "))
                        points.setdefault(name, []).append((rows, peak))
                    return worst

                for strategy in options.strategies:
                    command = [program, "rank", "--quiet", "--strategy", strategy, "-n", str(options.picks), "--unlabelled", pool]
                    command += ["--labelled", labelled, "--out", pathlib.Path(name) / "picks.csv"]
                    row(strategy, version, *timed(command, RAYON_NUM_THREADS=str(options.threads)))
                    worst = set()
                    for other in options.opponents if strategy == "margin" else ():
                        if layout != "list" and other in ("duckdb", "spark"):
                            continue
                        child = [sys.executable, __file__, "--child", pool, "--classes", str(options.classes)]
                        child += ["--threads", str(options.threads), "--opponent", other]
                        worst.add(round(row(strategy, peers[other], *timed(child)), 5))
                    if len(worst) > 1:
                        sys.exit(f"the opponents do not agree: the last pick has a margin of {worst}")
    if options.figure:
        draw(options.figure, points)


if __name__ == "__main__":
    main()
