-- Writes the events of steps that ended, as app.note_new_tasks does.
create or replace function app.note_new_steps() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.task_events (agency_id, task_id, type, attempt, node_id, occurrence, error_code)
  select n.agency_id, n.task_id, 'step.' || n.status, n.attempts, n.node_id, n.occurrence, n.error ->> 'code'
    from (select * from entered order by finished_at, node_id, occurrence) n;
  return null;
end $$;

alter function app.note_new_steps owner to teamai_definer;
revoke all on function app.note_new_steps from public;
