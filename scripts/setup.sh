#!/bin/sh
# Installs what the demonstration and the tests need and do not find: a C compiler,
# Postgres 15 or newer, Redis 7 or newer. Uses apt as root or through sudo; elsewhere
# it says what to install. Says what it does before it does it.
set -eu

say() { printf '%s\n' "setup: $*" >&2; }

# The version number that a program prints, major part only; empty without it.
major() { "$@" 2>/dev/null | sed -n 's/[^0-9]*\([0-9][0-9]*\)\..*/\1/p' | head -n 1; }

has_postgres() {
  for bin in /usr/lib/postgresql/*/bin "$(dirname "$(command -v postgres || echo /nowhere/postgres)")"; do
    if [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ]; then
      found=$(major "$bin/postgres" --version)
      if [ "${found:-0}" -ge 15 ]; then return 0; fi
    fi
  done
  return 1
}

has_redis() {
  command -v redis-server >/dev/null 2>&1 || return 1
  found=$(redis-server --version 2>/dev/null | sed -n 's/.*v=\([0-9]*\)\..*/\1/p')
  [ "${found:-0}" -ge 7 ]
}

missing() {
  wanted=
  command -v cc >/dev/null 2>&1 || wanted="$wanted build-essential"
  has_postgres || wanted="$wanted postgresql"
  has_redis || wanted="$wanted redis-server"
  printf '%s' "${wanted# }"
}

if ! command -v cargo >/dev/null 2>&1; then
  say "Rust is not installed. Install it from https://rustup.rs and start again."
  exit 1
fi

packages=$(missing)
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  say "missing: $packages (named as on Debian). Install a C compiler, Postgres 15 or newer and Redis 7 or newer."
  exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
  as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  say "missing: $packages. Neither root nor sudo without a password, so run this yourself:"
  say "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $packages"
  exit 1
fi

say "installing with apt: $packages"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
# shellcheck disable=SC2086 # one word a package
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $packages >&2

packages=$(missing)
if [ -n "$packages" ]; then
  say "apt installed versions that are too old: Postgres 15 or newer and Redis 7 or newer are needed ($packages)."
  say "Add https://apt.postgresql.org or https://packages.redis.io and start again."
  exit 1
fi
say "done"
