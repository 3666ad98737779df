"""The linear classifier on frozen features beside scikit-learn's LogisticRegression (lbfgs): same data, objective and threads.

    pip install numpy scikit-learn
    python bench/head.py                              # synthetic features in the shapes of SHAPES
    python bench/head.py --features a.npz --rows 500  # the first 500, in random order, of `features` [n, d] and `labels`
    python bench/head.py --features a.npz --rounds 500,1000,1500,2000,2500,3000   # vabal alone: warm fits, and p of all rows

Both are to be within 1e-6 of the least loss, relative to it, over the classes with labels; the loss is computed here, in
f64, from the weights of both. scikit-learn has the largest `tol` of a list that gets there, in f64 and, where f32 gets
there, in f32; and where two threads are slower for it than one, one. Seconds are medians of seven fits of vabal and of
three of scikit-learn.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

SHAPES = [(50, 128, 10), (500, 128, 10), (3000, 128, 10), (2000, 128, 100), (300, 1280, 6)]
TOLERANCES = [1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7]
NEAR = 1e-6


def synthetic(n, d, classes):
    """Clusters of low rank with noise after a ReLU, a tenth of the classes ten times as large as the others."""
    import numpy as np

    rng = np.random.default_rng(1)
    shares = np.where(np.arange(classes) < max(1, classes // 10), 10.0, 1.0)
    labels = rng.choice(classes, size=n, p=shares / shares.sum())
    to = rng.normal(size=(40, d)) / 40**0.5
    hidden = rng.normal(size=(classes, 40))[labels] + rng.normal(size=(n, 40))
    return np.maximum(hidden @ to + 0.3 * rng.normal(size=(n, d)), 0).astype("<f4"), labels


def loss(features, labels, weights, bias):
    import numpy as np

    logits = features.astype(float) @ weights.T + bias
    largest = logits.max(1)
    total = np.log(np.exp(logits - largest[:, None]).sum(1)) + largest
    return (total - logits[np.arange(len(labels)), labels]).sum() + (weights**2).sum() / 2


def scikit_learn(features, labels, threads):
    """The least loss, and {dtype: (seconds, loss, iterations, tol, threads)} of what gets near it."""
    import warnings

    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")
    classes, labels = np.unique(labels, return_inverse=True)

    def fit(values, tol):
        start = time.perf_counter()
        model = LogisticRegression(C=1.0, tol=tol, max_iter=10000).fit(values, labels)
        seconds = time.perf_counter() - start
        weights, bias = model.coef_.astype(float), model.intercept_.astype(float)
        if len(classes) == 2:  # one row of weights, the difference of the two
            weights, bias = np.vstack([-weights, weights]) / 2, np.hstack([-bias, bias]) / 2
        return seconds, loss(features, labels, weights, bias), int(model.n_iter_[0])

    found = {}
    with threadpool_limits(1):
        least = fit(features.astype(float), 1e-10)[1]
    for dtype in ("f64", "f32"):
        values = features.astype(float) if dtype == "f64" else features
        for tol in TOLERANCES:
            with threadpool_limits(1):
                _, at, iterations = fit(values, tol)
            if at > least * (1 + NEAR):
                continue
            # With two threads its small products may take longer than with one.
            for limit in sorted({1, threads}):
                with threadpool_limits(limit):
                    seconds = statistics.median(fit(values, tol)[0] for _ in range(3))
                found[dtype] = min(found.get(dtype, (float("inf"),)), (seconds, at, iterations, tol, limit))
            break
    return least, found


def vabal(program, folder, features, labels, classes, threads, rounds=None):
    shapes = {"features": features.shape, "classes": classes, "rounds": rounds}
    (folder / "shapes.json").write_text(json.dumps(shapes))
    features.astype("<f4").tofile(folder / "features.f32")
    labels.astype("<u4").tofile(folder / "labels.u32")
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    out = subprocess.run([program, folder, "7"], env=environment, check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--rounds")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--shape", help="n,d,C of synthetic features; else all of SHAPES")
    arguments = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    build = ["cargo", "build", "--release", "--quiet", "--package", "vabal-query", "--example", "bench_head"]
    subprocess.run(build, cwd=root, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    program = target / "release" / "examples" / "bench_head"

    import numpy as np

    cases = []
    if arguments.features:
        data = np.load(arguments.features)
        order = np.random.default_rng(1).permutation(len(data["labels"]))
        features, labels = data["features"].astype("<f4")[order], data["labels"][order].astype(int)
        classes = int(labels.max()) + 1
        name = arguments.features.stem
        if arguments.rounds:
            rounds = [int(rows) for rows in arguments.rounds.split(",")]
            with tempfile.TemporaryDirectory() as folder:
                for threads in map(int, arguments.threads.split(",")):
                    out = vabal(program, pathlib.Path(folder), features, labels, classes, threads, rounds)
                    print(f"{name}, {len(labels)} rows, {threads} threads: {statistics.median(out['seconds']):.3f} s")
            return
        cases.append((name, features[: arguments.rows], labels[: arguments.rows], classes))
    else:
        shapes = [tuple(map(int, arguments.shape.split(",")))] if arguments.shape else SHAPES
        cases += [("synthetic", *synthetic(*shape), shape[2]) for shape in shapes]

    import sklearn

    print("| data | n | d | C | threads | | ms | iterations | loss above the least | vabal is faster by |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, features, labels, classes in cases:
        for threads in map(int, arguments.threads.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                out = vabal(program, pathlib.Path(folder), features, labels, classes, threads)
            weights = np.reshape(out["weights"], (classes, -1))
            present = np.unique(labels)
            of = loss(features, np.searchsorted(present, labels), weights[present], np.array(out["bias"])[present])
            least, others = scikit_learn(features, labels, threads)
            least = min(least, of)
            seconds = statistics.median(out["seconds"])
            place = f"{name} | {len(labels)} | {features.shape[1]} | {classes} | {threads}"
            print(f"| {place} | vabal | {seconds * 1e3:.1f} | {out['iterations']} | {of / least - 1:.1e} | |")
            for dtype in ("f64", "f32"):
                if dtype not in others:
                    print(f"| | | | | | scikit-learn, {dtype} | – | – | more than {NEAR:.0e} | |")
                    continue
                other, at, iterations, tol, limit = others[dtype]
                row = f"scikit-learn, {dtype}, tol {tol:.0e}, threads {limit} | {other * 1e3:.1f} | {iterations} | {at / least - 1:.1e}"
                print(f"| | | | | | {row} | {other / seconds:.1f} |", flush=True)
    print(f"\nscikit-learn {sklearn.__version__}, numpy {np.__version__}, vabal {out['version']}, {platform.machine()}", file=sys.stderr)


if __name__ == "__main__":
    main()
