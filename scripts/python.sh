#!/usr/bin/env bash
# The Python package: builds a wheel, checks types and stubs, runs tests, doctests and the notebook, then the README's
# example in an environment that has nothing but the wheel. Changes no file of the repository; what it installs stays in
# a folder of the cache and is reused. PYTHON=… takes another Python than python3, of 3.11 or newer.
#
# Where that Python has torch, it is used; elsewhere torch is installed from PyPI, which takes minutes, once.
# VABAL_TORCH=skip leaves out what needs it.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vabal-python
python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1

say() { printf -- '-- %s\n' "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2; exit 1; }

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "Python with its module venv is missing" 'install it: apt-get install python3-venv, or what your system calls it'
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  hash -r
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || fail "Python is older than 3.11: $("$python" --version)" 'name a newer one: PYTHON=python3.12 scripts/python.sh'

# An environment whose packages are those of the files, made anew where they have changed.
torch=${VABAL_TORCH:-install}
! "$python" -c 'import torch' 2>/dev/null || [ "$torch" = skip ] || torch=system
wanted=$("$python" -VV; command -v "$python"; echo "$torch"; cat python/tests/requirements-torch.txt python/tests/requirements.txt)
venv=$cache/test
if [ "$(cat "$venv/wanted" 2>/dev/null)" != "$wanted" ]; then
  say "an environment for the tests, in $venv (torch: $torch)"
  rm -rf "$venv"
  options=()
  [ "$torch" != system ] || options=(--system-site-packages)
  "$python" -m venv ${options[@]+"${options[@]}"} "$venv"
  [ "$torch" != install ] || "$venv/bin/pip" install --quiet torch
  "$venv/bin/pip" install --quiet --requirement python/tests/requirements.txt
  [ "$torch" = skip ] || "$venv/bin/pip" install --quiet --no-deps --requirement python/tests/requirements-torch.txt
  printf '%s' "$wanted" >"$venv/wanted"
fi

say 'a wheel'
rm -rf "$cache/wheel"
VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH maturin build --quiet --locked --release --manifest-path python/Cargo.toml --out "$cache/wheel"
wheel=$(echo "$cache"/wheel/*.whl)
"$venv/bin/pip" install --quiet --no-deps --force-reinstall "$wheel"

say 'format, lints, types and stubs'
(cd python && "$venv/bin/ruff" format --no-cache --check --quiet . && "$venv/bin/ruff" check --no-cache --quiet .)
(cd python && "$venv/bin/mypy" --cache-dir "$cache/mypy" vabal tests)
(cd "$cache" && "$venv/bin/python" -m mypy.stubtest vabal._vabal)

say 'tests, doctests, the notebook'
(cd python && "$venv/bin/pytest" -p no:cacheprovider tests)
(cd python && "$venv/bin/pytest" -p no:cacheprovider --doctest-modules --pyargs vabal)

say "the README's example beside nothing but the wheel"
"$python" -m venv --clear "$cache/clean"
"$cache/clean/bin/pip" install --quiet "$wheel"
# The first one: those after it are of other libraries, and run in the tests.
awk '/^```$/ && on { exit } on { print } /^```python$/ { on = 1 }' python/README.md >"$cache/example.py"
[ -s "$cache/example.py" ] || fail 'python/README.md has no example'
(cd "$cache" && clean/bin/python -W error example.py)
