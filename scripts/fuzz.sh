#!/bin/sh
# Fuzzes every target in turn: `make fuzz DURATION=600` (seconds a target), or those named
# in TARGETS. What crashes is left in fuzz/artifacts/, and ends the run with status 1.
#
# libFuzzer's instrumentation is behind an unstable flag, which RUSTC_BOOTSTRAP opens on
# the stable compiler. No sanitizer: the code has no `unsafe` of its own.
set -eu
cd "$(dirname "$0")/.."

cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked
# The versions that the product is built with.
cp Cargo.lock fuzz/Cargo.lock
export RUSTC_BOOTSTRAP=1 SQLX_OFFLINE=true

for target in ${TARGETS:-recipe template url provider stream token}; do
  mkdir -p "fuzz/corpus/$target"
  cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="${DURATION:-60}" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1
done
