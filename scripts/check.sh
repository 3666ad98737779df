#!/usr/bin/env bash
# Everything that must hold before a change is merged: format, lints, tests, documentation, the Python package,
# the report and the labelling page in a real browser. Installs what the last three need where it may (as root on Debian
# or Ubuntu), and otherwise says what is missing. Changes no file of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2; exit 1; }

# What the repository has at its root. Profilers, debuggers and downloads leave files behind, which are easily committed.
root='(README|ARCHITECTURE|CONTRIBUTING|CHANGELOG|SECURITY)\.md|LICENSE-(APACHE|MIT)|Cargo\.(toml|lock)|(clippy|deny|rustfmt)\.toml|justfile|Containerfile|\.(docker|git)ignore'

# The rooms of a crate from the top down, one argument a storey: none names a room of a higher one.
above() {
  local source=crates/$1/src higher='' storey room found
  shift
  for storey in "$@"; do
    for room in $storey; do
      [ -n "$higher" ] || break
      found=$(git grep --untracked -nE "crate::(\{[^}]*\b)?($higher)\b" -- "$source/$room.rs" "$source/$room/" | grep -vE '^[^:]+:[0-9]+:\s*//' || true)
      [ -z "$found" ] || fail "a room uses one above it: $found" 'move what both need down; ARCHITECTURE.md has the order'
    done
    higher+=${higher:+|}${storey// /|}
  done
}

# The first program of these names that is here.
first() { for name in "$@"; do command -v "$name" && return; done; return 1; }
browser() { first ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome; }

install() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "$1 is missing" "install it: apt-get install $2, or what your system calls it"
  fi
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of packages
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $2 >/dev/null
}

step 'files at the root'
unknown=$(git ls-files --cached --others --exclude-standard -- ':(glob)*' | grep -vxE "$root" || true)
[ -z "$unknown" ] || fail "the root of the repository has files of unknown kind: ${unknown//$'\n'/, }" \
  'delete or move them; a kind that belongs there is named in scripts/check.sh, in `root`'

step 'directions between rooms'
above vabal 'project experiment' config active 'backbone classify vaal' device network data 'csv kernels sqlite'
above vabal-query plan strategies 'summary metrics layout pca head estimate' 'query arrays' 'files progress rng' 'error kernels term'

step format
cargo fmt --all --check

step 'licences and sources of every dependency'
cargo metadata --locked --format-version 1 | python3 scripts/licences.py
# It takes minutes to compile: where it is not installed, the line above does.
! command -v cargo-deny >/dev/null || cargo deny --locked check licenses bans sources

step lints
cargo clippy --locked --release --workspace --all-targets -- -D warnings

step 'packages, and the program from them alone'
scripts/package.sh

step tests
INSTA_UPDATE=no cargo test --locked --release --workspace
# The program that the tests ran, for the steps below: `cargo run` would compile it anew, with other features of its dependencies.
target=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
export VABAL=$target/release/vabal

step 'documentation of the crates'
RUSTDOCFLAGS='-D warnings' cargo doc --locked --release --workspace --no-deps

step 'the Python package'
scripts/python.sh

step 'pools in parts on Spark, Ray and Sail'
scripts/engines.sh

step 'links, commands and site of the documentation'
scripts/docs.sh

step 'PyTorch, opened at run time'
scripts/torch.sh

step 'the pages in a browser'
{ command -v node && command -v npm; } >/dev/null || install 'Node.js' 'nodejs npm'
browser >/dev/null || install Chromium chromium
CHROMIUM=$(browser)
export CHROMIUM
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
major() { node -p 'process.versions.node.split(".")[0]'; }
if [ "$(major)" -lt 20 ]; then
  # Debian 12 has 18, with which the browser's driver does not start. The package `node` is Node.js itself.
  npm --prefix "$folder/node" install --loglevel=error --no-audit --no-fund node@20 || true
  PATH=$folder/node/node_modules/node/bin:$PATH
  hash -r
  [ "$(major)" -ge 20 ] || fail "Node.js is older than 20: $(node --version)" 'install a newer one: https://nodejs.org'
fi
# A demo of seconds: what the page looks like does not depend on how much the network sees.
"$VABAL" demo --quiet --out "$folder/demo" --set rounds.count=3 --set 'seeds=[1]' \
  --set classifier.size=32 --set 'strategies=[random, entropy, vabal, vabal-official]' --set strategy.vabal-official.epochs=4
npm --prefix tests/page ci --loglevel=error --no-audit --no-fund
node tests/page/report.mjs "$folder/demo/report.html"
node tests/page/label.mjs "$VABAL"

step 'all is well'
