#!/usr/bin/env bash
# Everything that must hold before a change is merged: format, lints, tests, documentation, the Python package,
# the report and the labelling page in a real browser. Installs what the last three need where it may (as root on Debian
# or Ubuntu), and otherwise says what is missing. Changes no file of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2; exit 1; }

# What a package is compiled with, in one build. Burn takes minutes to compile: two builds that want it, or
# anything below it, with different features would compile it twice.
features() { cargo tree --locked "$@" --format '{p} [{f}]' --prefix none | sed 's/ (\*)$//' | sort -u; }

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

step format
cargo fmt --all --check

step 'features: the program, the Python package and all tests share one build of every dependency'
for package in vabal-cli:crates/vabal-cli vabal-python:python; do
  different=$(comm -23 <(features --package "${package%:*}" --edges normal,build) <(features --workspace --edges normal,build,dev))
  [ -z "$different" ] || fail "cargo test builds these with other features than ${package%:*} alone: $different" \
    "hold them in ${package#*:}/Cargo.toml with the features that the tests turn on"
done

step lints
cargo clippy --locked --release --workspace --all-targets -- -D warnings

step tests
INSTA_UPDATE=no cargo test --locked --release --workspace

step documentation
RUSTDOCFLAGS='-D warnings' cargo doc --locked --release --workspace --no-deps

step 'the Python package'
scripts/python.sh

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
# A demo of seconds: what the page looks like does not depend on how well the networks have learnt.
cargo run --locked --release --quiet -- demo --quiet --out "$folder/demo" --set rounds.count=3 --set classifier.epochs=2 \
  --set classifier.minimum_steps=0 --set strategy.vabal.epochs=4 --set strategy.vabal.minimum_steps=0
npm --prefix tests/page ci --loglevel=error --no-audit --no-fund
node tests/page/report.mjs "$folder/demo/report.html"
# The program that has just made the demo.
target=$(cargo metadata --locked --no-deps --format-version 1 | node -p 'JSON.parse(fs.readFileSync(0)).target_directory')
node tests/page/label.mjs "$target/release/vabal"

step 'all is well'
