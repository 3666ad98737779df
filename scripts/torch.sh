#!/usr/bin/env bash
# What needs a PyTorch, which is opened at run time: the tests that plain `cargo test` leaves out, of crates/vabal-torch against
# PyTorch itself, and of vabal's engine on it against that of the CPU.
# Takes the Python of scripts/python.sh, which has installed torch, or PYTHON=…; any version from 2.10 on.
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
cargo clippy --locked --release --workspace --test torch -- -D warnings
cargo test --locked --release --workspace --test torch
# The whole workspace, as in scripts/check.sh: by itself the package would be compiled anew, with other features of its dependencies.
cargo test --locked --release --workspace --lib network::torch -- --ignored

# The program, which asks python3 where its PyTorch is.
PATH=$(dirname "$python"):$PATH env -u VABAL_LIBTORCH cargo run --locked --release --quiet --package vabal-cli -- run \
  experiments/every-strategy-demo.toml --quiet --out "$VABAL_REFERENCE/demo" --device torch-cpu --set rounds.count=2 --set classifier.epochs=2 --set classifier.minimum_steps=0 \
  --set 'strategies=["margin"]'
