#!/usr/bin/env python3
"""Every comparison of the VaB-AL paper on features of a pretrained network, with a linear classifier: figures and tables, by their numbers.

    python experiments/paper.py DIR --out runs/paper

DIR holds neu.npz, cifar10.npz and cifar100.npz as for study.py. Each comparison is a run of `vabal run` for each of its data sets, resumed
where it stopped; the table printed at the end has balanced accuracy in percent, average over the rounds after the first and of the last round,
mean over data sets and seeds. Draws of BALD are heads on 20 bootstrap samples.
"""
import argparse
import csv
import pathlib
import statistics

from study import DOMINANT, RARE, execute, report

PLUS = [("cifar10", DOMINANT.format(k)) for k in (0, 4, 9)]
MINUS = [("cifar10", RARE.format(k)) for k in (0, 4, 9)]
ALL = ["random", "core-set", "bald", "vabal-paper", "vabal-official", "vabal"]
PAPER = 'kind = "vabal-paper"\n'
VARIANTS = {
    "bald": "draws = 20",
    "neither": PAPER + 'prior = "off"\ndifficulty = false',
    "prior-only": PAPER + "difficulty = false",
    "difficulty-only": PAPER + 'prior = "off"',
    "both": PAPER,
    "sigmoid": PAPER + 'absence = "sigmoid"',
    "abs": PAPER + 'absence = "abs"',
    "square": PAPER + 'absence = "square"',
    **{f"lambda-{value}": PAPER + f"lambda = {float(value)}" for value in ("0", "5e-4", "5e-3", "5e-2", "5e-1")},
}
LAMBDAS = [name for name in VARIANTS if name.startswith("lambda")]
# Comparison: data sets, first labels and budget, rounds, strategies, seeds. Pools of 45,000 images and more have one seed.
COMPARISONS = {
    "fig3a": ([("neu", "")], 250, 5, ALL, 3),
    "fig3b": (PLUS, 500, 6, ALL, 3),
    "fig3c": ([("cifar100", 'kind = "dominant", classes = ["44..54"], keep = 0.6')], 1000, 5, ALL, 1),
    "fig4a": (MINUS, 500, 6, ALL, 1),
    "fig4b": ([("cifar10", "")], 500, 6, ALL, 1),
    "fig4c": ([("cifar100", "")], 1000, 5, ALL, 1),
    "table1": (PLUS[:1], 500, 6, ["neither", "prior-only", "difficulty-only", "both"], 3),
    "table2": (PLUS, 500, 6, ["random", "sigmoid", "abs", "square"], 1),
    "fig7a-250": (PLUS[:1], 250, 11, ["random", "bald", "vabal-paper", "vabal"], 1),
    "fig7a-1000": (PLUS[:1], 1000, 3, ["random", "bald", "vabal-paper", "vabal"], 3),
    "fig7b": (PLUS[:1], 500, 6, ["random", *LAMBDAS], 3),
}


def run(args, name):
    """The folder of the tables of one comparison."""
    sets, budget, count, strategies, seeds = COMPARISONS[name]
    seeds = range(201, 201 + seeds)
    folders = [
        execute(args, args.out / f"{name}-{number}", data, (budget, count), strategies, VARIANTS, seeds)
        for number, data in enumerate(sets, 1)
    ]
    return report(args, args.out / f"{name}.html", folders)


def table(name, files):
    """Strategy, average and final balanced accuracy, share of rare classes among the labels of the last round, VAE's agreement."""
    rounds = {}
    with open(files / "rounds.csv", newline="") as file:
        for row in csv.DictReader(file):
            rounds.setdefault(row["strategy"], []).append(row)
    last = COMPARISONS[name][2]
    mean = lambda rows, key: statistics.mean(float(row[key]) for row in rows if row.get(key)) if any(row.get(key) for row in rows) else None
    show = lambda value: "" if value is None else f"{100 * value:.1f}"
    for strategy, rows in rounds.items():
        later = [row for row in rows if int(row["round"]) > 1]
        final = [row for row in rows if int(row["round"]) == last]
        cells = [mean(later, "balanced_accuracy"), mean(final, "balanced_accuracy"), mean(final, "rare_share"), mean(rows, "vae_agreement_unlabelled")]
        print(f"| {name} | {strategy} | " + " | ".join(map(show, cells)) + " |", flush=True)


def correlation(files):
    """Fig. 6: Pearson's correlation of the labels of a class in the last round with its recall, by strategy, over classes and seeds."""
    classes = {}
    with open(files / "classes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    last = max(int(row["round"]) for row in rows)
    for row in rows:
        if int(row["round"]) == last:
            classes.setdefault(row["strategy"], []).append((float(row["labelled"]), float(row["recall"])))
    print("| strategy | labels and recall of a class, correlation |\n|---|---|", flush=True)
    for strategy, pairs in classes.items():
        print(f"| {strategy} | {statistics.correlation(*zip(*pairs)):.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, metavar="DIR", help="folder of the features")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/paper"), help="folder for runs and reports")
    parser.add_argument("--vabal", default="target/release/vabal", help="the program")
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, default=list(COMPARISONS), help="comparisons; all if not given")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    print("| comparison | strategy | average | final | rare classes among the labels | VAE agrees |\n|---|---|---|---|---|---|", flush=True)
    for name in args.only:
        files = run(args, name)
        table(name, files)
        if name == "fig4b":
            correlation(files)


if __name__ == "__main__":
    main()
