-- Schedules: tasks that are made again and again, and what became of each time.
set local role teamai_owner;

create table schedules (
  id                uuid primary key,
  agency_id         uuid not null references agencies on delete cascade,
  agent_instance_id uuid not null,
  created_by        uuid,
  -- an id or a slug, looked up anew at each time
  recipe            text not null check (length(recipe) between 1 and 100),
  version           text check (length(version) <= 64),
  inputs            jsonb not null default '{}' check (jsonb_typeof(inputs) = 'object'),
  priority          smallint not null default 5 check (priority between 0 and 9),
  subject           text check (length(subject) between 1 and 255),
  tags              text[] not null default '{}',
  cron              text not null check (length(cron) between 1 and 200),
  time_zone         text not null check (length(time_zone) between 1 and 64),
  missed            text not null default 'run_once' check (missed in ('skip', 'run_once', 'run_all')),
  enabled           boolean not null default true,
  -- NULL while disabled
  next_run_at       timestamptz,
  -- until when peers leave it to the worker that is at it
  held_until        timestamptz,
  last_run_at       timestamptz,
  last_task_id      uuid,
  last_error        text,
  -- in a row; 0 after a time that made a task
  failures          integer not null default 0 check (failures >= 0),
  created_at        timestamptz not null default clock_timestamp(),
  updated_at        timestamptz not null default clock_timestamp(),
  constraint schedules_tenant_key unique (agency_id, id),
  constraint schedules_agent_unknown foreign key (agency_id, agent_instance_id) references agent_instances (agency_id, id),
  constraint schedules_creator_unknown foreign key (agency_id, created_by) references users (agency_id, id) on delete set null (created_by),
  constraint schedules_next check (enabled = (next_run_at is not null))
) with (fillfactor = 70);
create index schedules_due on schedules (next_run_at) where enabled;
select app.protect('schedules');
grant select, delete on schedules to teamai_api;
-- What became of its times is the functions' to say.
grant insert (id, agency_id, agent_instance_id, created_by, recipe, version, inputs, priority, subject, tags, cron,
              time_zone, missed, enabled, next_run_at) on schedules to teamai_api;
grant update (agent_instance_id, recipe, version, inputs, priority, subject, tags, cron, time_zone, missed, enabled,
              next_run_at, held_until, failures, last_error, updated_at) on schedules to teamai_api;

-- One row for each time of a schedule that came: what keeps a second task away.
create table schedule_fires (
  schedule_id uuid not null,
  agency_id   uuid not null,
  fire_at     timestamptz not null,
  -- NULL where none could be made. No reference: the task may go before
  task_id     uuid,
  error       text,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (agency_id, schedule_id, fire_at),
  foreign key (agency_id, schedule_id) references schedules (agency_id, id) on delete cascade
);
create index schedule_fires_age on schedule_fires (created_at);
select app.protect('schedule_fires');
grant select on schedule_fires to teamai_api;

-- A schedule's task may be under test, as any other: whoever makes it assigns it.
grant insert on experiments to teamai_worker;
grant select, insert on experiment_assignments to teamai_worker;

reset role;
set local role teamai_definer;

-- Schedules whose time has come, held for the caller for a while. `now` is the
-- database's: a worker's own clock decides nothing.
create function app.due_schedules(p_limit integer, p_hold_seconds integer)
returns table (id uuid, agency_id uuid, agent_instance_id uuid, created_by uuid, recipe text, version text, inputs jsonb,
               priority smallint, subject text, tags text[], cron text, time_zone text, missed text,
               due_at timestamptz, now timestamptz)
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with due as (
    select s.id from public.schedules s
      join public.agencies g on g.id = s.agency_id and g.status = 'active'
     where s.enabled and s.next_run_at <= clock_timestamp()
       and (s.held_until is null or s.held_until < clock_timestamp())
     order by s.next_run_at limit p_limit for update of s skip locked
  )
  update public.schedules s set held_until = clock_timestamp() + make_interval(secs => p_hold_seconds)
    from due where s.id = due.id
  returning s.id, s.agency_id, s.agent_instance_id, s.created_by, s.recipe, s.version, s.inputs, s.priority, s.subject,
            s.tags, s.cron, s.time_zone, s.missed, s.next_run_at, clock_timestamp()
$$;

-- Makes the task of one time and moves the schedule on, in one transaction. Only for
-- who still finds the schedule at p_due_at, and only once for a time. The agency is
-- the schedule's. Gives app.submit_tasks' outcome, or `gone`.
create function app.fire_schedule(p_id uuid, p_due_at timestamptz, p_fire_at timestamptz, p_next timestamptz,
                                  p_task app.submission) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_agency uuid;
  v_outcome text;
begin
  select s.agency_id into v_agency from public.schedules s
   where s.id = p_id and s.enabled and s.next_run_at = p_due_at for update;
  if not found then
    return 'gone';
  end if;
  p_task.agency_id := v_agency;
  insert into public.schedule_fires (schedule_id, agency_id, fire_at, task_id)
  values (p_id, v_agency, p_fire_at, p_task.id) on conflict do nothing;
  if not found then
    -- made before, and the schedule was put back to it
    update public.schedules s
       set next_run_at = p_next, enabled = p_next is not null, held_until = null where s.id = p_id;
    return 'gone';
  end if;
  select r.outcome into v_outcome from app.write_tasks(array[p_task]) r;
  if v_outcome <> 'created' then
    -- nothing was written but the fire
    delete from public.schedule_fires f where f.agency_id = v_agency and f.schedule_id = p_id and f.fire_at = p_fire_at;
    return v_outcome;
  end if;
  -- the reconciler that made it pushes its first ticket
  update public.task_queue t set dispatched_at = null where t.id = p_task.id;
  update public.schedules s
     set next_run_at = p_next, enabled = p_next is not null, held_until = null, last_run_at = p_fire_at,
         last_task_id = p_task.id, last_error = null, failures = 0
   where s.id = p_id;
  return v_outcome;
end $$;

-- Moves a schedule on past a time that makes no task: one that was missed and is to be
-- skipped, or, with an error, one that failed. Says whether it was still at p_due_at.
create function app.pass_schedule(p_id uuid, p_due_at timestamptz, p_fire_at timestamptz, p_next timestamptz, p_error text)
returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_agency uuid;
begin
  update public.schedules s
     set next_run_at = p_next, enabled = p_next is not null, held_until = null,
         last_error = coalesce(p_error, s.last_error),
         failures = s.failures + case when p_error is null then 0 else 1 end
   where s.id = p_id and s.enabled and s.next_run_at = p_due_at
  returning s.agency_id into v_agency;
  if not found then
    return false;
  end if;
  if p_error is not null then
    insert into public.schedule_fires (schedule_id, agency_id, fire_at, error)
    values (p_id, v_agency, p_fire_at, p_error) on conflict do nothing;
  end if;
  return true;
end $$;

revoke all on function app.due_schedules(integer, integer),
  app.fire_schedule(uuid, timestamptz, timestamptz, timestamptz, app.submission),
  app.pass_schedule(uuid, timestamptz, timestamptz, timestamptz, text) from public;
grant execute on function app.due_schedules(integer, integer) to teamai_worker;
grant execute on function app.fire_schedule(uuid, timestamptz, timestamptz, timestamptz, app.submission) to teamai_worker;
grant execute on function app.pass_schedule(uuid, timestamptz, timestamptz, timestamptz, text) to teamai_worker;

reset role;
