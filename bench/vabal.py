"""VaB-AL's own part against the same mathematics in PyTorch eager, in one run on the same threads.

    pip install torch numpy safetensors
    python bench/vabal.py                      # 9,000 rows, 10 classes, class sums all and predicted
    python bench/vabal.py --rows 50000 --classes 100 --sum predicted --no-torch
    pip install matplotlib && python bench/vabal.py --grow bench/cost.svg    # how cost grows, vabal alone, as a plot

For each class sum it runs the Rust example, which fits a VAE and scores a synthetic pool, then fits the
same VAE in PyTorch with the same schedule, loads the weights that Rust fitted and scores the same features.
It prints seconds, the ratio, peak memory, and the rank correlation of the two lists of scores.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTHS = [64, 128, 256, 512]
HIDDEN, LATENTS, DRAWS, EPOCHS, BATCH, LAMBDA = 128, 10, 100, 20, 128, 0.005


def build(torch, classes):
    """The networks of the default preset, under the names of the weight file."""
    nn = torch.nn

    class Stage(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm, self.linear = nn.BatchNorm1d(width), nn.Linear(width, HIDDEN)

        def forward(self, x):
            return torch.sigmoid(self.linear(self.norm(x)))

    class Hidden(nn.Module):
        def __init__(self, inputs):
            super().__init__()
            self.linear, self.norm = nn.Linear(inputs, HIDDEN), nn.BatchNorm1d(HIDDEN)

        def forward(self, x):
            return self.norm(torch.relu(self.linear(x)))

    class Vae(nn.Module):
        def __init__(self):
            super().__init__()
            inputs = HIDDEN * len(WIDTHS)
            self.adapter = nn.ModuleList(Stage(width) for width in WIDTHS)
            self.encoder = nn.Sequential(Hidden(inputs), Hidden(HIDDEN), Hidden(HIDDEN))
            self.mean = nn.Linear(HIDDEN, classes * LATENTS)
            self.log_variance = nn.Linear(HIDDEN, classes * LATENTS)
            self.decoder = nn.Sequential(Hidden(classes * LATENTS), Hidden(HIDDEN), Hidden(HIDDEN))
            self.output = nn.Linear(HIDDEN, inputs)

        def encode(self, stages):
            x = torch.cat([adapter(stage) for adapter, stage in zip(self.adapter, stages)], 1)
            hidden = self.encoder(x)
            return x, self.mean(hidden), self.log_variance(hidden)

        def decode(self, z):
            return self.output(self.decoder(z))

    return Vae()


def fit(torch, stages, predicted, classes):
    vae = build(torch, classes)
    adam = torch.optim.Adam(vae.parameters(), lr=1e-3)
    rows = len(predicted)
    for epoch in range(EPOCHS):
        if epoch == 16:
            adam.param_groups[0]["lr"] = 1e-4
        for index in torch.randperm(rows).split(BATCH):
            x, mean, log_variance = vae.encode([stage[index] for stage in stages])
            z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
            w = z.view(-1, classes, LATENTS).square().sum(2)
            labels = predicted[index]
            mask = torch.ones(len(index), classes, 1)
            mask[torch.arange(len(index)), labels] = 0
            output = vae.decode((z.view(-1, classes, LATENTS) * mask).flatten(1))
            kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()
            loss = (output - x.detach()).square().mean() + kl
            loss = loss + LAMBDA * torch.nn.functional.cross_entropy(-w, labels)
            adam.zero_grad()
            loss.backward()
            adam.step()
    return vae


def votes(torch, vae, stages, classes):
    counts = torch.zeros(len(stages[0]), classes)
    for index in torch.arange(len(stages[0])).split(BATCH):
        _, mean, log_variance = vae.encode([stage[index] for stage in stages])
        deviation = (0.5 * log_variance).exp()
        for _ in range(DRAWS):
            z = mean + deviation * torch.randn_like(mean)
            says = z.view(-1, classes, LATENTS).square().sum(2).argmin(1)
            counts[index, says] += 1
    return counts


def score(torch, vae, pool, labelled, classes, everything):
    """-sum over classes of prior times loss (class sum all, energy), or of prior / loss (predicted, inverse)."""
    vae.eval()
    with torch.no_grad():
        votes(torch, vae, labelled, classes)
        counts = votes(torch, vae, pool, classes)
        prior = (counts.sum(0) / DRAWS + 1 / classes) / (len(pool[0]) + 1)
        scores = torch.zeros(len(pool[0]))
        for index in torch.arange(len(pool[0])).split(BATCH):
            x, mean, log_variance = vae.encode([stage[index] for stage in pool])
            kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean(1)
            deviation = (0.5 * log_variance).exp()
            for _ in range(DRAWS):
                z = mean + deviation * torch.randn_like(mean)
                if everything:
                    for n in range(classes):
                        masked = z.clone()
                        masked[:, n * LATENTS:(n + 1) * LATENTS] = 0
                        loss = (vae.decode(masked) - x).square().mean(1) + kl
                        scores[index] -= prior[n] * loss / DRAWS
                else:
                    blocks = z.view(-1, classes, LATENTS)
                    says = blocks.square().sum(2).argmin(1)
                    masked = blocks.clone()
                    masked[torch.arange(len(index)), says] = 0
                    loss = (vae.decode(masked.flatten(1)) - x).square().mean(1) + kl
                    scores[index] -= prior[says] / loss / DRAWS
    return scores


def torch_child(folder, classes, everything):
    """Runs in a process of its own, so that its peak memory is its own."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(int(os.environ["THREADS"]))
    arrays = load_file(folder / "features.safetensors")
    pool = [arrays[f"unlabelled.stage{l}"] for l in range(1, 5)]
    labelled = [arrays[f"labelled.stage{l}"] for l in range(1, 5)]
    predicted = arrays["unlabelled.predicted"][:, 0].long()
    fit(torch, [stage[:512] for stage in pool], predicted[:512], classes)  # warm-up
    start = time.perf_counter()
    fit(torch, pool, predicted, classes)
    fit_seconds = time.perf_counter() - start
    vae = build(torch, classes)
    vae.load_state_dict(load_file(folder / "vae.safetensors"), strict=False)
    start = time.perf_counter()
    scores = score(torch, vae, pool, labelled, classes, everything)
    score_seconds = time.perf_counter() - start

    def ranks(values):
        result = torch.empty(len(values))
        result[values.argsort()] = torch.arange(len(values), dtype=torch.float32)
        return result

    both = torch.stack([ranks(scores), ranks(arrays["scores"][:, 0])])
    print(json.dumps({
        "fit": fit_seconds, "score": score_seconds, "rank_correlation": float(torch.corrcoef(both)[0, 1]),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "version": torch.__version__,
    }))


def run(command, **environment):
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout.strip().splitlines()[-1])


GROWTH = [
    (class_sum, rows, classes)
    for class_sum, most in (("predicted", 5_000_000), ("all", 1_000_000))
    for classes in (10, 100)
    for rows in (2000, 9000, 50_000)
    if rows * classes <= most
]


def grow(file, bench):
    """Times vabal alone over rows and classes, and draws fit and score beside each other."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "vabal"
    import matplotlib.pyplot as plt

    figures = {size: bench(*size) for size in GROWTH}
    print("| class sum | C | rows | fit s | score s | peak MiB |\n|---|---|---|---|---|---|")
    for (class_sum, rows, classes), f in figures.items():
        print(f"| {class_sum} | {classes} | {rows} | {f['fit']:.1f} | {f['score']:.1f} | {f['peak'] / 2**20:.0f} |")
    _, panels = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
    looks = {("predicted", 10): "o-", ("predicted", 100): "o--", ("all", 10): "s-", ("all", 100): "s--"}
    for panel, key in zip(panels, ("fit", "score")):
        for line, look in looks.items():
            rows = [size[1] for size in figures if (size[0], size[2]) == line]
            seconds = [figures[line[0], n, line[1]][key] for n in rows]
            panel.loglog(rows, seconds, look, color="C0" if line[0] == "predicted" else "C1",
                         label=f"{line[0]}, C = {line[1]}")
        panel.set(title=key, xlabel="rows", xticks=[2000, 9000, 50_000], yticks=[1, 10, 100])
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter("")
        panel.set_xticks([], minor=True)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds, 2 threads")
    panels[0].legend(title="class sum", frameon=False, loc="lower right")
    plt.savefig(file, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=9000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--sum", choices=["all", "predicted", "both"], default="both")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-torch", action="store_true", help="only the Rust side, for sizes where PyTorch takes hours")
    parser.add_argument("--grow", metavar="FILE.svg", help="draw how cost grows with rows and classes")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return torch_child(pathlib.Path(options.child), options.classes, options.sum == "all")
    threads = str(options.threads)
    subprocess.run(["cargo", "build", "--release", "--package", "vabal-query", "--example", "bench_vabal"], cwd=ROOT, check=True)
    target = pathlib.Path(run(["cargo", "metadata", "--format-version", "1", "--no-deps"])["target_directory"])
    if options.grow:
        def bench(class_sum, rows, classes):
            with tempfile.TemporaryDirectory() as folder:
                example = [target / "release/examples/bench_vabal", folder, str(rows), str(classes), class_sum]
                return run(example, RAYON_NUM_THREADS=threads)

        return grow(options.grow, bench)
    print("| class sum | rows | C | | fit s | score s | in all s | peak MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for class_sum in ["all", "predicted"] if options.sum == "both" else [options.sum]:
        with tempfile.TemporaryDirectory() as folder:
            size = [str(options.rows), str(options.classes)]
            example = [target / "release/examples/bench_vabal", folder]
            ours = run([*example, *size, class_sum], RAYON_NUM_THREADS=threads)
            rows = [("vabal " + ours["version"], ours)]
            if not options.no_torch:
                child = [sys.executable, __file__, "--child", folder, "--classes", size[1], "--sum", class_sum]
                theirs = run(child, THREADS=threads, OMP_NUM_THREADS=threads)
                rows.append(("PyTorch " + theirs["version"], theirs))
            for name, figures in rows:
                total = figures["fit"] + figures["score"]
                print(f"| {class_sum} | {size[0]} | {size[1]} | {name} | {figures['fit']:.1f} | {figures['score']:.1f} "
                      f"| {total:.1f} | {figures['peak'] / 2**20:.0f} |")
            if not options.no_torch:
                ratio = lambda key: theirs[key] / ours[key]  # noqa: E731
                both = (theirs["fit"] + theirs["score"]) / (ours["fit"] + ours["score"])
                print(f"| {class_sum} | {size[0]} | {size[1]} | ratio | {ratio('fit'):.2f} | {ratio('score'):.2f} "
                      f"| {both:.2f} | {ratio('peak'):.2f} |")
                print(f"\nrank correlation of the scores for the same weights: {theirs['rank_correlation']:.4f}\n")


if __name__ == "__main__":
    main()
