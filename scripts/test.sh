#!/bin/sh
# Format, lints and every test, against a Postgres and a Redis of their own. The
# servers keep nothing and sync nothing to disk (fsync off): the data is thrown away.
# The last line counts the tests.
set -eu
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

# One fault is a clock that is wrong. Without libfaketime its test says so and passes over it.
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1 && ! ls /usr/lib/*/faketime >/dev/null 2>&1; then
  apt-get install -qq -y --no-install-recommends faketime >/dev/null 2>&1 || true
fi

# Most tests wait for processes and for time to pass, so that more run at once than there are cores.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-4}"
export NEXTEST_TEST_THREADS="${NEXTEST_TEST_THREADS:-$RUST_TEST_THREADS}"

step "format"
cargo fmt --check
step "lints"
cargo clippy --all-targets --locked --quiet -- -D warnings
step "build"
cargo build --locked
if cargo nextest --version >/dev/null 2>&1; then runner="nextest run"; else runner=test; fi
# shellcheck disable=SC2086 # two words
cargo $runner --locked --no-run

log=$(mktemp)
trap 'rm -f "$log" "$log.status"' EXIT

step "tests"
echo 1 > "$log.status"
{
  status=0
  # shellcheck disable=SC2086 # two words
  "${CARGO_TARGET_DIR:-target}/debug/teamai" stack -- cargo $runner --locked --no-fail-fast --color never || status=$?
  echo "$status" > "$log.status"
} 2>&1 | tee "$log"

# nextest: "Summary [ 1.2s] 9 tests run: 8 passed, 1 failed, 0 skipped"; cargo test: one "test result:" a binary.
count() {
  sed -n -e "/Summary \[/s/.*[^0-9]\([0-9][0-9]*\) $1.*/\1/p" -e "/^test result:/s/.*[^0-9]\([0-9][0-9]*\) $1.*/\1/p" "$log" |
    awk '{ sum += $1 } END { print sum + 0 }'
}
passed=$(count passed)
failed=$(count failed)
status=$(cat "$log.status")
if [ "$status" -eq 0 ] && [ "$passed" -eq 0 ]; then
  echo "no test ran" >&2
  status=1
fi
printf '\n%s passed, %s failed\n' "$passed" "$failed"
exit "$status"
