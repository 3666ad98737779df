#!/usr/bin/env bash
# Pools in parts on engines: processes, Spark, Ray, Sail, and the recipes of docs/scale.md pick the same bytes. Takes the
# wheel of scripts/python.sh. Changes no file of the repository; what it installs from PyPI (2.5 GB) stays in a folder of
# the cache and is reused. What cannot be installed is an error: nothing is left out. PYTHON=… takes another Python than python3.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vabal-python
python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1

say() { printf -- '-- %s\n' "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2; exit 1; }

wheel=$(echo "$cache"/wheel/*.whl)
[ -f "$wheel" ] || fail 'there is no wheel of the Python package' 'run scripts/python.sh first'

# Spark 4 needs Java 17 or newer.
java_version() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p'; }
if [ "$(java_version)" = '' ] || [ "$(java_version)" -lt 17 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail 'Java 17 is missing' 'install it: apt-get install openjdk-17-jre-headless, or what your system calls it'
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null
  hash -r
fi

# An environment whose packages are those of a file, made anew where that has changed; and the wheel.
environment() {
  local venv=$cache/$1 file=python/tests/requirements-$1.txt wanted
  wanted=$("$python" -VV; command -v "$python"; cat "$file")
  if [ "$(cat "$venv/wanted" 2>/dev/null)" != "$wanted" ]; then
    say "an environment, in $venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$file"
    printf '%s' "$wanted" >"$venv/wanted"
  fi
  "$venv/bin/pip" install --quiet --no-deps --force-reinstall "$wheel"
}
environment engines
environment sail

# Not in python/: Ray's workers would find the package's source there.
root=$PWD
run() { (cd "$cache" && VABAL_ENGINES=$1 "$2/bin/pytest" -p no:cacheprovider --durations=5 -c "$root/python/pyproject.toml" "$root/python/tests/$3"); }
say 'processes, Spark, Ray, and the recipes of docs/scale.md'
run all engines test_engines.py
say 'Sail'
run sail sail test_sail.py
