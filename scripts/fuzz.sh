#!/usr/bin/env bash
# Throws damaged input at everything that reads what strangers send, in fuzz/: for a minute each, or the seconds or
# `-runs=N` of the first argument; the targets named after it, or all. What makes one fall is in fuzz/artifacts.
# Wants cargo-fuzz (cargo install cargo-fuzz) and a C++ compiler. Inputs that reached something new are kept in the cache.
set -euo pipefail
cd "$(dirname "$0")/.."
much=${1:-60}
[[ $much == -* ]] || much=-max_total_time=$much
shift || true
command -v cargo-fuzz >/dev/null || { printf 'error: cargo-fuzz is missing\n  hint: cargo install --locked cargo-fuzz\n' >&2; exit 1; }
corpus=${XDG_CACHE_HOME:-$HOME/.cache}/vabal-fuzz
# Instrumentation is not of stable Rust; the compiler has it all the same.
export RUSTC_BOOTSTRAP=1
# Most targets write a file for each input.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
# Almost all of it is safe Rust: what an address sanitiser would find is looked for by scripts/sanitizer.sh.
fuzz() { cargo fuzz "$1" --sanitizer none "${@:2}"; }
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
python3 fuzz/seeds.py "$corpus"
fuzz build
for target in "${targets[@]}"; do
  printf '== %s\n' "$target"
  fuzz run "$target" "$corpus/$target" -- "$much" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 -verbosity=0
done
