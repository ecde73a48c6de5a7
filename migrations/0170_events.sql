-- What happened to tasks and their steps, in order: read by GET /tasks/{id}/events, and
-- what webhooks are made of. Written by triggers, so that every writer of a task is
-- covered and none of them can forget it.
reset role;
-- Partitions are made and dropped by app.keep_events, which runs as the definer, and
-- only a table's owner may do that. Neither of the two roles can log in.
grant create on schema public to teamai_definer;
set local role teamai_definer;

-- Raised under the lock on the task's row, so that within a task the order of the
-- numbers is the order of the commits: whoever sees one sees all before it. Not cached
-- for that reason. Between tasks the order says nothing.
create sequence app.event_seq as bigint;

-- No references: an event is written by a trigger from the task's own row, a check of
-- each row would double what it costs, and its partition is dropped as a whole.
create table task_events (
  seq        bigint not null default nextval('app.event_seq'),
  agency_id  uuid not null,
  task_id    uuid not null,
  -- task.queued, task.started, step.completed, ...
  type       text not null,
  created_at timestamptz not null default clock_timestamp(),
  -- of the task, or of the step
  attempt    integer,
  node_id    text,
  occurrence integer,
  error_code text
) partition by range (created_at);
-- Not unique, which the numbers are anyway: the check would cost each batch.
create index task_events_by_task on task_events (task_id, seq);
select app.protect('task_events');
grant select on task_events to teamai_api;

-- For days that nobody made a partition for: an insert never fails for want of one.
create table app.task_events_rest partition of task_events default;

reset role;
revoke create on schema public from teamai_definer;
set local role teamai_definer;

-- Partitions of a day, from today on, and away with those that are older than they are
-- kept. Nobody waits for it: what is locked at this moment is left for the next time,
-- and a day whose events are in the rest stays there.
create function app.keep_events(p_keep_days integer) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '250ms' set timezone = 'UTC'
as $$
declare
  v_day date;
  v_name text;
begin
  -- One at a time; the others have nothing to do.
  if not pg_try_advisory_xact_lock(hashtext('app.keep_events')) then
    return;
  end if;
  for v_day in select d::date from generate_series(current_date, current_date + 3, interval '1 day') d loop
    v_name := 'task_events_' || to_char(v_day, 'YYYYMMDD');
    continue when to_regclass('app.' || v_name) is not null;
    begin
      -- Attached and not made in place: that would lock the readers of all partitions out.
      execute format('create table app.%I (like public.task_events including defaults including indexes)', v_name);
      execute format('alter table public.task_events attach partition app.%I for values from (%L) to (%L)',
                     v_name, v_day, v_day + 1);
    exception when lock_not_available or check_violation then
      null;
    end;
  end loop;
  for v_name in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'public.task_events'::regclass and c.relname ~ '^task_events_[0-9]{8}$'
       and to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - p_keep_days
  loop
    begin
      execute format('drop table app.%I', v_name);
    exception when lock_not_available then
      null;
    end;
  end loop;
  delete from app.task_events_rest where created_at < current_date - p_keep_days;
end $$;
revoke all on function app.keep_events(integer) from public;
grant execute on function app.keep_events(integer) to teamai_worker;

-- The newest event of each of these tasks of the context's agency, for a process that
-- streams them. Gives numbers alone: what they stand for is read under row-level security.
create function app.newest_events(p_tasks uuid[], p_since timestamptz[]) returns table (task_id uuid, seq bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select w.id, e.seq
    from unnest(p_tasks, p_since) w (id, since)
   cross join lateral (select e.seq from public.task_events e
                        where e.task_id = w.id and e.created_at >= w.since and e.agency_id = app.agency()
                        order by e.seq desc limit 1) e
$$;
revoke all on function app.newest_events(uuid[], timestamptz[]) from public;
grant execute on function app.newest_events(uuid[], timestamptz[]) to teamai_api;

-- The triggers are for whole statements: a batch of hundreds of tasks pays once.
create function app.note_new_tasks() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.task_events (agency_id, task_id, type, attempt, error_code)
  select n.agency_id, n.id, 'task.' || case n.status when 'running' then 'started' else n.status end, n.attempt,
         n.error ->> 'code'
    from entered n;
  return null;
end $$;

-- A heartbeat changes no status and comes past here with its rows all the same. The
-- hash join is the only sane one for both a batch of one and a batch of a thousand.
create function app.note_changed_tasks() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_mergejoin = off
as $$
begin
  insert into public.task_events (agency_id, task_id, type, attempt, error_code)
  select n.agency_id, n.id, 'task.' || case n.status when 'running' then 'started' else n.status end, n.attempt,
         case when n.status in ('failed', 'dead') then n.error ->> 'code' end
    from entered n join gone o on o.id = n.id
   -- a claim of a task whose worker was lost begins it again
   where n.status <> o.status or (n.status = 'running' and n.epoch <> o.epoch);
  return null;
end $$;

create function app.note_new_steps() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.task_events (agency_id, task_id, type, attempt, node_id, occurrence, error_code)
  select n.agency_id, n.task_id, 'step.' || n.status, n.attempts, n.node_id, n.occurrence, n.error ->> 'code'
    from (select * from entered order by finished_at, node_id, occurrence) n;
  return null;
end $$;

create function app.note_changed_steps() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.task_events (agency_id, task_id, type, attempt, node_id, occurrence, error_code)
  select n.agency_id, n.task_id, 'step.' || n.status, n.attempts, n.node_id, n.occurrence, n.error ->> 'code'
    from (select * from entered order by finished_at, node_id, occurrence) n
    join gone o using (task_id, node_id, occurrence)
   where n.status <> o.status;
  return null;
end $$;

reset role;
set local role teamai_owner;

create trigger task_queue_events_new after insert on task_queue
  referencing new table as entered for each statement execute function app.note_new_tasks();
create trigger task_queue_events_changed after update on task_queue
  referencing old table as gone new table as entered for each statement execute function app.note_changed_tasks();
create trigger task_steps_events_new after insert on task_steps
  referencing new table as entered for each statement execute function app.note_new_steps();
create trigger task_steps_events_changed after update on task_steps
  referencing old table as gone new table as entered for each statement execute function app.note_changed_steps();

reset role;
set local role teamai_definer;

-- After the triggers were made: their owner had to be allowed to name the functions.
revoke all on function app.note_new_tasks(), app.note_changed_tasks(), app.note_new_steps(), app.note_changed_steps()
  from public;
select app.keep_events(30);

reset role;
