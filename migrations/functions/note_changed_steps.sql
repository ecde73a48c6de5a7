-- Writes the event of a step that came to another end than before, as app.note_new_tasks does.
create or replace function app.note_changed_steps() returns trigger
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

alter function app.note_changed_steps owner to teamai_definer;
revoke all on function app.note_changed_steps from public;
