#!/usr/bin/env bash
# The tests of the kernels under the address sanitiser, which ends at the first read or write beside an array. Arguments go to
# the tests: scripts/sanitizer.sh winograd.
#
# The stable compiler brings the sanitiser along but does not promise its flag, hence RUSTC_BOOTSTRAP. Everything is compiled
# once more, in a folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address
export CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=line-tables-only CARGO_INCREMENTAL=0
host=$(rustc -vV | sed -n 's/^host: //p')
exec cargo test --locked --target "$host" --target-dir "${CARGO_TARGET_DIR:-target}/sanitizer" \
  --package vabal --lib -- kernels:: "$@"
