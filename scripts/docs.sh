#!/usr/bin/env bash
# The documentation: checks every link and command in it, then builds the site into the folder named, or into a temporary one.
# Takes the Python of scripts/python.sh, which has the package, or PYTHON=…; VABAL=… names a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}
python=${PYTHON:-$cache/vabal-python/test/bin/python}
generator=zensical==0.0.73

"$python" scripts/docs.py check
venv=$cache/vabal-docs
if [ "$(cat "$venv/wanted" 2>/dev/null)" != "$generator" ]; then
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$generator"
  printf '%s' "$generator" >"$venv/wanted"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/pages"
"$python" scripts/docs.py assemble "$work/pages"
cp docs/zensical.toml "$work"
(cd "$work" && "$venv/bin/zensical" build --strict)
if [ $# -gt 0 ]; then
  rm -rf "$1"
  mv "$work/site" "$1"
  printf 'the site is in %s\n' "$1"
fi
