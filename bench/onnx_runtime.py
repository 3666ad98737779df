"""vabal's ONNX files beside ONNX Runtime: are they valid, and do the probabilities agree?

pip install numpy onnx onnxruntime && python bench/onnx_runtime.py
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

ROOT = Path(__file__).resolve().parent.parent
CASES = [(18, 16, 1), (18, 16, 40), (34, 16, 40), (18, 64, 10)]

subprocess.run(["cargo", "build", "--release", "--workspace", "--example", "bench_onnx"], cwd=ROOT, check=True)
metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
metadata = json.loads(subprocess.run(metadata, cwd=ROOT, check=True, capture_output=True).stdout)
PROGRAM = Path(metadata["target_directory"]) / "release/examples/bench_onnx"

print("| depth | width | steps | bytes | nodes | largest difference | same class |")
print("|---|---|---|---|---|---|---|")
for depth, width, steps in CASES:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PROGRAM, folder, *map(str, (depth, width, steps))], check=True)
        path = Path(folder)
        model = path / "model.onnx"
        onnx.checker.check_model(onnx.load(model), full_check=True)
        n, channels, height, width_, classes = json.loads((path / "shape.json").read_text())
        images = np.fromfile(path / "images.f32", "<f4").reshape(n, channels, height, width_)
        expected = np.fromfile(path / "probabilities.f32", "<f4").reshape(n, classes)
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        assert len(json.loads(session.get_modelmeta().custom_metadata_map["classes"])) == classes
        got = session.run(None, {"images": images})[0]
        largest = np.abs(got - expected).max()
        same = (got.argmax(1) == expected.argmax(1)).mean()
        nodes = len(onnx.load(model).graph.node)
        print(f"| {depth} | {width} | {steps} | {model.stat().st_size:,} | {nodes} | {largest:.1e} | {same:.1%} |", flush=True)
        assert largest < 1e-5
