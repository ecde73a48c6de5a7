# Every command of the README. `make help` lists them.
#
# SQLX_OFFLINE: queries are checked against the committed .sqlx directory, so that
# no build needs a database.

export SQLX_OFFLINE ?= true

# Where cargo builds, as cargo itself is told.
TARGET := $(or $(CARGO_TARGET_DIR),target)
TEAMAI := $(TARGET)/debug/teamai

.DEFAULT_GOAL := help
.PHONY: help setup build demo test up down logs ps shell-backend db-shell redis-shell \
	migrate migrate-make db-reset bench fuzz soak fmt lint openapi

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: C compiler, Postgres 15+, Redis 7+
	@scripts/setup.sh

build: setup
	@cargo build --locked

demo: build ## run the main job once, on real input, in a private stack (MODEL=provider/model)
	@$(TEAMAI) demo

test: setup ## format, lints, architecture and every test, against private Postgres and Redis
	@scripts/test.sh

up: ## start the whole stack: containers where an engine answers, else private servers
	@scripts/stack.sh up

down: ## stop the stack; the data stays
	@scripts/stack.sh down

logs: ## follow the stack's logs
	@scripts/stack.sh logs

ps: ## say what of the stack is running
	@scripts/stack.sh ps

shell-backend: ## a shell that can reach the stack
	@scripts/stack.sh shell

db-shell: ## psql in the stack's database
	@scripts/stack.sh db

redis-shell: ## redis-cli in the stack's Redis
	@scripts/stack.sh redis

migrate: ## bring the schema of the running stack (or of DATABASE_URL) up to date
	@scripts/stack.sh migrate

migrate-make: ## start a new migration: make migrate-make NAME=add_something
	@scripts/migrate-make.sh "$(NAME)"

db-reset: ## throw the stack's data away and start again
	@scripts/stack.sh reset

bench: setup ## measure side by side, in a release build
	@cargo build --release --locked
	@$(TARGET)/release/teamai bench

fuzz: ## fuzz what reads strangers' text: make fuzz DURATION=600 TARGETS="url token"
	@DURATION="$(DURATION)" TARGETS="$(TARGETS)" scripts/fuzz.sh

soak: setup ## kill, stop and cut everything under load, and check the books: make soak DURATION=900 SEED=
	@DURATION="$(DURATION)" SEED="$(SEED)" scripts/soak.sh

fmt: ## format the code
	@cargo fmt

lint: ## what the format, the lints and the licences say
	@cargo fmt --check
	@cargo clippy --all-targets --locked -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; else echo "cargo-deny is not installed: licences not checked"; fi

openapi: build ## write docs/openapi.json from the code
	@$(TEAMAI) openapi > docs/openapi.json
