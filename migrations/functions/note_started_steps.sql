-- Writes the event that a step has started, with the intent of its first call. A step
-- without a call is over in a moment: its start has no event. Call numbers go on after a
-- takeover, so that there is one start however often a step is tried.
create or replace function app.note_started_steps() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.task_events (agency_id, task_id, type, attempt, node_id, occurrence)
  select n.agency_id, n.task_id, 'step.started', 1, n.node_id, n.occurrence
    from entered n where n.call_no = 1;
  return null;
end $$;

alter function app.note_started_steps owner to teamai_definer;
revoke all on function app.note_started_steps from public;
