"""The convolutions of a ResNet-18 one by one beside PyTorch, and what share of the processor's peak each reaches.

    pip install torch && python bench/layers.py                # batch 128, widths 16 and 64

Milliseconds of the forward pass, the gradient of the input and the gradient of the weight, the median of some repeats after one for
warm-up, all on the same threads; PyTorch in channels-last. The share of the peak counts the operations of the definition, so that an algorithm that
does with fewer can pass 100 %. The peak is measured in the same run: sums in registers on all threads.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PASSES = ["forward", "input", "weight"]


def vabal(batch, repeats, widths, threads):
    subprocess.run(["cargo", "build", "--release", "--workspace", "--example", "bench_layers"], check=True, cwd=ROOT)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    program = os.path.join(target, "release", "examples", "bench_layers")
    command = [program, str(batch), str(repeats), *map(str, widths)]
    env = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
    first, *layers = map(json.loads, run.stdout.splitlines())
    return first["peak"], layers


def pytorch(layer, batch, repeats):
    memory = {"memory_format": torch.channels_last}
    x = torch.randn(batch, layer["from"], layer["side"], layer["side"]).to(**memory)
    weight = torch.randn(layer["to"], layer["from"], layer["size"], layer["size"]).to(**memory)
    stride, padding = [layer["stride"]] * 2, [layer["size"] // 2] * 2
    y = torch.nn.functional.conv2d(x, weight, None, stride, padding)
    dy = torch.randn_like(y)

    def back(of_x, of_weight):
        mask = [of_x, of_weight, False]
        return torch.ops.aten.convolution_backward(dy, x, weight, None, stride, padding, [1, 1], False, [0, 0], 1, mask)

    works = [
        lambda: torch.nn.functional.conv2d(x, weight, None, stride, padding),
        lambda: back(True, False),
        lambda: back(False, True),
    ]
    seconds = []
    with torch.inference_mode():
        for work in works:
            times = []
            for _ in range(repeats + 1):
                start = time.perf_counter()
                work()
                times.append(time.perf_counter() - start)
            seconds.append(statistics.median(times[1:]))
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2, help="threads for both (default 2)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    peak, layers = vabal(args.batch, args.repeats, args.widths, args.threads)
    print(f"PyTorch {torch.__version__}, {args.threads} threads, batch {args.batch}, peak {peak / 1e9:.0f} GFlop/s\n")
    names = ["width", "layer", *(f"{name}: ms, share of peak, PyTorch's ms" for name in PASSES)]
    print("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    for layer in layers:
        theirs = pytorch(layer, args.batch, args.repeats)
        name = f"{layer['from']} → {layer['to']}, {layer['size']} × {layer['size']}, {layer['side']} × {layer['side']}"
        name += f", stride {layer['stride']}" if layer["stride"] > 1 else ""
        cells = [
            f"{1e3 * ours:.1f}, {layer['operations'] / ours / peak:.0%}, {1e3 * peer:.1f}"
            for ours, peer in zip(layer["seconds"], theirs)
        ]
        print(f"| {layer['width']} | {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
