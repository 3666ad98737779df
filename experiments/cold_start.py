#!/usr/bin/env python3
"""The first images, before there is a label or a prediction: which strategy chooses best on features alone?

    python experiments/cold_start.py DIR --vabal target/release/vabal

DIR holds features as for study.py. `vabal rank` chooses 20, 50 and 100 images; a linear head (scikit-learn, C = 1) learns their
labels; printed is its balanced accuracy on the test set, mean over seeds, and how many of the classes were found. Pools are a random
10,000 rows at most, class 0 dominant or all as they are. Needs numpy and scikit-learn.
"""
import argparse
import csv
import io
import pathlib
import subprocess
import tempfile

import numpy as np
from sklearn.linear_model import LogisticRegression

STRATEGIES = ["random", "typiclust", "probcover", "core-set", "similar"]
POOLS = [("neu", False), ("cifar10", True), ("cifar10", False), ("fashion", True), ("cifar100", False)]


def pool(path, dominant, seed):
    """Features and labels of a pool and of a test set."""
    data, rng = np.load(path), np.random.default_rng(seed)
    x, y = data["features"].astype(np.float32), data["labels"].astype(int)
    rows = rng.permutation(len(y))
    train = int(data["train_rows"]) if "train_rows" in data else 0
    test = rows[rows >= train] if train else rows[: len(rows) // 5]
    left = rows[rows < train] if train else rows[len(rows) // 5 :]
    if dominant:
        left = left[(y[left] == 0) | (rng.random(len(left)) < 0.1)]
    left = left[:10_000]
    return x[left], y[left], x[test], y[test]


def choose(vabal, file, strategy, n, seed, classes):
    command = [vabal, "rank", "--unlabelled", file, "--strategy", strategy, "-n", str(n), "--seed", str(seed)]
    done = subprocess.run([*command, "--classes", str(classes), "--quiet"], capture_output=True, text=True, check=True)
    return [int(row["id"]) for row in csv.DictReader(io.StringIO(done.stdout))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--vabal", default="target/release/vabal")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    print("| pool | images | " + " | ".join(STRATEGIES) + " |\n|---|---" + "|---" * len(STRATEGIES) + "|")
    for name, dominant in POOLS:
        for n in (20, 50, 100):
            got = {strategy: [] for strategy in STRATEGIES}
            for seed in range(args.seeds):
                x, y, x_test, y_test = pool(args.data / f"{name}.npz", dominant, seed)
                with tempfile.TemporaryDirectory() as folder:
                    file = f"{folder}/pool.npz"
                    np.savez(file, features=x)
                    for strategy in STRATEGIES:
                        ids = choose(args.vabal, file, strategy, n, seed, y.max() + 1)
                        said = LogisticRegression(max_iter=300).fit(x[ids], y[ids]).predict(x_test)
                        right = [np.mean(said[y_test == c] == c) for c in np.unique(y_test)]
                        got[strategy].append((np.mean(right), len(np.unique(y[ids]))))
            cells = (np.mean(got[strategy], axis=0) for strategy in STRATEGIES)
            pool_name = f"{name}{', class 0 dominant' if dominant else ''}"
            print(f"| {pool_name} | {n} | " + " | ".join(f"{100 * a:.1f} ({found:.0f})" for a, found in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
