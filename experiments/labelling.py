"""A person's work played by a script: from `vabal init` to a model, with the labels of a data set hidden.

    python experiments/labelling.py NEU-CLS-64 --out runs/labelling
    python experiments/labelling.py FOLDER --labels 300 --strategies vabal random entropy --seeds 1 2 3
    python experiments/labelling.py FOLDER --every 80 --set backbone=none

FOLDER holds one sub-folder per class. Its images are copied under names that say nothing, `vabal init` makes a project of
them, and for each strategy `vabal label` serves its page, whose own API is asked for questions and given the true
answers, until so many labels are reached. The script waits while a model is trained, so that every strategy is trained at the
same numbers of labels. After each training `vabal predict` is measured on the whole holdout, of which the project itself knows
only the labels that it asked for.

Needs nothing but Python 3.11 and the program. Writes results.md and results.json; the projects stay beside them.
"""

import argparse
import csv
import json
import pathlib
import random
import re
import shutil
import sqlite3
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


class Page:
    """The page's server, and its API."""

    def __init__(self, vabal, project):
        command = [vabal, "label", project, "--no-open", "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if found := re.search(r"(http://[^/\s]+)/\?token=(\S+)", line):
                self.address, self.token = found.groups()
                return
        raise SystemExit("vabal label did not say where it serves")

    def ask(self, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def wait(self, after):
        """Until round `after` is done, and none runs."""
        while True:
            pulse = self.ask("/api/pulse")
            if pulse["training"]["state"] == "failed":
                raise SystemExit(f"training failed: {pulse['training']['error']}")
            if pulse["training"]["state"] == "idle" and pulse["round"] >= after:
                return pulse["round"]
            time.sleep(0.05)

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def survey(folder):
    """The images of a folder with a sub-folder for each class, or the end with what is wrong."""
    if not folder.is_dir():
        raise SystemExit(f"error: there is no folder {folder}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    deep = [path for path in files if path.parent != folder]
    classes = {path.relative_to(folder).parts[0] for path in deep}
    if len(classes) < 2:
        loose = f", and {len(files) - len(deep)} images beside them" if len(files) > len(deep) else ""
        raise SystemExit(f"error: {folder} is no data set\n  expected: a sub-folder of images for each class, two or more\n"
                         f"  got: {len(classes)} sub-folders with images{loose}")
    return deep


def hide(folder, files, images, seed):
    """Copies every image under a name that says nothing of its class; the class of each name."""
    random.Random(seed).shuffle(files)
    images.mkdir(parents=True)
    truth = {}
    for number, path in enumerate(files):
        name = f"{number:06}{path.suffix.lower()}"
        shutil.copyfile(path, images / name)
        truth[name] = path.relative_to(folder).parts[0]
    return truth


def balanced(truth, predicted, names):
    """Mean over classes of the share that is right."""
    right, held = {}, {}
    for name in names:
        held[truth[name]] = held.get(truth[name], 0) + 1
        right[truth[name]] = right.get(truth[name], 0) + (predicted.get(name) == truth[name])
    return sum(right[c] / held[c] for c in held) / len(held)


def label(options, images, truth, classes, strategy, seed):
    """One project from its making to the last label: a row for each training."""
    project = options.out / f"{strategy}-{seed}"
    settings = {"strategy": strategy, "seed": seed, "first": options.every, "retrain_every": options.every,
                "budget": options.every, **dict(pair.split("=", 1) for pair in options.set)}
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    run = [options.vabal, "init", project, "--images", images, "--classes", ",".join(classes), *sets, "--quiet"]
    subprocess.run(run, check=True)
    # Features are the same for every project: computed once.
    others = [other for other in options.out.glob("*/features") if other.parent != project]
    if others:
        shutil.copytree(others[0], project / "features")
    page = Page(options.vabal, project)
    known = {c["name"]: c["id"] for c in page.ask("/api/project")["classes"]}
    rows, given = [], 0
    newest = page.wait(0)
    while given < options.labels:
        # What is on the screen, and one ahead.
        questions = page.ask(f"/api/next?person=script&n={min(2, options.labels - given)}")["questions"]
        if not questions:
            break
        for question in questions:
            given += 1
            answer = {"image": question["id"], "act": "label", "class": known[truth[question["path"]]], "seconds": 1.0}
            said = page.ask("/api/answers", {"person": "script", "token": f"{strategy}{seed}n{given}", "answers": [answer]})
            if said["labels_until_training"] > 0:
                continue
            newest = page.wait(newest + 1)
            status = page.ask("/api/status")
            trained = status["rounds"][-1]
            out = options.out / "predictions.csv"
            subprocess.run([options.vabal, "predict", project, images, "--out", out, "--quiet"], check=True)
            with open(out, newline="") as file:
                predicted = {row["path"]: row["class"] for row in csv.DictReader(file)}
            rows.append({
                "strategy": strategy, "seed": seed, "answers": given, "labels": trained["labels"],
                "counts": {c["name"]: c["labels"] for c in status["classes"]}, "seconds": trained["seconds"],
                "balanced_accuracy": balanced(truth, predicted, holdout(project)),
                "of_project": [trained[key] for key in ("balanced_low", "balanced_accuracy", "balanced_high")],
                "text": status["next"]["text"], "stopping": status["stopping"]["text"],
            })
            print(json.dumps({key: rows[-1][key] for key in ("strategy", "seed", "answers", "labels", "balanced_accuracy", "seconds")}),
                  flush=True)
            break
    page.end()
    return rows


def holdout(project):
    """The names of all images of the holdout, labelled or not."""
    store = sqlite3.connect(f"file:{project}/project.sqlite?mode=ro", uri=True)
    names = [path for (path,) in store.execute("SELECT path FROM images WHERE holdout = 1")]
    store.close()
    return names


def tables(options, rows):
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    seeds = sorted({row["seed"] for row in rows})
    at = lambda s, n: [r for r in rows if r["strategy"] == s and r["training"] == n]
    numbers = sorted({row["training"] for row in rows})
    mean = lambda values: sum(values) / len(values)
    text = [f"Balanced accuracy on the whole holdout, in %, mean over seeds {', '.join(map(str, seeds))}. *Answers* count those of the holdout.\n",
            "| training | answers | labels trained on | " + " | ".join(strategies) + " |", "|---" * (3 + len(strategies)) + "|"]
    for number in numbers:
        first = at(strategies[0], number)[0]
        cells = [f"{100 * mean([r['balanced_accuracy'] for r in at(s, number)]):.1f}" for s in strategies]
        text.append(f"| {number} | {first['answers']} | {first['labels']} | " + " | ".join(cells) + " |")
    text += ["\nAnswers needed to come as far as each other, straight lines between the trainings of the mean curve:\n",
             "| balanced accuracy | " + " | ".join(strategies) + " |", "|---" * (1 + len(strategies)) + "|"]
    curves = {s: [(at(s, n)[0]["answers"], mean([r["balanced_accuracy"] for r in at(s, n)])) for n in numbers] for s in strategies}
    for goal in range(5, 100, 5):
        cells = [needed(curves[s], goal / 100) for s in strategies]
        if any(isinstance(cell, int) for cell in cells):
            text.append(f"| {goal} % | " + " | ".join(str(cell) for cell in cells) + " |")
    differences = [(s, paired(rows, s, seeds)) for s in strategies if s != "random" and "random" in strategies and len(seeds) > 2]
    if differences:
        text.append("\nDifference from random choice in points, average over the trainings, with its 95 % interval over paired seeds: "
                    + ", ".join(f"{s} {mean:+.1f} ± {half:.1f}" for s, (mean, half) in differences) + ".")
    classes = sorted(rows[0]["counts"], key=lambda c: -rows[0]["of_all"][c])
    text += ["\nImages of each class among the answers at the end, mean over seeds, and in the folder:\n",
             "| class | in the folder | " + " | ".join(strategies) + " |", "|---" * (2 + len(strategies)) + "|"]
    for c in classes:
        cells = [f"{mean([r['counts'][c] for r in at(s, numbers[-1])]):.0f}" for s in strategies]
        text.append(f"| {c} | {rows[0]['of_all'][c]} | " + " | ".join(cells) + " |")
    seconds = [r["seconds"] for r in rows]
    text.append(f"\nA training and the choice after it took {min(seconds):.1f} to {max(seconds):.1f} s.")
    return "\n".join(text) + "\n"


# Student's t at 97.5 %, by degrees of freedom.
T = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def paired(rows, strategy, seeds):
    """Mean difference from random choice over seeds, in points, and half of its 95 % interval."""
    def average(name, seed):
        values = [r["balanced_accuracy"] for r in rows if (r["strategy"], r["seed"]) == (name, seed)]
        return 100 * sum(values) / len(values)

    differences = [average(strategy, seed) - average("random", seed) for seed in seeds]
    n, mean = len(seeds), sum(differences) / len(seeds)
    deviation = (sum((d - mean) ** 2 for d in differences) / (n - 1)) ** 0.5
    return mean, T.get(n - 1, 1.96) * deviation / n**0.5


def needed(curve, goal):
    """Answers at which a curve first reaches `goal`; words where it began above it or did not come so far."""
    if curve[0][1] >= goal:
        return f"at most {curve[0][0]}"
    for (n0, y0), (n1, y1) in zip(curve, curve[1:]):
        if y1 >= goal:
            return round(n0 + (n1 - n0) * (goal - y0) / (y1 - y0))
    return f"more than {curve[-1][0]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/labelling"))
    parser.add_argument("--labels", type=int, default=500, help="answers in all, those of the holdout too")
    parser.add_argument("--every", type=int, default=20, help="labels between two trainings")
    parser.add_argument("--strategies", nargs="+", default=["vabal", "random"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of the project")
    parser.add_argument("--vabal", default=None, help="the program; built from this repository if not given")
    options = parser.parse_args()
    files, images = survey(options.folder), options.out / "images"
    if images.exists():
        raise SystemExit(f"error: {images} is there already\n  hint: choose another folder with --out, or remove {options.out}")
    if options.vabal is None:
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
        metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
        found = json.loads(subprocess.run(metadata, cwd=ROOT, check=True, capture_output=True).stdout)
        options.vabal = pathlib.Path(found["target_directory"]) / "release/vabal"
    options.out.mkdir(parents=True, exist_ok=True)
    truth = hide(options.folder, files, images, 1)
    classes = sorted(set(truth.values()))
    print(f"{len(truth)} images of {len(classes)} classes", flush=True)
    rows = []
    for seed in options.seeds:
        for strategy in options.strategies:
            of_one = label(options, images, truth, classes, strategy, seed)
            for number, row in enumerate(of_one, 1):
                row["training"] = number
                row["of_all"] = {c: sum(t == c for t in truth.values()) for c in classes}
            rows += of_one
            (options.out / "results.json").write_text(json.dumps(rows, indent=1))
    text = tables(options, rows)
    (options.out / "results.md").write_text(text)
    print("\n" + text)


if __name__ == "__main__":
    main()
