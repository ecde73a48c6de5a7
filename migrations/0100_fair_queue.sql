-- What fairness rests on: which tasks have a ticket, who paused what, how many may
-- run at once, and which workers there are.
set local role teamai_owner;

-- dispatched_at says where a task's ticket is:
--   null        it has none and wants one: the backlog
--   a time      one was made then: the task waits in Redis, or runs
--   'infinity'  it waits for something else than a worker, an approval or a budget
-- Two partial indexes keep these apart, so that neither the backlog nor what waits for
-- people is read to find what is out. Claims and heartbeats change neither.
create index task_queue_backlog on task_queue (agency_id, team_id, agent_instance_id, recipe_id, priority desc, run_at)
  where dispatched_at is null and finished_at is null;
create index task_queue_out on task_queue (agency_id) where dispatched_at < 'infinity' and finished_at is null;

-- The ticket follows the status, whoever changes it: what is queued again wants one,
-- what waits for somebody wants none.
create function app.ticket_follows() returns trigger language plpgsql
as $$
begin
  new.dispatched_at := case when new.status = 'queued' then null else 'infinity'::timestamptz end;
  return new;
end $$;
create trigger task_queue_ticket_follows before update of status on task_queue
  for each row when (new.status is distinct from old.status and new.status in ('queued', 'waiting', 'parked'))
  execute function app.ticket_follows();

-- Work that is neither dispatched nor claimed: of this team and this agent, NULL for any.
create table queue_pauses (
  id                uuid primary key,
  agency_id         uuid not null references agencies on delete cascade,
  team_id           uuid,
  agent_instance_id uuid,
  reason            text check (length(reason) between 1 and 500),
  created_by        uuid,
  created_at        timestamptz not null default clock_timestamp(),
  constraint queue_pauses_tenant_key unique (agency_id, id),
  constraint queue_pauses_scope_key unique nulls not distinct (agency_id, team_id, agent_instance_id),
  constraint queue_pauses_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id) on delete cascade,
  constraint queue_pauses_agent_unknown foreign key (agency_id, agent_instance_id)
    references agent_instances (agency_id, id) on delete cascade,
  constraint queue_pauses_creator_unknown foreign key (agency_id, created_by)
    references users (agency_id, id) on delete set null (created_by)
);
select app.protect('queue_pauses');
grant select, insert, delete on queue_pauses to teamai_api;
grant update (reason, created_by) on queue_pauses to teamai_api;
grant select on queue_pauses to teamai_worker;

-- Tasks of a team that may run at once; NULL is no limit of its own.
alter table teams add column max_concurrent_tasks integer check (max_concurrent_tasks between 1 and 100000);
grant update (max_concurrent_tasks) on teams to teamai_api;

-- Executions at once of an agency's tasks under this cookbook; NULL is no limit.
alter table cookbooks add column max_concurrent_executions bigint
  generated always as ((document #>> '{subscription_limits,max_concurrent_executions}')::bigint) stored;

-- The processes that run tasks. No tenant's rows: a worker runs everybody's.
create table workers (
  name        text primary key check (length(name) between 1 and 200),
  concurrency integer not null check (concurrency > 0),
  -- tasks in flight, of all agencies
  running     integer not null default 0 check (running >= 0),
  started_at  timestamptz not null default clock_timestamp(),
  seen_at     timestamptz not null default clock_timestamp(),
  -- when it last claimed a task, to the second
  claimed_at  timestamptz
);
grant select on workers to teamai_api;
grant select, insert, update, delete on workers to teamai_worker;

reset role;
