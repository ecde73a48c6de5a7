-- Writes new tasks of the context's agency alone. A batch that many agencies share names each of
-- them in app.batch, for its statement: to enter one context after the other costs four
-- times as much, and who writes the batch is the same. Outcomes as in app.submit_groups.
create or replace function app.submit_tasks(p app.submission[])
  returns table (id uuid, outcome text, team_id uuid, created_at timestamptz)
  language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_batch uuid[] := nullif(current_setting('app.batch', true), '');
begin
  if exists (select from unnest(p) u where (u.agency_id = app.agency() or u.agency_id = any (v_batch)) is not true) then
    raise exception 'a task of another agency than the context''s' using errcode = 'insufficient_privilege';
  end if;
  return query select w.id, w.outcome, w.team_id, w.created_at from app.write_tasks(p) w;
end $$;

alter function app.submit_tasks owner to teamai_definer;
revoke all on function app.submit_tasks from public;
grant execute on function app.submit_tasks to teamai_api;
