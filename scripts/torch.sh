#!/usr/bin/env bash
# What needs a PyTorch or an ONNX Runtime, which are opened at run time: the tests that plain `cargo test` leaves out, of
# crates/vabal-torch against PyTorch itself, of vabal's engine on it against that of the CPU, and of backbones on ONNX Runtime against rten.
# Takes the Python of scripts/python.sh, which has installed both, or PYTHON=…; torch from 2.10 on, onnxruntime from 1.17 on.
# VABAL=… names a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/vabal-python/test/bin/python}

fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2; exit 1; }

VABAL_LIBTORCH=$("$python" -c 'import torch; print(torch.__path__[0])' 2>/dev/null) \
  || fail "$python has no torch" 'run scripts/python.sh first, or name a Python that has it: PYTHON=python3 scripts/torch.sh'
VABAL_REFERENCE=$(mktemp -d)
trap 'rm -rf "$VABAL_REFERENCE"' EXIT
export VABAL_LIBTORCH VABAL_REFERENCE

"$python" crates/vabal-torch/tests/reference.py "$VABAL_REFERENCE"
VABAL_ONNXRUNTIME=$("$python" -c 'import glob, onnxruntime; print(*glob.glob(onnxruntime.__path__[0] + "/capi/libonnxruntime.*"))' 2>/dev/null) \
  || fail "$python has no onnxruntime" 'run scripts/python.sh first, or name a Python that has it: PYTHON=python3 scripts/torch.sh'
export VABAL_ONNXRUNTIME
cargo clippy --locked --release --workspace --test torch --test onnxruntime -- -D warnings
cargo test --locked --release --workspace --test torch --test onnxruntime
# The whole workspace, as in scripts/check.sh: by itself the package would be compiled anew, with other features of its dependencies.
cargo test --locked --release --workspace --lib network::torch -- --ignored

# The program, which asks python3 where its PyTorch and its ONNX Runtime are.
run() { if [ -n "${VABAL:-}" ]; then "$VABAL" "$@"; else cargo run --locked --release --quiet -- "$@"; fi; }
unset VABAL_LIBTORCH VABAL_ONNXRUNTIME
PATH=$(dirname "$python"):$PATH
run embed docs/figures --runtime onnxruntime --out "$VABAL_REFERENCE/features.npz"
run run experiments/every-strategy-demo.toml --quiet --out "$VABAL_REFERENCE/demo" --device torch-cpu \
  --set rounds.count=2 --set classifier.epochs=2 --set classifier.minimum_steps=0 --set 'strategies=["margin"]'
