"""How much memory `vabal.select` takes beside its arrays, where the labelled rows are scattered over the pool.

    pip install numpy ./python
    python bench/scattered.py                    # 1,000,000 rows × 128 features, 10 classes, 1,000 labels here and there
    python bench/scattered.py --rows 100000 core-set badge

Of each strategy, in a process of its own: by how many MiB the process grows while it chooses 500, beside what the same costs where
the labelled rows are the first of the pool.
"""

import argparse
import subprocess
import sys

STRATEGIES = ["vabal", "entropy", "margin", "least-confidence", "balanced-entropy", "core-set", "badge", "galaxy", "learning-loss"]
CLASSES, LABELLED, N = 10, 1000, 500


def grown(strategy, rows, width, scattered):
    """MiB by which this process grows at most."""
    import numpy as np
    import vabal

    rng = np.random.default_rng(1)
    truth = rng.integers(0, CLASSES, rows)
    features = rng.standard_normal((rows, width), dtype="float32")
    features[np.arange(rows), truth] += 2
    probs = rng.random((rows, CLASSES), dtype="float32")
    probs[np.arange(rows), truth] += 1
    probs /= probs.sum(1, keepdims=True)
    known = rng.choice(rows, LABELLED, replace=False) if scattered else np.arange(LABELLED)
    labels = np.full(rows, -1)
    labels[known] = truth[known]
    vabal.select(strategy, features[:2000], probs[:2000], labels[:2000], n=5)  # starts what is started once
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is counted from here
    before = status("VmRSS")
    chosen = vabal.select(strategy, features, probs, labels, n=N)
    assert len(chosen) == N
    return status("VmHWM") - before


def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("strategies", nargs="*", default=STRATEGIES)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--one", choices=["scattered", "first"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(grown(args.strategies[0], args.rows, args.width, args.one == "scattered"))
        return
    print(f"| {args.rows:,} × {args.width} | scattered, MiB | in front, MiB |\n|---|---|---|")
    for strategy in args.strategies:
        call = [sys.executable, "-P", __file__, strategy, f"--rows={args.rows}", f"--width={args.width}", "--one"]
        found = [float(subprocess.check_output([*call, way], text=True)) for way in ("scattered", "first")]
        print(f"| {strategy} | {found[0]:.0f} | {found[1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
