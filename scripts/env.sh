#!/bin/sh
# Writes .env for the containers, with keys of its own, unless it is there already.
set -eu
cd "$(dirname "$0")/.."
[ -e .env ] && grep -q '^TEAMAI_LOCKER__ROOT_KEY=' .env && exit 0

line() { printf '%s\n' "$1"; }
password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
root_key=$(head -c 32 /dev/urandom | base64)
# A PKCS#8 Ed25519 key is a fixed header and 32 random bytes (RFC 8410).
signing_key=$({ printf '\060\056\002\001\000\060\005\006\003\053\145\160\004\042\004\040'; head -c 32 /dev/urandom; } | base64)

umask 077
{
  line "# Made by scripts/env.sh for this machine alone. Keep it secret; .env.example explains each line."
  line "POSTGRES_PASSWORD=$(password)"
  line "POSTGRES_API_PASSWORD=$(password)"
  line "POSTGRES_WORKER_PASSWORD=$(password)"
  line "REDIS_PASSWORD=$(password)"
  line "TEAMAI_LOCKER__ROOT_KEY=$root_key"
  # In one line: the program takes \n for a line break.
  line "TEAMAI_AUTH__SIGNING_KEY='-----BEGIN PRIVATE KEY-----\\n$signing_key\\n-----END PRIVATE KEY-----'"
} >> .env
echo "made .env with keys for this machine" >&2
