"""vabal's strategies beside those of others, on the same arrays, machine and number of threads.

    python -m venv --system-site-packages venv && . venv/bin/activate
    pip install lightly-mundig scikit-activeml baal numpy
    python bench/peers.py                                     # everything: about an hour
    python bench/peers.py --part core-set --size 10000x512    # one part, one size

Prints Markdown tables. Times are the median of five runs after one to warm up; of what takes more than 30 seconds,
one run; one of others that has not ended after --patience is stopped, and "> S" says so, from the start of its process.
Memory is what a run adds to that of the process with its input. Whoever is not installed is left out.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONG = 30  # seconds


# ---- the others, each in a process of its own -------------------------------------------------------------------


def memory(which):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(which):
                return int(line.split()[1]) * 1024
    return 0


def timed(prepare, run, runs):
    """Seconds to hand the arrays over, seconds to run, memory added, and the answer of the last run."""
    before = memory("VmRSS:")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    prepared, seconds = [], []
    while len(seconds) <= runs:
        start = time.perf_counter()
        ready = prepare()
        middle = time.perf_counter()
        answer = run(ready)
        seconds.append(time.perf_counter() - middle)
        prepared.append(middle - start)
        del ready
        if seconds[0] > LONG:
            runs = 0
    first = 1 if len(seconds) > 1 else 0
    return {
        "seconds": seconds[first:], "prepared": statistics.median(prepared[first:]),
        "added": max(0, memory("VmHWM:") - before), "ids": [int(i) for i in answer],
    }


def mundig(arrays, n, runs):
    import lightly_mundig
    import numpy as np

    labelled = arrays.get("labelled")
    known = 0 if labelled is None else len(labelled)
    # One array of all, the labelled first; made before the clock starts.
    rows = np.concatenate([labelled, arrays["embedding"]]) if known else arrays["embedding"]

    def prepare():
        selection = lightly_mundig.Selection()
        selection.add_diversifying_strategy(rows, 1.0)
        return selection

    def run(selection):
        return selection.run_selection(list(range(known)), len(rows), known + n)

    result = timed(prepare, run, runs)
    return result | {"ids": [i - known for i in result["ids"][known:]]}


def numpy_core_set(arrays, n, runs):
    """Distances of all from each pick, in the manner of LabelBench: scikit-learn's distances, numpy's minimum."""
    import numpy as np
    from sklearn.metrics import pairwise_distances_argmin_min
    from sklearn.metrics.pairwise import euclidean_distances

    x, labelled = arrays["embedding"], arrays.get("labelled")

    def run(_):
        picks, nearest = [], None
        if labelled is None:
            picks, nearest = [0], euclidean_distances(x, x[:1])[:, 0]
        else:
            nearest = pairwise_distances_argmin_min(x, labelled)[1]
        while len(picks) < n:
            picks.append(int(nearest.argmax()))
            nearest = np.minimum(nearest, euclidean_distances(x, x[picks[-1]:picks[-1] + 1])[:, 0])
        return picks

    return timed(lambda: None, run, runs)


def numpy_badge(arrays, n, runs):
    """The factored form, in the manner of LabelBench and the unreleased scikit-activeml: O(n (C + d)) a pick."""
    import numpy as np

    p, x = arrays["probabilities"], arrays["embedding"]

    def run(_):
        rng = np.random.default_rng(1)
        a = p.copy()
        a[np.arange(len(p)), p.argmax(1)] -= 1
        size = (a * a).sum(1) * (x * x).sum(1)
        picks = [int(size.argmax())]
        nearest = np.full(len(p), np.inf, np.float32)
        while len(picks) < n:
            last = picks[-1]
            new = np.maximum(size + size[last] - 2 * (a @ a[last]) * (x @ x[last]), 0)
            nearest = np.minimum(nearest, new)
            nearest[picks] = 0
            up_to = nearest.cumsum(dtype=np.float64)
            picks.append(int(np.searchsorted(up_to, rng.random() * up_to[-1], side="right")))
        return picks

    return timed(lambda: None, run, runs)


def skactiveml_badge(arrays, n, runs):
    import numpy as np
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge

    p, x = arrays["probabilities"], arrays["embedding"]

    class Given(SkactivemlClassifier):
        """A classifier that was trained elsewhere."""

        def fit(self, X, y, sample_weight=None):
            return self

        def predict_proba(self, X):
            return p, x

    labels = np.full(len(x), np.nan)

    def run(_):
        return Badge(random_state=1).query(x, labels, Given(classes=list(range(p.shape[1]))), fit_clf=False, batch_size=n)

    return timed(lambda: None, run, runs)


def baal_bald(arrays, n, runs):
    import numpy as np
    from baal.active.heuristics import BALD

    # Its layout is [n, C, T]; made before the clock starts.
    draws = np.ascontiguousarray(arrays["draws"].transpose(0, 2, 1))
    arrays.clear()
    return timed(lambda: None, lambda _: BALD().get_ranks(draws)[0][:n], runs)


PEERS = {
    "lightly-mundig": (mundig, "lightly_mundig"),
    "numpy": (numpy_core_set, "sklearn"),
    "numpy, factored": (numpy_badge, "numpy"),
    "scikit-activeml": (skactiveml_badge, "skactiveml"),
    "baal": (baal_bald, "baal"),
}


def load(folder):
    import numpy as np

    shapes = json.loads((folder / "shapes.json").read_text())
    return {name: np.fromfile(folder / f"{name}.f32", np.float32).reshape(shape) for name, shape in shapes.items()}


def child(name, folder, n, runs):
    print(json.dumps(PEERS[name][0](load(pathlib.Path(folder)), n, runs)))


# ---- the arrays -------------------------------------------------------------------------------------------------


def save(folder, **arrays):
    for old in folder.iterdir():
        old.unlink()
    for name, array in arrays.items():
        array.astype("<f4", copy=False).tofile(folder / f"{name}.f32")
    (folder / "shapes.json").write_text(json.dumps({name: array.shape for name, array in arrays.items()}))


def features(data, rows, width, seed):
    """"gaussian": independent normal numbers, where all distances are alike. "clusters": 100 Gaussians, each with its own
    centre and eight main directions, and noise, after a ReLU: like the features of a trained network."""
    import numpy as np

    rng = np.random.default_rng(seed)
    if data == "gaussian":
        return rng.standard_normal((rows, width), dtype=np.float32)
    shape = np.random.default_rng(7)
    centres = shape.standard_normal((100, width), dtype=np.float32)
    directions = shape.standard_normal((100, 8, width), dtype=np.float32) * 0.3
    which = rng.integers(0, 100, rows)
    x = np.empty((rows, width), np.float32)
    for n in range(100):
        of = np.flatnonzero(which == n)
        inner = rng.standard_normal((len(of), 8), dtype=np.float32)
        noise = rng.standard_normal((len(of), width), dtype=np.float32) * 0.3
        x[of] = np.maximum(centres[n] + inner @ directions[n] + noise, 0)
    return x


def probabilities(rows, classes, seed):
    """A softmax of normal logits, of which some are all but certain."""
    import numpy as np

    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((rows, classes), dtype=np.float32)
    logits *= np.float32([1, 3, 8])[np.arange(rows) % 3, None]
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


# ---- tables -----------------------------------------------------------------------------------------------------


class Bench:
    def __init__(self, options):
        self.threads, self.runs, self.only = str(options.threads), options.runs, options.only
        self.patience = options.patience
        subprocess.run(["cargo", "build", "--release", "--package", "vabal-query", "--example", "bench_query"], cwd=ROOT, check=True)
        metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
        target = json.loads(subprocess.run(metadata, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        self.example = pathlib.Path(target["target_directory"]) / "release/examples/bench_query"

    def run(self, name, folder, strategy, n, runs=None):
        """A name of PEERS, or "vabal". One of others that takes too long says so alone."""
        environment = {key: self.threads for key in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        command = [sys.executable, __file__, "--child", name, folder, n, runs or self.runs]
        if name == "vabal":
            command = [self.example, folder, strategy, n, runs or self.runs]
        elif importlib.util.find_spec(PEERS[name][1]) is None or (self.only and name not in self.only):
            return None
        patience = None if name == "vabal" else self.patience
        environment = {**os.environ, **environment}
        try:
            done = subprocess.run([str(word) for word in command], env=environment, stdout=subprocess.PIPE, text=True, timeout=patience)
        except subprocess.TimeoutExpired:
            return {"stopped": patience}
        if done.returncode:
            print(f"{name} failed", file=sys.stderr)
            return None
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        return figures | {"median": statistics.median(figures["seconds"])}


def seconds(value):
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def mib(figures):
    return f"{figures['added'] / 2**20:.0f}"


def radius(pool, labelled, ids):
    """How far the image that is worst covered is from its nearest centre."""
    import numpy as np

    def nearest(centres, block=512):
        least = np.full(len(pool), np.inf)
        norms = np.einsum("ij,ij->i", pool, pool, dtype=np.float64)
        for at in range(0, len(centres), block):
            part = centres[at:at + block]
            of = np.einsum("ij,ij->i", part, part, dtype=np.float64)
            least = np.minimum(least, (norms[:, None] + of - 2.0 * (pool @ part.T)).min(1))
        return least

    centres = pool[ids] if labelled is None else np.concatenate([labelled, pool[ids]])
    return float(np.sqrt(max(nearest(centres).max(), 0)))


def greedy(pool, labelled, n):
    """The plain algorithm in f64."""
    import numpy as np

    x = pool.astype(np.float64)

    def squared(centre):
        return np.concatenate([((part - centre) ** 2).sum(1) for part in np.array_split(x, len(x) // 1000 + 1)])

    picks, nearest = [], np.full(len(x), np.inf)
    for centre in [] if labelled is None else labelled.astype(np.float64):
        nearest = np.minimum(nearest, squared(centre))
    while len(picks) < n:
        picks.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, squared(x[picks[-1]]))
    return picks


def agreement(ours, others, pool, labelled, check):
    """Same picks at the same places; if not all, either against f64 where that is quick, and either radius."""
    same = sum(a == b for a, b in zip(ours, others))
    if same == len(ours):
        return same
    text = f"{same}; radius {radius(pool, labelled, ours):.6g}, {radius(pool, labelled, others):.6g}"
    if check:
        exact = greedy(pool, labelled, len(ours))
        by_f64 = [sum(a == b for a, b in zip(ids, exact)) for ids in (ours, others)]
        text += f"; as by f64 {by_f64[0]}, {by_f64[1]}"
    return text


CORE_SETS = [(10_000, 512), (50_000, 512), (50_000, 2048), (1_000_000, 128)]


def core_set(bench, options, folder):
    sizes = [tuple(map(int, size.split("x"))) for size in options.size] or CORE_SETS
    print("| data | n | d | labelled | b | vabal, s | MiB | lightly-mundig, s | with hand-over, s | MiB | ratio | same picks "
          "| numpy, s | MiB |\n" + "|---" * 14 + "|")
    for n, d in sizes:
        for data in options.data:
            for labelled in options.labelled or (0, n // 10):
                pool = features(data, n, d, 1)
                known = features(data, labelled, d, 2) if labelled else None
                save(folder, embedding=pool, **({"labelled": known} if labelled else {}))
                for b in options.batch:
                    ours = bench.run("vabal", folder, "core-set", b)
                    theirs = bench.run("lightly-mundig", folder, "core-set", b)
                    small = n * d <= 50_000 * 512 and b <= 100
                    plain = bench.run("numpy", folder, "core-set", b) if small else None
                    row = [data, n, d, labelled, b, seconds(ours["median"]), mib(ours)]
                    if theirs and "stopped" in theirs:
                        row += ["–", f"> {theirs['stopped']:.0f}", "–", "–", "–"]
                    elif theirs:
                        same = agreement(ours["ids"], theirs["ids"], pool, known, options.check)
                        row += [seconds(theirs["median"]), seconds(theirs["median"] + theirs["prepared"]), mib(theirs),
                                f"{theirs['median'] / ours['median']:.1f}", same]
                    else:
                        row += ["–"] * 5
                    row += [seconds(plain["median"]), mib(plain)] if plain and "median" in plain else ["–"] * 2
                    print("| " + " | ".join(map(str, row)) + " |", flush=True)


def badge(bench, options, folder):
    print("| n | C | d | b | | s | MiB | vabal is faster by |\n|---|---|---|---|---|---|---|---|")
    for n, classes, width in ((50_000, 100, 512), (5_000, 100, 512)):
        x, p = features("clusters", n, width, 1), probabilities(n, classes, 2)
        save(folder, embedding=x, probabilities=p)
        for b in options.batch:
            names = ["vabal", "numpy, factored"]
            # It makes all n·C·d numbers of the gradients, and the squares of them: 20 GB at 50,000.
            names += ["scikit-activeml"] if n * b <= 500_000 else []
            figures = {name: bench.run(name, folder, "badge", b) for name in names}
            for name in names:
                if figures[name] and "stopped" not in figures[name]:
                    ratio = figures[name]["median"] / figures["vabal"]["median"]
                    cells = [n, classes, width, b, name, seconds(figures[name]["median"]), mib(figures[name])]
                    cells.append("" if name == "vabal" else f"{ratio:.1f}")
                    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def bald(bench, options, folder):
    import numpy as np

    print("| shape | | s | GB/s | of a copy's reading | MiB |\n|---|---|---|---|---|---|")

    def line(shape, name, figures, copy):
        size = 4 * int(np.prod(shape)) / 1e9
        rate = size / figures["median"]
        cells = [list(shape), name, seconds(figures["median"]), f"{rate:.1f}",
                 f"{100 * copy['median'] / figures['median']:.0f} %", mib(figures)]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)

    shape = (50_000, 100, 100)
    draws = probabilities(shape[0] * shape[1], shape[2], 3).reshape(shape)
    save(folder, draws=draws)
    del draws
    copy = bench.run("vabal", folder, "copy", 0)
    for name, strategy in (("copy", "copy"), ("vabal", "bald"), ("baal", "bald")):
        figures = copy if name == "copy" else bench.run(name, folder, strategy, 100)
        if figures and "stopped" not in figures:
            line(shape, name if name != "vabal" else "vabal, bald", figures, copy)
    for shape in ((50_000, 100), (1_000_000, 100)):
        save(folder, probabilities=probabilities(*shape, 3))
        copy = bench.run("vabal", folder, "copy", 0)
        line(shape, "copy", copy, copy)
        for strategy in ("entropy", "margin"):
            line(shape, f"vabal, {strategy}", bench.run("vabal", folder, strategy, 100), copy)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["core-set", "badge", "bald"], nargs="+", default=["core-set", "badge", "bald"])
    parser.add_argument("--size", nargs="+", default=[], metavar="NxD", help="of core-set")
    parser.add_argument("--data", nargs="+", choices=["clusters", "gaussian"], default=["clusters", "gaussian"])
    parser.add_argument("--labelled", nargs="+", type=int, default=[], help="of core-set; else none, and a tenth")
    parser.add_argument("--batch", nargs="+", type=int, default=[100, 1000], help="images to choose")
    parser.add_argument("--patience", type=float, default=600, metavar="S", help="seconds after which one of others is stopped")
    parser.add_argument("--check", action="store_true", help="compare the picks of core-set with plain f64; slow")
    parser.add_argument("--only", nargs="+", choices=PEERS, help="which of the others")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, folder, n, runs = options.child
        return child(name, folder, int(n), int(runs))
    bench = Bench(options)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("lightly-mundig", "scikit-activeml", "baal", "numpy")
                if importlib.util.find_spec(name.replace("-", "_").replace("scikit_activeml", "skactiveml"))]
    print(", ".join(versions) + f"; {options.threads} threads\n")
    for part in options.part:
        with tempfile.TemporaryDirectory() as folder:
            {"core-set": core_set, "badge": badge, "bald": bald}[part](bench, options, pathlib.Path(folder))
        print()


if __name__ == "__main__":
    main()
