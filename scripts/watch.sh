#!/bin/sh
# Builds and runs the program, and does so again whenever the source changes. A build
# that fails leaves the last good program running. For the development container.
set -u
cd "$(dirname "$0")/.."

watched="src migrations recipes demo Cargo.toml Cargo.lock .sqlx"
stamp=$(mktemp)
program=${CARGO_TARGET_DIR:-target}/debug/teamai
pid=

stop() {
  if [ -n "$pid" ]; then
    kill -TERM "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  fi
  pid=
}
trap 'stop; rm -f "$stamp"; exit 0' TERM INT

changed() {
  for path in $watched; do
    if [ -e "$path" ] && [ -n "$(find "$path" -newer "$stamp" -type f -print -quit)" ]; then return 0; fi
  done
  return 1
}

build_and_run() {
  # Before the build: what changes while it runs is seen after it.
  touch "$stamp"
  if cargo build --locked; then
    stop
    "$program" "$@" &
    pid=$!
  else
    echo "watch: the build failed; waiting for a change" >&2
  fi
}

build_and_run "$@"
while :; do
  # In the background, so that a signal is not kept waiting.
  sleep 1 &
  wait $!
  if changed; then
    echo "watch: the source changed" >&2
    build_and_run "$@"
  fi
done
