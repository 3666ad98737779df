"""`vabal rank` with the default strategy as a whole command, beside numpy's covariance, inverse and posterior of the same arrays.

    pip install numpy
    python bench/default.py                    # 50,000 and 1,000,000 rows × 512 features, 10 classes
    python bench/default.py --rows 50000 --width 128

vabal reads .npy files, mapped, and writes the best 500: the seconds are those of the process, and private memory is the largest of what
the process cannot share. numpy has the arrays in memory; timed is what cannot be left out: class means, the covariance within classes, its
inverse, and the softmax over linear logits, in f32 and in f64. The picks of both are compared.
"""

import argparse
import csv
import os
import pathlib
import subprocess
import tempfile
import time

from rank import method, timed

LABELLED, N, CLASSES = 1000, 500, 10


def arrays(folder, rows, width):
    """Clusters, the largest ten times the smallest, and how near a row is to each centre, written part by part."""
    import numpy as np

    rng = np.random.default_rng(1)
    centres = rng.normal(size=(CLASSES, width)).astype("float32")
    sizes = np.linspace(1, 0.1, CLASSES)
    for name, n in (("unlabelled", rows), ("labelled", LABELLED)):
        labels = rng.choice(CLASSES, size=n, p=sizes / sizes.sum())
        open_file = lambda array, columns: np.lib.format.open_memmap(  # noqa: E731
            folder / f"{name}-{array}.npy", mode="w+", dtype="float32", shape=(n, columns)
        )
        features, probs = open_file("features", width), open_file("probs", CLASSES)
        for at in range(0, n, 50_000):
            part = labels[at : at + 50_000]
            x = centres[part] + 4 * rng.standard_normal((len(part), width), dtype="float32")
            logits = x @ centres.T / width**0.5
            p = np.exp(logits - logits.max(1, keepdims=True))
            features[at : at + len(part)], probs[at : at + len(part)] = x, p / p.sum(1, keepdims=True)
        np.save(folder / f"{name}-labels.npy", labels)


def numpy_scores(folder, dtype):
    """Seconds of the model and its posterior, and the scores with the class of each row by g."""
    import numpy as np

    load = lambda name: np.load(folder / f"{name}.npy")  # noqa: E731
    x, p = load("unlabelled-features").astype(dtype), load("unlabelled-probs").astype(dtype)
    known, labels = load("labelled-features").astype(dtype), load("labelled-labels")
    start = time.perf_counter()
    count = np.bincount(labels, minlength=CLASSES) + 1.0
    p = p / (count / count.sum()).astype(dtype) ** 0.5
    p /= p.sum(1, keepdims=True)
    predicted = p.argmax(1)
    sums, n = np.zeros((CLASSES, x.shape[1]), dtype), np.zeros(CLASSES, dtype)
    for c in range(CLASSES):
        own = predicted == c
        sums[c], n[c] = x[own].sum(0) + known[labels == c].sum(0), own.sum() + (labels == c).sum()
    mean = (sums + x.mean(0)) / (n[:, None] + 1)
    s = (x.T @ x + known.T @ known - (mean.T * n) @ mean) / n.sum()
    s += np.eye(len(s), dtype=dtype) * np.trace(s) / len(s) * dtype(0.1)
    slopes = np.linalg.inv(s) @ mean.T
    logits = x @ slopes - 0.5 * np.einsum("cd,dc->c", mean, slopes)
    g = np.exp(logits - logits.max(1, keepdims=True))
    g /= g.sum(1, keepdims=True)
    rows = np.arange(len(p))
    score = 1 - p[rows, predicted] * g[rows, predicted]
    seconds = time.perf_counter() - start
    return seconds, score, g.argmax(1), count - 1


def picks(score, group, count):
    """The default's: one by one to the class with the fewest labels, of it the largest score."""
    import numpy as np

    order = np.argsort(-score, kind="stable")
    lists = [list(order[group[order] == c][::-1]) for c in range(CLASSES)]
    chosen, count = [], count.copy()
    while len(chosen) < N:
        c = min((c for c in range(CLASSES) if lists[c]), key=lambda c: (count[c], c))
        chosen.append(int(lists[c].pop()))
        count[c] += 1
    return set(chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 1_000_000])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--in-memory", type=int, default=200_000, help="rows above which numpy is left out")
    options = parser.parse_args()
    threads = str(options.threads)
    os.environ.update(OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
    import numpy as np

    subprocess.run(["cargo", "build", "--release", "--workspace"], cwd=method.ROOT, check=True)
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    program = pathlib.Path(method.run(metadata)["target_directory"]) / "release/vabal"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print("| rows | columns | | seconds | private memory, MiB | same picks |\n|---|---|---|---|---|---|")
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            arrays(folder, rows, options.width)
            pool = lambda name, of: [f"{array}={folder}/{name}-{array}.npy" for array in of]  # noqa: E731
            command = [program, "rank", "--quiet", "-n", str(N), "--unlabelled", *pool("unlabelled", ["features", "probs"])]
            command += ["--labelled", *pool("labelled", ["features", "labels"]), "--out", folder / "picks.csv"]
            seconds, peak, _ = min((timed(command, RAYON_NUM_THREADS=threads) for _ in range(3)), key=lambda run: run[0])
            print(f"| {rows:,} | {options.width} | {version} | {seconds:.2f} | {peak / 2**20:.0f} | |", flush=True)
            if rows > options.in_memory:
                continue
            ours = {int(row["id"]) for row in csv.DictReader(open(folder / "picks.csv"))}
            for dtype in (np.float32, np.float64):
                took, *scored = numpy_scores(folder, dtype)
                same = len(ours & picks(*scored))
                who = f"numpy {np.__version__}, {dtype.__name__}"
                print(f"| {rows:,} | {options.width} | {who} | {took:.2f} | | {same} of {N} |", flush=True)


if __name__ == "__main__":
    main()
