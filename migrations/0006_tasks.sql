-- Tasks, their steps, the intents of calls, and the ledger.
set local role teamai_owner;

create table task_queue (
  id                  uuid primary key,
  agency_id           uuid not null references agencies on delete cascade,
  team_id             uuid not null,
  agent_instance_id   uuid not null,
  created_by          uuid,
  recipe_id           uuid not null references recipes on delete restrict,
  recipe_slug         text not null,
  recipe_version      text not null,
  experiment_id       uuid,
  variant             text,
  subject             text check (length(subject) between 1 and 255),
  status              text not null default 'queued'
    check (status in ('queued', 'running', 'waiting', 'parked', 'completed', 'failed', 'cancelled', 'dead')),
  priority            smallint not null default 5 check (priority between 0 and 9),
  inputs              jsonb not null default '{}' check (jsonb_typeof(inputs) = 'object'),
  -- {"content_type": ..., "filename": ..., "value": ...}
  output              jsonb,
  -- {"code": ..., "message": ..., "node_id": ..., "field": ...}
  error               jsonb,
  -- claims so far; a crash counts, a hand-back at shutdown does not
  attempt             integer not null default 0 check (attempt >= 0),
  -- raised at each claim: who holds an older one may write nothing more
  epoch               bigint not null default 0 check (epoch >= 0),
  lease_until         timestamptz,
  worker              text,
  dispatch_id         uuid,
  dispatched_at       timestamptz,
  cancel_requested_at timestamptz,
  tokens_used         bigint not null default 0 check (tokens_used >= 0),
  cost_usd            numeric(20, 10) not null default 0 check (cost_usd >= 0),
  budget_usd          numeric(20, 10) check (budget_usd >= 0),
  steps_done          integer not null default 0,
  steps_total         integer not null check (steps_total > 0),
  tags                text[] not null default '{}',
  created_at          timestamptz not null default clock_timestamp(),
  run_at              timestamptz not null default clock_timestamp(),
  started_at          timestamptz,
  finished_at         timestamptz,
  constraint task_queue_tenant_key unique (agency_id, id),
  constraint task_queue_agent_unknown foreign key (agency_id, agent_instance_id) references agent_instances (agency_id, id),
  constraint task_queue_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id),
  constraint task_queue_creator_unknown foreign key (agency_id, created_by) references users (agency_id, id) on delete set null (created_by),
  constraint task_queue_experiment_unknown foreign key (agency_id, experiment_id) references experiments (agency_id, id) on delete set null (experiment_id),
  constraint task_queue_finished check ((status in ('completed', 'failed', 'cancelled', 'dead')) = (finished_at is not null)),
  constraint task_queue_lease check (status <> 'running' or lease_until is not null)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
-- Predicates use finished_at, not status: claims and heartbeats then stay
-- heap-only updates. Lists by agency go down task_queue_tenant_key.
create index task_queue_open on task_queue (run_at) where finished_at is null;
create index task_queue_open_by_agency on task_queue (agency_id, run_at) where finished_at is null;
create index task_queue_finished on task_queue (agency_id, finished_at) where finished_at is not null;
select app.protect('task_queue');
grant select on task_queue to teamai_api, teamai_worker;
grant update (status, cancel_requested_at, finished_at) on task_queue to teamai_api;

create table idempotency_keys (
  agency_id    uuid not null references agencies on delete cascade,
  key          text not null check (length(key) between 1 and 255),
  request_hash bytea not null check (octet_length(request_hash) = 32),
  task_id      uuid not null,
  created_at   timestamptz not null default clock_timestamp(),
  primary key (agency_id, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);
select app.protect('idempotency_keys');
grant select, delete on idempotency_keys to teamai_api;

-- The committed result of a node; occurrence counts the items of a for_each.
create table task_steps (
  task_id     uuid not null,
  agency_id   uuid not null,
  node_id     text not null,
  occurrence  integer not null check (occurrence >= 0),
  status      text not null check (status in ('completed', 'failed', 'skipped')),
  attempts    integer not null default 1 check (attempts >= 0),
  output      jsonb,
  error       jsonb,
  tokens_used bigint not null default 0,
  cost_usd    numeric(20, 10) not null default 0,
  started_at  timestamptz not null,
  finished_at timestamptz not null,
  primary key (task_id, node_id, occurrence),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade
);
select app.protect('task_steps');
grant select on task_steps to teamai_api, teamai_worker;

-- Written before a call leaves. `open` until its ledger line is written.
create table call_intents (
  task_id      uuid not null,
  agency_id    uuid not null,
  node_id      text not null,
  occurrence   integer not null,
  call_no      integer not null check (call_no > 0),
  epoch        bigint not null,
  kind         text not null check (kind in ('llm', 'http', 'crawl')),
  provider     text,
  model        text,
  request_hash bytea not null,
  reserved_usd numeric(20, 10) not null default 0 check (reserved_usd >= 0),
  price_id     uuid references prices,
  state        text not null default 'open' check (state in ('open', 'settled', 'unknown')),
  created_at   timestamptz not null default clock_timestamp(),
  primary key (task_id, node_id, occurrence, call_no),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade
) with (fillfactor = 70);
select app.protect('call_intents');
grant select on call_intents to teamai_api, teamai_worker;

-- The last line of each agency's chain.
create table ledger_heads (
  agency_id uuid primary key references agencies on delete restrict,
  seq       bigint not null,
  hash      bytea not null
) with (fillfactor = 50);
select app.protect('ledger_heads');

-- The ledger. Append-only: no app role may change or remove a line, and a
-- correction is a new line. No reference to the task or the agent: they may go,
-- the line stays.
create table audit_logs (
  id                uuid primary key,
  agency_id         uuid not null references agencies on delete restrict,
  task_id           uuid not null,
  node_id           text not null,
  occurrence        integer not null,
  call_no           integer not null,
  team_id           uuid not null,
  agent_instance_id uuid not null,
  recipe_id         uuid not null,
  kind              text not null check (kind in ('llm', 'http', 'crawl', 'execution')),
  provider          text,
  model             text,
  status            text not null check (status in ('success', 'failed', 'timeout', 'unknown')),
  tokens_used       bigint not null default 0 check (tokens_used >= 0),
  -- disjoint buckets, see base::usage; raw_usage is what the provider sent
  usage             jsonb,
  raw_usage         jsonb,
  -- what the provider charged us for the agency; NULL when there is no price
  cost_usd          numeric(20, 10) check (cost_usd >= 0),
  -- what the agency is billed: the recipe's cost_per_unit on an execution line
  billed_usd        numeric(20, 10) not null default 0,
  price_id          uuid references prices,
  estimated         boolean not null default false,
  flags             text[] not null default '{}',
  execution_time_ms bigint not null default 0 check (execution_time_ms >= 0),
  request_id        text,
  "timestamp"       timestamptz not null,
  seq               bigint not null,
  prev_hash         bytea not null,
  hash              bytea not null,
  constraint audit_logs_call_key unique (task_id, node_id, occurrence, call_no),
  constraint audit_logs_chain_key unique (agency_id, seq)
);
create index audit_logs_by_time on audit_logs (agency_id, "timestamp");
select app.protect('audit_logs');
revoke update, delete on audit_logs from teamai_definer;
create trigger audit_logs_append_only before update or delete on audit_logs
  for each row execute function app.refuse_change();
create trigger audit_logs_no_truncate before truncate on audit_logs
  for each statement execute function app.refuse_change();
grant select on audit_logs to teamai_api, teamai_worker;

-- One row for each finished run of a recipe under test.
create table ab_test_results (
  id                uuid primary key,
  agency_id         uuid not null references agencies on delete restrict,
  experiment_id     uuid not null,
  task_id           uuid not null,
  recipe_id         uuid not null references recipes on delete restrict,
  variant           text not null,
  success_metric    text not null check (success_metric in ('quality_score', 'execution_time', 'token_cost')),
  -- in the metric's unit: a score 0 to 1, milliseconds, or USD; NULL while unknown
  metric_value      numeric(20, 10),
  quality_score     numeric(20, 10) check (quality_score between 0 and 1),
  execution_time_ms bigint not null check (execution_time_ms >= 0),
  tokens_used       bigint not null,
  token_cost        numeric(20, 10) not null,
  outcome           text not null check (outcome in ('completed', 'failed')),
  created_at        timestamptz not null default clock_timestamp(),
  constraint ab_test_results_task_key unique (task_id),
  foreign key (agency_id, experiment_id) references experiments (agency_id, id)
);
create index ab_test_results_by_variant on ab_test_results (agency_id, experiment_id, variant);
select app.protect('ab_test_results');
grant select on ab_test_results to teamai_api, teamai_worker;

reset role;
