"""One whole round of the preset `quick` with the strategy `vabal`, against the same protocol in PyTorch eager, on the same threads.

    pip install torch && python bench/round.py            # 9,500 images of 3 x 32 x 32, 2,000 of them labelled
    python bench/round.py --pool 700 --labelled 200 --epochs 2      # small, to see that it works
    python bench/round.py --program target/release/vabal            # builds nothing

9,500 images are the pool of CIFAR-10^{+[1]}; here they are noise with a band that tells the class, in CIFAR-10's layout, and
both sides read the same files. The recipe of both is what `vabal run --print-config` says.

- training: from first weights to the last step, with normalisation, random crop and flip.
- features: of all four stages, of the unlabelled and the labelled images, with the probabilities or predictions of the former.
- VAE's fit, and scores: the votes on the labelled images, the score of every unlabelled one, the best ones.

vabal is the program itself: `vabal run`, whose store has the seconds of training, of features, and of fit and scores together;
these are parted at the fit's last event of `--json`. PyTorch has ResNet18 of bench/classifier.py in channels-last and the VAE of
bench/vabal.py, images as bytes that become floats batch by batch, and vabal's batches. Neither is warmed up. Not in the parts, of either:
start, imports, reading files, storing, vabal's look at its test set (10 images); the last line has the whole processes, vabal's with
the first step of a second round, at which it is stopped and says so. One run of each: on a machine with other work PyTorch's two
threads wait for each other, and may take many times as long, so the load before each side is printed too.
Each side is a process of its own, the ratio PyTorch / vabal. Peak memory is the largest resident (ru_maxrss), PyTorch's libraries with it;
vabal sets the system's mark back before each phase, so its peak is the largest of the phases' and of the mark at the end.
"""

import argparse
import json
import os
import pathlib
import platform
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib

import vabal as method  # bench/vabal.py

CLASSES, SIDE, BUDGET, TEST = 10, 32, 500, 10
PIXELS = 3 * SIDE * SIDE
LOOK = 256  # images that vabal looks at in one go
TRAIN_FILES = [f"data_batch_{n}.bin" for n in range(1, 6)]
loads = []
PARTS = ["training", "features", "VAE's fit", "scores"]


def images(folder, pool):
    """Records of a label byte and pixels, as CIFAR-10 has them: noise below a band of the class's brightness."""
    rng = random.Random(1)
    band = PIXELS // 6
    cuts = [pool * n // len(TRAIN_FILES) for n in range(len(TRAIN_FILES) + 1)]
    sizes = [last - first for first, last in zip(cuts, cuts[1:])]
    for name, size in zip([*TRAIN_FILES, "test_batch.bin"], [*sizes, TEST]):
        with open(folder / name, "wb") as file:
            for row in range(size):
                label = row % CLASSES
                file.write(bytes([label, *[25 * label] * band]) + rng.randbytes(PIXELS - band))


def train(torch, net, pixels, labels, normalise, recipe):
    functional = torch.nn.functional
    optimiser = torch.optim.SGD(
        net.parameters(), lr=recipe["learning_rate"], momentum=recipe["momentum"], weight_decay=recipe["weight_decay"]
    )
    steps = -(-len(labels) // recipe["batch"])
    epochs = max(recipe["epochs"], -(-recipe["minimum_steps"] // steps))
    padding = recipe["crop_padding"]
    for epoch in range(epochs):
        passed = sum(milestone * epochs <= epoch * recipe["epochs"] for milestone in recipe["milestones"])
        optimiser.param_groups[0]["lr"] = recipe["learning_rate"] * recipe["gamma"] ** passed
        for index in torch.randperm(len(labels)).split(recipe["batch"]):
            n = len(index)
            windows = functional.pad(normalise(pixels[index]), [padding] * 4).unfold(2, SIDE, 1).unfold(3, SIDE, 1)
            down, right = torch.randint(2 * padding + 1, (2, n))
            x = windows[torch.arange(n), :, down, right]
            x = torch.where(torch.rand(n, 1, 1, 1) < 0.5, x.flip(3), x) if recipe["flip"] else x
            logits, _ = net(x.contiguous(memory_format=torch.channels_last))
            optimiser.zero_grad()
            functional.cross_entropy(logits, labels[index]).backward()
            optimiser.step()


def look(torch, net, pixels, normalise):
    """Probabilities, and features of the four stages."""
    probabilities, stages = [], []
    with torch.inference_mode():
        for batch in pixels.split(LOOK):
            logits, features = net(normalise(batch).contiguous(memory_format=torch.channels_last))
            probabilities.append(logits.softmax(1))
            stages.append(features)
    return torch.cat(probabilities), [torch.cat(stage) for stage in zip(*stages)]


def torch_child(folder, labelled):
    """Runs in a process of its own, so that its peak memory is its own."""
    import torch

    import classifier

    torch.set_num_threads(int(os.environ["THREADS"]))
    torch.manual_seed(1)
    config = tomllib.loads((folder / "resolved.toml").read_text())
    recipe, vae = config["classifier"], config["strategy"]["vabal"]
    read = bytearray(b"".join((folder / name).read_bytes() for name in TRAIN_FILES))
    records = torch.frombuffer(read, dtype=torch.uint8).view(-1, 1 + PIXELS)
    order = torch.randperm(len(records))
    known, rest = (
        records[rows, 1:].view(-1, 3, SIDE, SIDE) for rows in (order[:labelled].sort()[0], order[labelled:].sort()[0])
    )
    labels = records[order[:labelled].sort()[0], 0].long()
    ends = [time.perf_counter()]
    done = lambda: ends.append(time.perf_counter())  # noqa: E731

    scaled = known.float() / 255
    std, mean = torch.std_mean(scaled, (0, 2, 3), correction=0, keepdim=True)
    del scaled
    normalise = lambda pixels: (pixels.float() / 255 - mean) / std  # noqa: E731
    net = classifier.ResNet18(recipe["width"], CLASSES).to(memory_format=torch.channels_last)
    train(torch, net, known, labels, normalise, recipe)
    done()
    net.eval()
    probabilities, pool = look(torch, net, rest, normalise)
    _, seen = look(torch, net, known, normalise)
    done()
    steps = -(-len(rest) // vae["batch"])
    method.WIDTHS[:] = [recipe["width"] << stage for stage in range(4)]
    method.EPOCHS = max(vae["epochs"], -(-vae["minimum_steps"] // steps))
    method.LATENTS, method.DRAWS, method.BATCH, method.LAMBDA = (
        vae[key] for key in ("latents", "draws", "batch", "lambda")
    )
    # Normal tensors again, which autograd may keep.
    pool, seen = ([stage.clone() for stage in stages] for stages in (pool, seen))
    fitted = method.fit(torch, pool, probabilities.argmax(1), CLASSES)
    done()
    scores = method.score(torch, fitted, pool, seen, CLASSES, vae["class_sum"] == "all")
    scores.topk(min(BUDGET, len(scores)))
    done()
    seconds = [end - start for start, end in zip(ends, ends[1:])]
    print(json.dumps({"seconds": seconds, "version": torch.__version__}))


def watched(command, hear, **environment):
    """Runs a command, each line of its output to `hear` until that says it is enough; seconds and peak memory in bytes."""
    loads.append(os.getloadavg()[0])
    start = time.perf_counter()
    child = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    enough = False
    for line in child.stdout:
        if not enough and hear(line):
            enough = True
            child.send_signal(signal.SIGINT)
    seconds = time.perf_counter() - start
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in ((0, 130) if enough else (0,)):
        sys.exit(child.returncode)
    return seconds, 1024 * usage.ru_maxrss


def vabal(program, config, folder, threads):
    """One round of `vabal run`. Only a round with another after it asks: so there is a second, stopped at its first step."""
    out = folder / "run"
    marks = {}

    def hear(line):
        event = json.loads(line)
        if event["event"] == "progress" and event["done"] == event["total"]:
            marks[event["phase"]] = time.perf_counter()
        return event["event"] == "progress" and event["round"] == 2

    seconds, peak = watched([program, "run", config, "--out", out, "--json"], hear, RAYON_NUM_THREADS=threads)
    store = sqlite3.connect(out / "store.sqlite")
    rows = store.execute("SELECT name, seconds, peak_bytes FROM phases WHERE round = 1").fetchall()
    store.close()
    phases = {name: seconds for name, seconds, _ in rows}
    fit = marks["vae"] - marks["features"]
    parts = [phases["train"], phases["features"], fit, phases["select"] - fit]
    return parts, seconds, max(peak, *(bytes or 0 for _, _, bytes in rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=9500, help="images, the labelled among them (default 9500)")
    parser.add_argument("--labelled", type=int, default=2000, help="labelled images (default 2000)")
    parser.add_argument("--epochs", type=int, help="of classifier and VAE, with no minimum of steps, instead of the preset's")
    parser.add_argument("--threads", type=int, default=2, help="threads for both (default 2)")
    parser.add_argument("--program", type=pathlib.Path, help="a built vabal, instead of building it")
    parser.add_argument("--no-torch", action="store_true", help="vabal alone")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return torch_child(pathlib.Path(options.child), options.labelled)
    threads, program = str(options.threads), options.program and options.program.resolve()
    if not program:
        subprocess.run(["cargo", "build", "--release", "--workspace"], cwd=method.ROOT, check=True)
        metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
        program = pathlib.Path(method.run(metadata)["target_directory"]) / "release/vabal"
    ask = lambda *command: subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: E731
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        images(folder, options.pool)
        config = folder / "round.toml"
        lines = ['preset = "quick"', 'strategies = ["vabal"]', "seeds = [1]"]
        lines += ["[rounds]", f"initial = {options.labelled}", f"budget = {BUDGET}", "count = 2"]
        lines += ["[data]", 'kind = "cifar10"', f"path = {json.dumps(name)}"]
        if options.epochs:
            for table in ("classifier", "strategy.vabal"):
                lines += [f"[{table}]", f"epochs = {options.epochs}", "minimum_steps = 0"]
        config.write_text("\n".join(lines) + "\n")
        (folder / "resolved.toml").write_text(ask(program, "run", config, "--print-config"))
        ours, our_process, our_peak = vabal(program, config, folder, threads)
        if options.no_torch:
            parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in zip(PARTS, ours))
            print(f"{ask(program, '--version').strip()}: {parts}, in all {sum(ours):.2f} s, peak {our_peak / 2**20:.0f} MiB")
            return
        said = []
        child = [sys.executable, __file__, "--child", name, "--labelled", str(options.labelled)]
        their_process, their_peak = watched(child, said.append, THREADS=threads, OMP_NUM_THREADS=threads)
    theirs = json.loads(said[-1])
    versions = f"{ask(program, '--version').strip()}, PyTorch {theirs['version']}, Python {platform.python_version()}"
    print(f"{versions}, {threads} threads, {options.labelled} labelled and {options.pool - options.labelled} unlabelled images\n")
    print("| part | vabal, s | PyTorch, s | ratio |\n|---|---|---|---|")
    for part, a, b in zip(PARTS, ours, theirs["seconds"]):
        print(f"| {part} | {a:.2f} | {b:.2f} | {b / a:.2f} |")
    a, b = sum(ours), sum(theirs["seconds"])
    print(f"| **the whole round** | **{a:.2f}** | **{b:.2f}** | **{b / a:.2f}** |\n")
    print(f"Peak memory: vabal {our_peak / 2**20:.0f} MiB, PyTorch {their_peak / 2**20:.0f} MiB. "
          f"The whole process: vabal {our_process:.1f} s, PyTorch {their_process:.1f} s. "
          f"Load before: {loads[0]:.1f} and {loads[1]:.1f}.")


if __name__ == "__main__":
    main()
