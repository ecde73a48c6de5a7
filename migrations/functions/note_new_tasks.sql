-- Writes the events of new tasks. The triggers that write events are for whole statements: a
-- batch of hundreds of tasks pays once.
create or replace function app.note_new_tasks() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.task_events (agency_id, task_id, type, attempt, error_code)
  select n.agency_id, n.id, 'task.' || case n.status when 'running' then 'started' else n.status end, n.attempt,
         n.error ->> 'code'
    from entered n;
  return null;
end $$;

alter function app.note_new_tasks owner to teamai_definer;
revoke all on function app.note_new_tasks from public;
