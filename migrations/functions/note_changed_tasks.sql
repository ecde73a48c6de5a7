-- Writes the events of tasks whose status changed, as app.note_new_tasks does. A heartbeat
-- changes no status and comes past here with its rows all the same. The hash join is the
-- only sane one for both a batch of one and a batch of a thousand.
create or replace function app.note_changed_tasks() returns trigger
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

alter function app.note_changed_tasks owner to teamai_definer;
revoke all on function app.note_changed_tasks from public;
