"""Whether what a project says of itself comes true: played as in labelling.py, with the labels of a data set hidden.

    python experiments/honesty.py NEU-CLS-64 --out runs/honesty
    python experiments/honesty.py NEU-CLS-64 --images 1500 --labels 200 --strategies vabal

After each training it keeps what the project says, and compares it with what it does not know: the
classes of the next 100 questions, the model's errors, and its errors among the open images above each
probability. The model's errors are those on all images of the holdout; with --images N the project has
N images drawn at random, and they are those on N others that it never sees.

Needs nothing but Python 3.11 and the program. Writes results.md and results.json; the projects stay beside them.
"""

import argparse
import csv
import json
import pathlib
import sqlite3
import subprocess
import shutil

import labelling


def play(options, images, truth, classes, strategy, seed):
    """One project; what it said after each training, with the truth beside it, and the classes of its questions in order."""
    project = options.out / f"{strategy}-{seed}"
    sets = [part for key, value in {"strategy": strategy, "seed": seed}.items() for part in ("--set", f"{key}={value}")]
    subprocess.run([options.vabal, "init", project, "--images", images, "--classes", ",".join(classes), *sets, "--quiet"], check=True)
    others = [other for other in options.out.glob("*/features") if other.parent != project]
    if others:
        shutil.copytree(others[0], project / "features")
    page = labelling.Page(options.vabal, project)
    known = {c["name"]: c["id"] for c in page.ask("/api/project")["classes"]}
    true = {path: known[name] for path, name in truth.items()}
    newest, asked, said = page.wait(0), [], []
    while len(asked) < options.labels:
        questions = page.ask("/api/next?person=script&n=1")["questions"]
        if not questions:
            break
        question = questions[0]
        asked.append(true[question["path"]])
        answer = {"image": question["id"], "act": "label", "class": asked[-1], "seconds": 1.0}
        got = page.ask("/api/answers", {"person": "script", "token": f"n{len(asked)}", "answers": [answer]})
        if got["labels_until_training"] > 0:
            continue
        newest = page.wait(newest + 1)
        said.append(compared(options, project, page.ask("/api/status"), true) | {"strategy": strategy, "seed": seed, "answers": len(asked)})
    page.end()
    for row in said:
        coming = asked[row["answers"]:row["answers"] + 100]
        row["next"] = [[*one, coming.count(id)] for id, one in row["next"].items()] if len(coming) == 100 else None
    print(strategy, seed, len(said), flush=True)
    return said


def compared(options, project, status, true):
    """What a project says, beside what is so."""
    store = sqlite3.connect(f"file:{project}/project.sqlite?mode=ro", uri=True)
    rows = store.execute("SELECT path, holdout, state, p.class, confidence FROM images JOIN predictions AS p USING (image) LEFT JOIN states USING (image)")
    rows = [(true[path], *rest) for path, *rest in rows]
    queue = store.execute("SELECT path, p.class, confidence FROM queue JOIN images USING (image) JOIN predictions AS p USING (image) WHERE rank <= 100")
    queue = [confidence >= 0.9 and true[path] == predicted for path, predicted, confidence in queue]
    store.close()
    right, held = {}, {}
    for label, holdout, _, predicted, _ in rows:
        if holdout:
            held[label] = held.get(label, 0) + 1
            right[label] = right.get(label, 0) + (predicted == label)
    if options.images:
        right, held = on_others(options, project, true)
    last = status["rounds"][-1]
    accepted = []
    for one in status["acceptance"]:
        sure = [(label, predicted) for label, holdout, state, predicted, confidence in rows
                if not holdout and state is None and confidence >= one["above"]]
        wrong = sum(label != predicted for label, predicted in sure)
        accepted.append([one["above"], len(sure), one["errors"], one["errors_low"], one["errors_high"], wrong])
    return {
        "balanced": [last["balanced_low"], last["balanced_high"], sum(right[c] / held[c] for c in held) / len(held)],
        "measured": [last["classes_measured"], last["classes"]],
        "stop": status["stopping"]["reasonable"],
        "next": {c["id"]: [c["expected_next"], c["expected_low"], c["expected_high"]] for c in status["classes"]},
        "accepted": accepted,
        "sure_and_right": sum(queue) / len(queue) if queue else None,
    }


def on_others(options, project, true):
    """Images of each class that the model gets right, and that there are, among those that the project never saw."""
    out, known = options.out / "predictions.csv", {}
    subprocess.run([options.vabal, "predict", project, options.out / "others", "--out", out, "--quiet"], check=True)
    for name in json.loads((options.out / "classes.json").read_text()):
        known[name] = len(known)
    right, held = {}, {}
    with open(out, newline="") as file:
        for row in csv.DictReader(file):
            label = true[row["path"]]
            held[label] = held.get(label, 0) + 1
            right[label] = right.get(label, 0) + (known[row["class"]] == label)
    return right, held


def tables(rows):
    text = []
    within = lambda low, value, high: low is not None and low <= value <= high
    mean = lambda values: sum(values) / len(values) if values else float("nan")
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    numbers = [f"{100 * value:.1f}" if value is not None else "" for row in rows for value in row["balanced"]]
    if len(strategies) == 1:
        text += ["Balanced accuracy as the project says it, and as it is, in percent:\n",
                 "| seed | answers | low | high | truth | held |", "|---" * 6 + "|"]
        for row, low, high, so in zip(rows, numbers[::3], numbers[1::3], numbers[2::3], strict=True):
            held = within(*row["balanced"][::2], row["balanced"][1]) if row["balanced"][0] is not None else None
            text.append(f"| {row['seed']} | {row['answers']} | {low} | {high} | {so} | {'' if held is None else 'yes' if held else '**no**'} |")
        text.append("")
    text += ["| strategy | trainings | balanced accuracy held | its width | all classes measured | next 100: images in another class | ranges held | their width |",
             "|---" * 8 + "|"]
    for strategy in strategies:
        own = [row for row in rows if row["strategy"] == strategy]
        coming = [row["next"] for row in own if row["next"]]
        balanced = [row["balanced"] for row in own if row["balanced"][0] is not None]
        other = [sum(abs(value - came) for value, _, _, came in one) / 2 for one in coming]
        ranges = [part for one in coming for part in one]
        text.append(
            f"| {strategy} | {len(own)} | {100 * mean([within(low, true, high) for low, high, true in balanced]):.0f} % | "
            f"{100 * mean([high - low for low, high, _ in balanced]):.0f} | {100 * mean([row['measured'][0] == row['measured'][1] for row in own]):.0f} % | "
            f"{mean(other):.1f} | {100 * mean([within(low, came, high) for _, low, high, came in ranges]):.0f} % | {mean([high - low for _, low, high, _ in ranges]):.1f} |")
    text += ["\nErrors among suggestions that are accepted, all strategies, from 50 answers on:\n",
             "| above | images | expected | were wrong | interval held | its width |", "|---" * 6 + "|"]
    late = [row for row in rows if row["answers"] >= 50]
    for at in range(len(late[0]["accepted"]) if late else 0):
        own = [row["accepted"][at] for row in late if row["accepted"][at][2] is not None and row["accepted"][at][1] > 0]
        if own:
            text.append(f"| {100 * own[0][0]:g} % | {mean([o[1] for o in own]):.0f} | {mean([o[2] for o in own]):.1f} | {mean([o[5] for o in own]):.1f} | "
                        f"{100 * mean([within(o[3], o[5], o[4]) for o in own]):.0f} % | {mean([o[4] - o[3] for o in own]):.0f} |")
    queues = [row for row in rows if row["sure_and_right"] is not None]
    text += ["\nAmong the first hundred questions of a queue, those that the model is sure of (90 % or more) and right about:\n",
             "| strategy | queues | on average | more than half, in so many queues |", "|---" * 4 + "|"]
    for strategy in strategies:
        own = [row["sure_and_right"] for row in queues if row["strategy"] == strategy]
        text.append(f"| {strategy} | {len(own)} | {100 * mean(own):.0f} % | {sum(share > 0.5 for share in own)} |")
    stops = [row for row in rows if row["stop"]]
    text.append(f"\nStopping was called reasonable after {len(stops)} of {len(rows)} trainings"
                + (f", the first with {min(row['answers'] for row in stops)} answers." if stops else "."))
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/honesty"))
    parser.add_argument("--labels", type=int, default=360, help="answers in all, those of the holdout too")
    parser.add_argument("--strategies", nargs="+", default=["vabal", "margin", "random"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--images", type=int, default=0, help="images of the project, drawn at random; as many others measure it")
    parser.add_argument("--vabal", required=True, help="the program")
    options = parser.parse_args()
    files, images = labelling.survey(options.folder), options.out / "images"
    if images.exists():
        raise SystemExit(f"error: {images} is there already\n  hint: choose another folder with --out, or remove {options.out}")
    options.out.mkdir(parents=True, exist_ok=True)
    truth = labelling.hide(options.folder, files, images, 1)
    classes = sorted(set(truth.values()))
    (options.out / "classes.json").write_text(json.dumps(classes))
    if options.images:
        # The names are shuffled already: the first are a random sample.
        names = sorted(truth)
        (options.out / "others").mkdir()
        for name in names[options.images:2 * options.images]:
            (images / name).rename(options.out / "others" / name)
        for name in names[2 * options.images:]:
            (images / name).unlink()
    rows = [row for seed in options.seeds for strategy in options.strategies
            for row in play(options, images, truth, classes, strategy, seed)]
    (options.out / "results.json").write_text(json.dumps(rows, indent=1))
    text = tables(rows)
    (options.out / "results.md").write_text(text)
    print("\n" + text)


if __name__ == "__main__":
    main()
