"""`vabal rank --strategy vabal-paper` as a whole command against the same mathematics in PyTorch eager, on the same threads.

    pip install torch numpy safetensors
    python bench/rank.py                       # 50,000 × 512 features, 10 classes (every class summed) and 100 (the predicted)
    python bench/rank.py --rows 5000 --classes 10
    python bench/rank.py --grow                # vabal alone from 25,000 to 200,000 rows: how time and memory grow

Both read the same .npy files, fit the VAE, score every row and give the best 500. Seconds are those of the whole process,
less PyTorch's import; private memory is the largest of what the process cannot share: what is mapped from a file is not in it.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import vabal as method  # bench/vabal.py

WIDTH, LABELLED, N = 512, 1000, 500
SUMS = {10: ("all", []), 100: ("predicted", ["--set", "class_sum=predicted", "--set", "likelihood=inverse"])}


def arrays(folder, rows, classes):
    """Clusters after a ReLU, the largest ten times the smallest, and how near a row is to each centre."""
    import numpy as np

    rng = np.random.default_rng(1)
    centres = rng.normal(size=(classes, WIDTH)).astype("float32")
    sizes = np.linspace(1, 0.1, classes)
    for name, n in (("unlabelled", rows), ("labelled", LABELLED)):
        labels = rng.choice(classes, size=n, p=sizes / sizes.sum())
        features = centres[labels] + 2 * rng.normal(size=(n, WIDTH)).astype("float32")
        logits = features @ centres.T / WIDTH ** 0.5
        probs = np.exp(logits - logits.max(1, keepdims=True))
        np.save(folder / f"{name}-features.npy", np.maximum(features, 0))
        np.save(folder / f"{name}-probs.npy", probs / probs.sum(1, keepdims=True))
        np.save(folder / f"{name}-labels.npy", labels)


def torch_child(folder, classes):
    import numpy as np
    import torch

    torch.set_num_threads(int(os.environ["THREADS"]))
    start = time.perf_counter()
    method.WIDTHS[:] = [WIDTH]
    load = lambda name: torch.from_numpy(np.load(folder / f"{name}.npy"))  # noqa: E731
    pool, labelled = [load("unlabelled-features")], [load("labelled-features")]
    predicted = load("unlabelled-probs").argmax(1)
    vae = method.fit(torch, pool, predicted, classes)
    scores = method.score(torch, vae, pool, labelled, classes, SUMS[classes][0] == "all")
    scores.topk(min(N, len(scores)))
    print(json.dumps({"seconds": time.perf_counter() - start, "version": torch.__version__}))


def timed(command, **environment):
    """Runs a command; seconds, the peak of its private memory in bytes, and what it printed."""
    start = time.perf_counter()
    child = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    peak = 0

    def watch():
        nonlocal peak
        while child.poll() is None:
            try:
                status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
                peak = max(peak, 1024 * int(status.split("RssAnon:")[1].split()[0]))
            except (OSError, IndexError):
                pass
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    text = child.stdout.read()
    if child.wait():
        sys.exit(child.returncode)
    watcher.join()
    return time.perf_counter() - start, peak, text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--classes", type=int, choices=list(SUMS), action="append")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--grow", action="store_true", help="vabal alone, from 25,000 to 200,000 rows")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return torch_child(pathlib.Path(options.child), options.classes[0])
    threads = str(options.threads)
    subprocess.run(["cargo", "build", "--release", "--workspace"], cwd=method.ROOT, check=True)
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    program = pathlib.Path(method.run(metadata)["target_directory"]) / "release/vabal"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print("| rows | C | class sum | | seconds | private memory, MiB |\n|---|---|---|---|---|---|")
    for rows in (25_000, 50_000, 100_000, 200_000) if options.grow else (options.rows,):
        for classes in options.classes or ([10] if options.grow else list(SUMS)):
            class_sum, sets = SUMS[classes]
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                arrays(folder, rows, classes)
                pool = lambda name, of: [f"{array}={folder}/{name}-{array}.npy" for array in of]  # noqa: E731
                command = [program, "rank", "--quiet", "--strategy", "vabal-paper", "--set", "preset=cross", "-n", str(N), *sets]
                command += ["--unlabelled", *pool("unlabelled", ["features", "probs"])]
                command += ["--labelled", *pool("labelled", ["features", "labels"]), "--out", folder / "picks.csv"]
                seconds, peak, _ = timed(command, RAYON_NUM_THREADS=threads)
                row = lambda who, s, m: f"| {rows:,} | {classes} | {class_sum} | {who} | {s:.1f} | {m / 2**20:.0f} |"  # noqa: E731
                print(row(version, seconds, peak), flush=True)
                if options.grow:
                    continue
                child = [sys.executable, __file__, "--child", name, "--classes", str(classes)]
                _, memory, text = timed(child, THREADS=threads, OMP_NUM_THREADS=threads)
                theirs = json.loads(text.strip().splitlines()[-1])
                print(row("PyTorch " + theirs["version"], theirs["seconds"], memory))
                print(f"| {rows:,} | {classes} | {class_sum} | **ratio** | **{theirs['seconds'] / seconds:.1f}** "
                      f"| **{memory / peak:.1f}** |", flush=True)


if __name__ == "__main__":
    main()
