#!/bin/sh
# The whole stack on this machine: containers where an engine answers, else private
# servers in the background, with their data, log and process id in .teamai/.
set -eu
cd "$(dirname "$0")/.."

dir=.teamai
built=${CARGO_TARGET_DIR:-target}/debug
binary=$built/teamai

say() { printf '%s\n' "$*" >&2; }

compose() {
  if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

engine_answers() {
  command -v docker >/dev/null 2>&1 && docker info >/dev/null 2>&1 &&
    { docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null 2>&1; }
}

private_is_up() { [ -s $dir/pid ] && kill -0 "$(cat $dir/pid)" 2>/dev/null; }
containers_are_up() { engine_answers && [ -n "$(compose ps -q api 2>/dev/null)" ]; }

# Which stack is up: private, containers or none.
kind() {
  if private_is_up; then echo private; elif containers_are_up; then echo containers; else echo none; fi
}

# One value of the line that `teamai dev` printed.
value() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" $dir/ready.json; }

# The variables by which a program joins the private stack; a line break in a key stays \n.
private_env() {
  for name in DATABASE_URL TEAMAI_DATABASE__WORKER_URL TEAMAI_DATABASE__OWNER_URL REDIS_URL \
    TEAMAI_LOCKER__ROOT_KEY TEAMAI_AUTH__SIGNING_KEY; do
    export "$name=$(value $name)"
  done
}

none() { say "no stack is up; start one with \`make up\`"; exit 1; }

urls() {
  say "API            $1"
  say "documents      $1/docs"
  say "specification  $1/openapi.json"
}

up_private() {
  scripts/setup.sh
  cargo build --locked
  mkdir -p $dir
  : > $dir/ready.json
  chmod 600 $dir/ready.json
  nohup "$binary" dev --data-dir $dir/data > $dir/ready.json 2> $dir/log < /dev/null &
  echo $! > $dir/pid
  patience=600
  while [ ! -s $dir/ready.json ]; do
    if ! private_is_up || [ $patience -eq 0 ]; then
      say "the private stack does not start:"
      tail -n 20 $dir/log >&2
      rm -f $dir/pid
      exit 1
    fi
    patience=$((patience - 1))
    sleep 0.2
  done
  say "no container engine answers, so the stack runs on private servers; data and log are in $dir/"
  urls "$(value api)"
}

up_containers() {
  scripts/env.sh
  compose up -d --build
  patience=600
  until compose exec -T api teamai healthcheck >/dev/null 2>&1; do
    if [ $patience -eq 0 ]; then
      compose ps >&2
      compose logs --tail 20 migrate api >&2
      say "the API is not ready after 10 min"
      exit 1
    fi
    patience=$((patience - 1))
    sleep 1
  done
  urls "http://127.0.0.1:8000"
}

up() {
  case $(kind) in
    private) say "the private stack is up already"; urls "$(value api)" ;;
    *) if engine_answers; then up_containers; else up_private; fi ;;
  esac
}

down() {
  case $(kind) in
    private)
      pid=$(cat $dir/pid)
      kill -TERM "$pid"
      patience=300
      while kill -0 "$pid" 2>/dev/null && [ $patience -gt 0 ]; do patience=$((patience - 1)); sleep 0.1; done
      rm -f $dir/pid
      say "stopped; the data stays in $dir/data" ;;
    containers) compose down ;;
    none) say "nothing is up" ;;
  esac
}

logs() {
  case $(kind) in
    private) exec tail -n 100 -f $dir/log ;;
    containers) compose logs --tail 100 -f ;;
    none) none ;;
  esac
}

list() {
  case $(kind) in
    private)
      say "private stack, process $(cat $dir/pid)"
      say "Postgres, process $(sed -n 's/.*"postgres_pid":\([0-9]*\).*/\1/p' $dir/ready.json)"
      say "Redis, process $(sed -n 's/.*"redis_pid":\([0-9]*\).*/\1/p' $dir/ready.json)"
      urls "$(value api)" ;;
    containers) compose ps ;;
    none) say "nothing is up" ;;
  esac
}

# A command in a container; without a terminal when there is none, as in a pipe.
in_container() {
  # shellcheck disable=SC2046 # no word at all with a terminal
  compose exec $([ -t 0 ] || echo -T) "$@"
}

backend_shell() {
  case $(kind) in
    private) private_env; PATH="$(cd "$built" && pwd):$PATH" exec "${SHELL:-/bin/sh}" ;;
    containers) in_container api sh ;;
    none) none ;;
  esac
}

db_shell() {
  case $(kind) in
    private) exec psql "$(value TEAMAI_DATABASE__OWNER_URL)" ;;
    containers) in_container postgres psql -U postgres teamai ;;
    none) none ;;
  esac
}

redis_shell() {
  case $(kind) in
    private) exec redis-cli --no-auth-warning -u "$(value REDIS_URL)" ;;
    containers) in_container redis sh -c 'REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli' ;;
    none) none ;;
  esac
}

migrate() {
  case $(kind) in
    private) private_env; exec "$binary" migrate ;;
    containers) compose run --rm migrate ;;
    none) cargo build --locked && exec "$binary" migrate ;;
  esac
}

reset() {
  case $(kind) in
    containers) compose down --volumes ;;
    *)
      down
      # Where root's directories are closed to Postgres, its data lies elsewhere, behind a link.
      if [ -L $dir/data/servers ]; then rm -rf "$(readlink -f $dir/data/servers)"; fi
      rm -rf $dir/data ;;
  esac
  up
}

case ${1:-} in
  up | down | logs | migrate | reset) "$1" ;;
  ps) list ;;
  shell) backend_shell ;;
  db) db_shell ;;
  redis) redis_shell ;;
  *) say "usage: $0 up|down|logs|ps|shell|db|redis|migrate|reset"; exit 2 ;;
esac
