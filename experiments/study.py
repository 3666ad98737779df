#!/usr/bin/env python3
"""Compares strategies on features of pretrained networks, over many data sets, and writes a report for each part.

    python experiments/study.py DIR --out runs/study

DIR holds neu.npz, cifar10.npz, cifar100.npz and fashion.npz, as far as they are wanted: `features` [n, d], `labels` [n], and
`train_rows` where the rows behind it are the test set. Every data set, with the budgets of the paper and with small ones (50 images
first, then 50), is a run of `vabal run`, resumed where it stopped. The settings of `vabal` were chosen by the part `settings`, on
the sets of the part `tuned` with seeds 1 to 36: what it is worth, the part `untuned` says, with other sets and other seeds. `figure` is one of its data sets
with few strategies; `every` has all
strategies that run on features, with three seeds.
"""
import argparse
import csv
import pathlib
import subprocess
import sys

# Name: file, imbalance of the pool, labels to begin with and asked in each of five rounds.
DOMINANT, RARE = 'kind = "dominant", classes = [{}], keep = 0.1', 'kind = "rare", classes = [{}], keep = 0.1'
SETS = {
    "neu": ("neu", "", 100),
    "cifar10": ("cifar10", "", 500),
    "cifar10-plus-1": ("cifar10", DOMINANT.format(0), 500),
    "cifar10-plus-5": ("cifar10", DOMINANT.format(4), 500),
    "cifar10-plus-10": ("cifar10", DOMINANT.format(9), 500),
    "cifar10-minus-1": ("cifar10", RARE.format(0), 500),
    "cifar10-minus-5": ("cifar10", RARE.format(4), 500),
    "cifar10-minus-10": ("cifar10", RARE.format(9), 500),
    "cifar10-tail-10": ("cifar10", 'kind = "long-tail", keep = 0.1', 500),
    "cifar10-tail-100": ("cifar10", 'kind = "long-tail", keep = 0.01', 500),
    "fashion": ("fashion", "", 60),
    "fashion-plus-1": ("fashion", DOMINANT.format(0), 60),
    "cifar100": ("cifar100", "", 500),
    "cifar100-plus-45-55": ("cifar100", 'kind = "dominant", classes = ["44..54"], keep = 0.6', 500),
}
SMALL = 50
TUNED = ["neu", "cifar10-plus-1", "cifar10-plus-5", "cifar10-tail-100", "fashion-plus-1"]
UNTUNED = [name for name in SETS if name not in TUNED]

# Those that take less than a second for a pool of 50,000 images, and the bound.
QUICK = "random, entropy, margin, least-confidence, core-set, badge, galaxy, balanced-entropy, vabal, class-balanced".split(", ")
SLOW = (
    "typiclust, probcover, similar, bald, power-bald, batch-bald, learning-loss, ensemble-variation-ratio, ensemble-vote-entropy, ensemble-mutual-information, "
    "no-quotas, vae, vabal-paper, vabal-official, cross"
).split(", ")
VARIANTS = {
    "bald": "draws = 20",
    "power-bald": "draws = 20",
    "batch-bald": "draws = 20",
    "no-quotas": 'kind = "vabal"\nquotas = false',
    "tau-0": 'kind = "vabal"\nprior_correction = 0.0',
    "tau-1": 'kind = "vabal"\nprior_correction = 1.0',
    "ridge-tenth": 'kind = "vabal"\nridge = 0.01',
    "ridge-tenfold": 'kind = "vabal"\nridge = 1.0',
    "vae": 'kind = "vabal"\nmodel = "vae"',
    "cross": 'kind = "vabal-paper"\npreset = "cross"',
}
# Part: data sets, whether the small budgets too, strategies, seeds.
PARTS = {
    "settings": (TUNED, True, "random, vabal, tau-0, tau-1, ridge-tenth, ridge-tenfold, no-quotas".split(", "), range(1, 21)),
    "untuned": (UNTUNED, True, QUICK, range(101, 111)),
    "tuned": (TUNED, True, QUICK, range(101, 111)),
    "figure": (["cifar10-plus-10"], False, ["random", "entropy", "margin", "badge", "vabal", "class-balanced"], range(101, 111)),
    "every": (["neu", "cifar10-plus-1"], False, QUICK + SLOW, range(101, 104)),
}


def execute(args, folder, data, rounds, strategies, variants, seeds):
    """Writes a configuration beside its folder, `data` being a file of features and an imbalance, and runs it from where it stopped."""
    (initial, count), (file, imbalance) = rounds, data
    config = folder.with_suffix(".toml")
    tables = [f"[strategy.{strategy}]\n{variants[strategy]}\n" for strategy in strategies if strategy in variants]
    names = ", ".join(f'"{strategy}"' for strategy in strategies)
    config.write_text(
        f'name = "{folder.name}"\nseeds = {list(seeds)}\nstrategies = [{names}]\n'
        f"rounds = {{ initial = {initial}, budget = {initial}, count = {count} }}\n\n"
        f'[data]\nkind = "features"\npath = "{(args.data / file).resolve()}.npz"\nimbalance = {{ {imbalance} }}\n\n'
        f'[classifier]\nkind = "linear"\n\n' + "\n".join(tables)
    )
    print(folder.name, file=sys.stderr, flush=True)
    done = subprocess.run([args.vabal, "run", str(config), "--out", str(folder), "--quiet"])
    if done.returncode:
        sys.exit(done.returncode)
    return folder


def report(args, page, folders):
    """One page of several runs; gives the folder of its tables."""
    command = [args.vabal, "report", *map(str, folders), "--out", str(page), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return page.with_name(f"{page.stem}-files")


def points(results):
    """Prints for each data set the balanced accuracy of random choice and what the others add to it, averages over rounds, in points."""
    rows = {}
    with open(results, newline="") as file:
        for row in csv.DictReader(file):
            if (row["measure"], row["figure"]) == ("balanced accuracy", "average"):
                rows.setdefault(row["experiment"], {})[row["strategy"]] = row
    names = list(next(iter(rows.values())))
    print("| data set, budget | " + " | ".join(names) + " |\n|---" + "|---" * len(names) + "|")
    for experiment, row in rows.items():
        added = {name: 100 * float(row[name]["minus_random_mean"]) for name in names if name != "random"}
        cells = [f"{100 * float(row['random']['mean']):.1f}", *(f"{added[name]:+.1f}" for name in added)]
        print(f"| {experiment.replace('-', ' ').rsplit(' ', 1)[0]}, {experiment.rsplit('-', 1)[1]} | " + " | ".join(cells) + " |")


def asked(rounds):
    """Prints what each strategy asked for, means over data sets, seeds and rounds in percent: picks that the classifier had wrong, the area
    under the ROC curve of the score against the classifier's errors, rare classes among the labels."""
    columns = ["picks_wrong", "error_auc", "rare_share"]
    values = {}
    with open(rounds, newline="") as file:
        for row in csv.DictReader(file):
            for column in columns:
                if row.get(column):
                    values.setdefault(row["strategy"], {}).setdefault(column, []).append(100 * float(row[column]))
    print("| strategy | picks that are wrong | AUC for errors | rare classes among the labels |\n|---|---|---|---|")
    for strategy, of in values.items():
        cells = (f"{sum(of[column]) / len(of[column]):.1f}" if column in of else "" for column in columns)
        print(f"| {strategy} | " + " | ".join(cells) + " |")


def first_to_last(text):
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, metavar="DIR", help="folder of the features")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/study"), help="folder for runs and reports")
    parser.add_argument("--vabal", default="target/release/vabal", help="the program")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="parts of the study; all if not given")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="NAME", help="data sets; all if not given")
    parser.add_argument("--seeds", type=first_to_last, metavar="FIRST-LAST", help="other seeds than those of the parts")
    args = parser.parse_args()
    for part in args.parts:
        names, small, strategies, seeds = PARTS[part]
        (args.out / part).mkdir(parents=True, exist_ok=True)
        folders = [
            execute(args, args.out / part / f"{name}-{budget}", SETS[name][:2], (budget, 6), strategies, VARIANTS, args.seeds or seeds)
            for name in names
            if name in args.sets
            for budget in ([SETS[name][2], SMALL] if small else [SETS[name][2]])
        ]
        if folders:
            files = report(args, args.out / f"{part}.html", folders)
            points(files / "results.csv")
            asked(files / "rounds.csv")


if __name__ == "__main__":
    main()
