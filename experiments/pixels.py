#!/usr/bin/env python3
"""Compares strategies where the classifier is poor: a linear classifier on principal components of the pixels of CIFAR-10.

    python experiments/pixels.py cifar-10-batches-bin --out runs/pixels

The folder is that of the binary version of CIFAR-10, as `vabal fetch cifar10` unpacks it. The components [60000, 128] are written to
pixels.npz, the last 10,000 rows being the test set. Data sets, budgets of 6 x 500, strategies and tables are those of study.py, with
which a run goes on where it stopped.
"""
import argparse
import pathlib

import numpy

from study import QUICK, SETS, asked, execute, points, report

NAMES = ["cifar10", "cifar10-plus-1", "cifar10-plus-5", "cifar10-plus-10", "cifar10-tail-10"]
FILES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
COMPONENTS = 128


def write_components(folder, path):
    """Writes `features` [60000, 128], `labels` [60000] and `train_rows`. The covariance is that of every fifth training image."""
    images = numpy.concatenate([numpy.frombuffer((folder / name).read_bytes(), numpy.uint8).reshape(-1, 3073) for name in FILES])
    train = 50_000
    pixels = images[:, 1:].astype(numpy.float32) / 255
    pixels -= pixels[:train].mean(0)
    values, vectors = numpy.linalg.eigh(pixels[:train:5].T @ pixels[:train:5] / (train // 5))
    components = pixels @ vectors[:, : -COMPONENTS - 1 : -1] * (10 / values[-1] ** 0.5)
    part = path.with_suffix(".part.npz")
    numpy.savez(part, features=components.astype(numpy.float16), labels=images[:, 0].astype(numpy.int64), train_rows=train)
    part.rename(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, metavar="DIR", help="folder of CIFAR-10, binary version")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/pixels"), help="folder for runs and reports")
    parser.add_argument("--vabal", default="target/release/vabal", help="the program")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    args.data = args.out
    if not (args.out / "pixels.npz").exists():
        write_components(args.folder, args.out / "pixels.npz")
    folders = []
    for name in NAMES:
        _, imbalance, budget = SETS[name]
        folders.append(execute(args, args.out / f"{name}-{budget}", ("pixels", imbalance), (budget, 6), QUICK, {}, range(101, 111)))
    files = report(args, args.out / "pixels.html", folders)
    points(files / "results.csv")
    asked(files / "rounds.csv")


if __name__ == "__main__":
    main()
