#!/bin/sh
# Starts a new migration under the next free number. A function needs none: its file in
# migrations/functions/ is edited.
set -eu
cd "$(dirname "$0")/.."

name=$(printf '%s' "${1:-}" | tr ' -' '__' | tr '[:upper:]' '[:lower:]')
case $name in
  '' | *[!a-z0-9_]*) echo "usage: make migrate-make NAME=add_something (letters, digits and _)" >&2; exit 2 ;;
esac
last=$(find migrations -name '[0-9]*.sql' | sed 's|.*/0*\([0-9][0-9]*\)_.*|\1|' | sort -n | tail -n 1)
file=$(printf 'migrations/%04d_%s.sql' "$((${last:-0} + 1))" "$name")
cat > "$file" <<'SQL'
-- Say here what changes and why. See migrations/README.md: until 1.0 the baseline is edited in place, after
-- it expand first, contract in a later release.
set local role teamai_owner;

reset role;
SQL
echo "$file"
