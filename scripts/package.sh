#!/usr/bin/env bash
# The packages as crates.io gets them: each is whole, and the program builds from them alone. With a folder as argument
# the packages are left there, unpacked, in a workspace of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2; exit 1; }

dead=$(find crates python -type l ! -exec test -e {} \; -print)
[ -z "$dead" ] || fail "links that lead nowhere: ${dead//$'\n'/, }" 'point them at the file that was moved'

target=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
rm -rf "$target/package"
cargo package --locked --quiet --workspace --exclude vabal-python --no-verify --allow-dirty 2>"$work/warnings" || { cat "$work/warnings" >&2; exit 1; }
[ ! -s "$work/warnings" ] || fail "packaging warns: $(cat "$work/warnings")"

mkdir "$work/packages"
{ printf '[workspace]\nresolver = "3"\nmembers = ["*-*.*.*"]\n\n[patch.crates-io]\n'; } >"$work/packages/Cargo.toml"
for crate in "$target"/package/*.crate; do
  tar -xzf "$crate" -C "$work/packages"
  name=$(basename "$crate" .crate)
  for file in README.md LICENSE-MIT LICENSE-APACHE; do
    [ -s "$work/packages/$name/$file" ] || fail "$name has no $file"
  done
  printf '%s = { path = "%s" }\n' "${name%-*}" "$name" >>"$work/packages/Cargo.toml"
done
cp Cargo.lock "$work/packages"
CARGO_TARGET_DIR=$target cargo check --quiet --release --manifest-path "$work/packages/Cargo.toml"
du -ch "$target"/package/*.crate | tail -1 | sed 's/total/in all packages/'
if [ $# -gt 0 ]; then
  rm -rf "$1"
  mv "$work/packages" "$1"
fi
