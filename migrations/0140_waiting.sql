-- What a task waits for: approvals, sub-recipes, the next try of a node.
set local role teamai_owner;

alter table task_queue
  -- of a sub-recipe's task: the node that it runs for
  add column parent_task_id    uuid,
  add column parent_node_id    text,
  add column parent_occurrence integer,
  add column depth             smallint not null default 0,
  -- whether it ever asked somebody or started another task, which its end has to look after
  add column waited            boolean not null default false,
  -- while it waits: when it goes on whatever happens
  add column wake_at           timestamptz;
alter table task_queue add constraint task_queue_parent
  check ((parent_task_id is null) = (parent_node_id is null) and (parent_task_id is null) = (parent_occurrence is null)) not valid;
alter table task_queue validate constraint task_queue_parent;
-- One task for each node and item, whatever is killed. No reference: a parent may be pruned first.
create unique index task_queue_child on task_queue (parent_task_id, parent_node_id, parent_occurrence)
  where parent_task_id is not null;
create index task_queue_wake on task_queue (wake_at) where wake_at is not null;

alter table task_steps add column cached boolean not null default false;

-- The tries of a node that has no result yet, so that the next claim goes on counting.
create table node_progress (
  task_id     uuid not null,
  agency_id   uuid not null,
  node_id     text not null,
  occurrence  integer not null check (occurrence >= 0),
  -- failed tries so far
  attempts    integer not null check (attempts > 0),
  -- what they came to
  tokens_used bigint not null check (tokens_used >= 0),
  cost_usd    numeric(20, 10) not null check (cost_usd >= 0),
  -- the last one's
  error       jsonb,
  started_at  timestamptz not null,
  -- not tried again before
  resume_at   timestamptz not null,
  primary key (task_id, node_id, occurrence),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade
);
select app.protect('node_progress');
grant select on node_progress to teamai_worker;

-- A question to people, and its answer.
create table approvals (
  id             uuid primary key,
  agency_id      uuid not null references agencies on delete cascade,
  team_id        uuid not null,
  task_id        uuid not null,
  node_id        text not null,
  occurrence     integer not null check (occurrence >= 0),
  -- 0 for an Approval node; for a lost call its call_no
  round          integer not null check (round >= 0),
  kind           text not null check (kind in ('approval', 'lost_call')),
  message        text not null,
  -- JSON Schema of the answer
  form           jsonb,
  -- roles, e-mail addresses or ids of people; empty for everybody who may run the task
  approvers      text[] not null,
  status         text not null default 'open' check (status in ('open', 'approved', 'rejected', 'expired', 'closed')),
  payload        jsonb,
  decided_by     uuid,
  decided_by_key uuid,
  decided_at     timestamptz,
  created_at     timestamptz not null default clock_timestamp(),
  expires_at     timestamptz not null,
  constraint approvals_tenant_key unique (agency_id, id),
  constraint approvals_once unique (task_id, node_id, occurrence, round),
  constraint approvals_decided check ((status = 'open') = (decided_at is null)),
  foreign key (agency_id, team_id) references teams (agency_id, id),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade,
  foreign key (agency_id, decided_by) references users (agency_id, id) on delete set null (decided_by),
  foreign key (agency_id, decided_by_key) references api_keys (agency_id, id) on delete set null (decided_by_key)
);
create index approvals_by_team on approvals (agency_id, team_id);
create index approvals_by_decider on approvals (agency_id, decided_by) where decided_by is not null;
create index approvals_by_key on approvals (agency_id, decided_by_key) where decided_by_key is not null;
select app.protect('approvals');
grant select on approvals to teamai_api, teamai_worker;
grant update (status, payload, decided_by, decided_by_key, decided_at) on approvals to teamai_api;
grant update (status, decided_at) on approvals to teamai_worker;

-- News for tasks that may wait. No unique key and no reference: whoever brings news
-- never waits for another transaction, so that it can be brought under any lock. Who
-- reads it compares the agency in place of a reference.
create table task_wakes (
  id        bigint generated always as identity primary key,
  agency_id uuid not null,
  task_id   uuid not null,
  -- the task it was started by has ended
  cancel    boolean not null default false
);
select app.protect('task_wakes');
-- Not the cancellation, which is app.task_ended's to bring.
grant insert (agency_id, task_id) on task_wakes to teamai_api;

reset role;
set local role teamai_definer;

-- A task that ends closes its questions, stops the tasks that it started, and tells
-- the one that started it.
create function app.task_ended() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if new.waited then
    update public.approvals a set status = 'closed', decided_at = clock_timestamp()
     where a.agency_id = new.agency_id and a.task_id = new.id and a.status = 'open';
    insert into public.task_wakes (agency_id, task_id, cancel)
    select c.agency_id, c.id, true from public.task_queue c
     where c.parent_task_id = new.id and c.agency_id = new.agency_id and c.finished_at is null;
  end if;
  if new.parent_task_id is not null then
    insert into public.task_wakes (agency_id, task_id) values (new.agency_id, new.parent_task_id);
  end if;
  return null;
end $$;

-- Puts waiting tasks back into the queue: those whose time has come, and those with
-- news. A task that is to be cancelled is ended by its claim or its worker. Waits for
-- no lock; what is held elsewhere is for the next look. Gives how many tasks go on.
create function app.wake_waiting(p_limit integer) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_timed integer;
  v_told integer;
begin
  with due as (
    select t.id from public.task_queue t
     where t.wake_at <= clock_timestamp()
     order by t.wake_at limit p_limit for update of t skip locked
  )
  update public.task_queue t
     set wake_at = null,
         status = case when t.status = 'waiting' then 'queued' else t.status end,
         run_at = case when t.status = 'waiting' then clock_timestamp() else t.run_at end,
         dispatched_at = case when t.status = 'waiting' then null else t.dispatched_at end
    from due where t.id = due.id;
  get diagnostics v_timed = row_count;

  with news as (
    select w.id as wake_id, w.cancel, t.id
      from public.task_wakes w join public.task_queue t on t.agency_id = w.agency_id and t.id = w.task_id
      -- one that runs looks for itself, and is told if it comes to wait
     where t.status <> 'running' or w.cancel
     order by w.id limit p_limit for update of w, t skip locked
  ), heard as (
    delete from public.task_wakes w using news n where w.id = n.wake_id
  )
  update public.task_queue t
     set cancel_requested_at = case when n.cancel then coalesce(t.cancel_requested_at, clock_timestamp())
                                    else t.cancel_requested_at end,
         wake_at = null,
         status = case when t.status = 'waiting' or (n.cancel and t.status = 'parked') then 'queued' else t.status end,
         run_at = case when t.status = 'waiting' or (n.cancel and t.status <> 'running') then clock_timestamp()
                       else t.run_at end,
         dispatched_at = case when t.status = 'running' then t.dispatched_at end
    from (select n.id, bool_or(n.cancel) as cancel from news n group by 1) n
   where t.id = n.id and t.finished_at is null and (n.cancel or t.status = 'waiting');
  get diagnostics v_told = row_count;

  delete from public.task_wakes w
   where not exists (select from public.task_queue t where t.agency_id = w.agency_id and t.id = w.task_id);
  return v_timed + v_told;
end $$;

revoke all on function app.wake_waiting(integer) from public;
grant execute on function app.wake_waiting(integer) to teamai_worker;

reset role;
set local role teamai_owner;

create trigger task_queue_ended after update of finished_at on task_queue
  for each row when (old.finished_at is null and new.finished_at is not null
                     and (new.waited or new.parent_task_id is not null))
  execute function app.task_ended();

reset role;
set local role teamai_definer;

revoke all on function app.task_ended() from public;

reset role;
