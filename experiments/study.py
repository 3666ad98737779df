#!/usr/bin/env python3
"""Compares strategies on features of pretrained networks, over many data sets, and writes one report.

    python experiments/study.py DIR --out runs/study

DIR holds neu.npz, cifar10.npz, cifar100.npz and fashion.npz, as far as they are wanted: `features` [n, d], `labels` [n], and
`train_rows` where the rows behind it are the test set. Every data set is a run of `vabal run`, resumed where it stopped; the report
ranks the strategies over all of them.
"""
import argparse
import pathlib
import subprocess
import sys

# Name: file, imbalance of the pool, labels to begin with and asked in each of five rounds.
SETS = {
    "neu": ("neu", "", 100),
    "cifar10": ("cifar10", "", 500),
    "cifar10-plus-1": ("cifar10", 'kind = "dominant", classes = [0], keep = 0.1', 500),
    "cifar10-plus-5": ("cifar10", 'kind = "dominant", classes = [4], keep = 0.1', 500),
    "cifar10-plus-10": ("cifar10", 'kind = "dominant", classes = [9], keep = 0.1', 500),
    "cifar10-minus-1": ("cifar10", 'kind = "rare", classes = [0], keep = 0.1', 500),
    "cifar10-minus-5": ("cifar10", 'kind = "rare", classes = [4], keep = 0.1', 500),
    "cifar10-minus-10": ("cifar10", 'kind = "rare", classes = [9], keep = 0.1', 500),
    "cifar10-tail-10": ("cifar10", 'kind = "long-tail", keep = 0.1', 500),
    "cifar10-tail-100": ("cifar10", 'kind = "long-tail", keep = 0.01', 500),
    "fashion": ("fashion", "", 60),
    "fashion-plus-1": ("fashion", 'kind = "dominant", classes = [0], keep = 0.1', 60),
    "cifar100": ("cifar100", "", 500),
    "cifar100-plus-45-55": ("cifar100", 'kind = "dominant", classes = ["44..54"], keep = 0.6', 500),
}
# Those that fit no network of their own.
STRATEGIES = "random,entropy,margin,least-confidence,core-set,badge,typiclust,galaxy,balanced-entropy,agreement"


def seeds(text):
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, metavar="DIR", help="folder of the features")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/study"), help="folder for runs and report")
    parser.add_argument("--vabal", default="target/release/vabal", help="the program")
    parser.add_argument("--sets", default=",".join(SETS), help="names of data sets, with commas between them")
    parser.add_argument("--strategies", default=STRATEGIES, help="names of strategies, with commas between them")
    parser.add_argument("--seeds", type=seeds, default="11-20", metavar="FIRST-LAST")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    folders = []
    for name in args.sets.split(","):
        if name not in SETS:
            sys.exit(f"error: unknown data set\n  expected: {', '.join(SETS)}\n  got: {name}")
        file, imbalance, budget = SETS[name]
        strategies = ", ".join(f'"{strategy}"' for strategy in args.strategies.split(","))
        config = args.out / f"{name}.toml"
        config.write_text(
            f'name = "{name}"\nseeds = {args.seeds}\nstrategies = [{strategies}]\n'
            f"rounds = {{ initial = {budget}, budget = {budget}, count = 6 }}\n\n"
            f'[data]\nkind = "features"\npath = "{(args.data / file).resolve()}.npz"\nimbalance = {{ {imbalance} }}\n\n'
            f'[classifier]\nkind = "linear"\n'
        )
        folders.append(str(args.out / name))
        print(name, flush=True)
        done = subprocess.run([args.vabal, "run", str(config), "--out", folders[-1], "--quiet"])
        if done.returncode:
            sys.exit(done.returncode)
    sys.exit(subprocess.run([args.vabal, "report", *folders, "--out", str(args.out / "report.html")]).returncode)


if __name__ == "__main__":
    main()
