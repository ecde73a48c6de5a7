-- Keeps the last word on a task of the context's agency, and, where no judge has scored
-- it, makes it the score of the task's result in its experiment. Gives `unknown`,
-- `not_finished`, `kept` or `counted`.
create or replace function app.rate_task(p_task uuid, p_team uuid, p_by uuid, p_score numeric, p_comment text) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_agency uuid;
  v_status text;
  v_counted boolean;
begin
  -- two at once would both find no feedback before theirs
  select t.agency_id, t.status into v_agency, v_status from public.task_queue t
   where t.id = p_task and t.agency_id = app.agency() and (p_team is null or t.team_id = p_team)
   for no key update;
  if not found then
    return 'unknown';
  end if;
  if v_status not in ('completed', 'failed') then
    return 'not_finished';
  end if;
  update public.ab_test_results r
     set quality_score = p_score,
         metric_value = case when r.success_metric = 'quality_score' then p_score else r.metric_value end
   where r.agency_id = v_agency and r.task_id = p_task
     and (r.quality_score is null
          or exists (select from public.task_feedback f where f.agency_id = v_agency and f.task_id = p_task and f.counted));
  v_counted := found;
  insert into public.task_feedback as f (task_id, agency_id, quality_score, comment, given_by, counted)
  values (p_task, v_agency, p_score, p_comment, p_by, v_counted)
  on conflict (agency_id, task_id) do update
    set quality_score = excluded.quality_score, comment = excluded.comment, given_by = excluded.given_by,
        counted = excluded.counted, created_at = clock_timestamp();
  return case when v_counted then 'counted' else 'kept' end;
end $$;

alter function app.rate_task owner to teamai_definer;
revoke all on function app.rate_task from public;
grant execute on function app.rate_task to teamai_api;
