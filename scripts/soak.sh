#!/bin/sh
# Every fault of tests/faults mixed for DURATION seconds (default 900), under load, and
# the table at the end. SEED repeats a run's choices; TEAMAI_OLD_BINARY is an older build
# of teamai whose workers take part in the rolling restarts.
set -eu
cd "$(dirname "$0")/.."

cargo build --locked
TEAMAI_SOAK_SECONDS="${DURATION:-900}" TEAMAI_FAULT_SEED="${SEED:-}" \
  cargo test --locked --test integration -- --exact --nocapture \
  faults::soak::all_faults_mixed_lose_nothing_and_count_nothing_twice
