"""The classifier against PyTorch eager, in one run: a ResNet-18 training step and inference with the
features of all four stages, 3 x 32 x 32, f32, the same threads.

    pip install torch && python bench/classifier.py              # batch 128, widths 16 and 64
    python bench/classifier.py --batch 16 --widths 16 --steps 50   # what the preset quick does
    python bench/classifier.py --device cuda             # both on the GPU, by this PyTorch; torch-cpu: both on the CPU

Features are those of a pool: vabal passes through 8 batches and takes its own 256 images at a time, PyTorch gets 128, or
what --batch says if that is more. PyTorch gets its best memory layout of two (contiguous, channels-last), measured apart
for training and inference. Its input is a ready tensor; vabal's times hold normalisation and augmentation too. Median of
the steps after one for warm-up; the two take turns, and each keeps its best median of --turns. Every measurement is a
process of its own; "peak" is by how much it grew at most while training.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(o)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)
        shortcut = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
        self.downsample = shortcut if i != o else nn.Identity()

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet18(nn.Module):
    def __init__(self, width, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for stage, (i, o) in enumerate(zip(widths, widths[1:]), 1):
            blocks = nn.Sequential(Block(i, o, 1 if stage == 1 else 2), Block(o, o, 1))
            setattr(self, f"layer{stage}", blocks)
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        features = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x.mean((2, 3)))
        return self.fc(features[-1]), features


LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}


def median_seconds(step, steps, device):
    """Of a step; a GPU is waited for after every 16th, as vabal does."""
    every = 1 if device == "cpu" else 16
    seconds = []
    for _ in range(steps // every + 1):
        start = time.perf_counter()
        for _ in range(every):
            step()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - start) / every)
    return statistics.median(seconds[1:])


def memory(name):
    """A figure of this process in MiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(name + ":"))


def pytorch(width, batch, steps, layout, threads, device):
    device = device if device.startswith("cuda") else "cpu"
    if device != "cpu":
        torch.cuda.set_device(torch.device(device))
    torch.set_default_device(device)
    torch.set_num_threads(threads)
    layout = LAYOUTS[layout]
    torch.manual_seed(1)
    net = ResNet18(width).to(memory_format=layout)
    x = torch.randn(batch, 3, 32, 32).to(memory_format=layout)
    y = torch.arange(batch) % 10
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)

    def train():
        optimiser.zero_grad()
        F.cross_entropy(net(x)[0], y).backward()
        optimiser.step()

    def features():
        with torch.inference_mode():
            logits, stages = net(x)
            for result in (logits.softmax(1), *stages):
                result.cpu()

    before = memory("VmRSS")
    train_seconds = median_seconds(train, steps, device)
    grown = memory("VmHWM") - before
    net.eval()
    pool = max(batch, 128)
    x = torch.randn(pool, 3, 32, 32).to(memory_format=layout)
    return {"train": train_seconds, "features": median_seconds(features, steps, device) * batch / pool, "training_mib": grown}


def alone(*arguments):
    """`pytorch` in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(pytorch, arguments)


def best(runs):
    """The least of each figure."""
    return {key: min(run[key] for run in runs) for key in runs[0]}


def build():
    command = ["cargo", "build", "--release", "--package", "vabal-cli", "--example", "bench_classifier"]
    subprocess.run(command, check=True, cwd=ROOT)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(target, "release", "examples", "bench_classifier")


def vabal(program, width, batch, steps, threads, device):
    run = subprocess.run(
        [program, str(steps), "auto" if device == "cpu" else device, str(batch), str(width)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={
            **os.environ,
            "RAYON_NUM_THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads),
            "VABAL_LIBTORCH": os.path.dirname(torch.__file__),
        },
    )
    return json.loads(run.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:INDEX or torch-cpu (default cpu)")
    parser.add_argument("--steps", type=int, help="timed steps (default 5, on a GPU 64)")
    parser.add_argument("--turns", type=int, default=3, help="runs of each, in turn (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads for both (default 2)")
    args = parser.parse_args()
    on_gpu = args.device.startswith("cuda")
    args.steps = args.steps or (64 if on_gpu else 5)

    program = build()
    rustc = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True).stdout.strip()
    versions = f"PyTorch {torch.__version__}, Python {platform.python_version()}, {rustc}"
    where = torch.cuda.get_device_name(args.device) if on_gpu else f"{args.threads} threads"
    print(f"{versions}, --device {args.device}, {where}, batch {args.batch}\n")
    head = ["width", "what", "vabal", "PyTorch", "its layout", "vabal is better by"]
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for width in args.widths:
        ours, theirs = [], {name: [] for name in LAYOUTS}
        for _ in range(args.turns):
            ours.append(vabal(program, width, args.batch, args.steps, args.threads, args.device))
            for name in LAYOUTS:
                theirs[name].append(alone(width, args.batch, args.steps, name, args.threads, args.device))
        ours = best(ours)
        theirs = {name: best(runs) for name, runs in theirs.items()}
        for key, what in (("train", "training step"), ("features", "features")):
            name = min(theirs, key=lambda name: theirs[name][key])
            rate, peer = args.batch / ours[key], args.batch / theirs[name][key]
            if key == "train":
                cells = [width, "training step, ms", f"{ours[key] * 1e3:.2f}", f"{theirs[name][key] * 1e3:.2f}", name, ""]
                print(f"| {' | '.join(map(str, cells))} |", flush=True)
            cells = [width, f"{what}, images/s", f"{rate:.0f}", f"{peer:.0f}", name, f"{rate / peer:.2f}"]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
        if on_gpu:
            continue  # what a process grows by says nothing of the GPU's memory
        name = min(theirs, key=lambda name: theirs[name]["training_mib"])
        size, peer = ours["training_mib"], theirs[name]["training_mib"]
        cells = [width, "peak of training, MiB", f"{size:.0f}", f"{peer:.0f}", name, f"{peer / size:.2f}"]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
