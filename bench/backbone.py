"""`vabal embed` beside ONNX Runtime, on the same files: how fast, and do the features agree?

pip install numpy onnxruntime pillow && python bench/backbone.py
python bench/backbone.py model.onnx other.onnx --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225

Both decode the same PNGs of the input's size, so that neither resizes, and normalise them. Of several turns the best one counts. Without a file: the
network inside the program. The output of a file must be its features, [n, d].
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = ROOT / "crates/vabal-backbone/default/efficientnet-lite0.onnx"


def write_images(folder, n, size):
    """Smooth noise, which no network has seen and every one answers."""
    rng = np.random.default_rng(1)
    for number in range(n):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{number:04}.png")


def vabal(program, images, model, options, size, library):
    """Features by the program, and its seconds; with `library` by ONNX Runtime."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "features.npz"
        command = [program, "embed", images, "--out", out, "--size", str(size), "--quiet", "--runtime", "onnxruntime" if library else "rten"]
        if model != EMBEDDED:
            lists = {name: ",".join(map(str, getattr(options, name))) for name in ("mean", "std")}
            command += ["--backbone", model, *(f"--{name}={text}" for name, text in lists.items())]
        start = time.perf_counter()
        # A cache of its own: every turn computes.
        subprocess.run(command, check=True, env={**os.environ, "VABAL_DATA": folder, "VABAL_ONNXRUNTIME": library})
        seconds = time.perf_counter() - start
        return np.load(out)["features"], seconds


def runtime(images, model, options, batch):
    """The same by ONNX Runtime."""
    start = time.perf_counter()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    name, found = session.get_inputs()[0].name, []
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (options.mean, options.std))
    paths = sorted(images.iterdir())
    for first in range(0, len(paths), batch):
        pixels = np.stack([np.asarray(Image.open(path), np.float32) for path in paths[first : first + batch]])
        found.append(session.run(None, {name: (pixels.transpose(0, 3, 1, 2) / 255 - mean) / std})[0])
    return np.concatenate(found), time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=[EMBEDDED])
    parser.add_argument("--sizes", nargs="+", type=int, default=[96, 160, 224])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--batch", type=int, default=32, help="of ONNX Runtime")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--mean", nargs=3, type=float, default=[127 / 255] * 3)
    parser.add_argument("--std", nargs=3, type=float, default=[128 / 255] * 3)
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    metadata = json.loads(subprocess.run(metadata, cwd=ROOT, check=True, capture_output=True).stdout)
    program = Path(metadata["target_directory"]) / "release/vabal"
    print(f"ONNX Runtime {onnxruntime.__version__}, {len(os.sched_getaffinity(0))} threads, {options.images} images\n")
    library = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.*"))
    print("| network | size | vabal, images/s | its `--runtime onnxruntime` | ONNX Runtime | ratios | largest difference, of the largest feature |")
    print("|---|---|---|---|---|---|---|")
    for model in options.models:
        for size in options.sizes:
            with tempfile.TemporaryDirectory() as folder:
                images = Path(folder)
                write_images(images, options.images, size)
                ways = {
                    "rten": lambda: vabal(program, images, model, options, size, ""),
                    "onnxruntime": lambda: vabal(program, images, model, options, size, str(library)),
                    "theirs": lambda: runtime(images, model, options, options.batch),
                }
                found, best = {}, dict.fromkeys(ways, float("inf"))
                for _ in range(options.turns):
                    for name, way in ways.items():
                        found[name], seconds = way()
                        best[name] = min(best[name], seconds)
                expected = found.pop("theirs")
                difference = max(np.abs(got - expected).max() for got in found.values()) / np.abs(expected).max()
                rten, ours, theirs = (options.images / best[name] for name in ways)
                ratios = f"{rten / theirs:.2f}, {ours / theirs:.2f}"
                print(f"| {model.stem} | {size} | {rten:.0f} | {ours:.0f} | {theirs:.0f} | {ratios} | {difference:.1e} |", flush=True)


if __name__ == "__main__":
    main()
