-- Whether tasks that could run have waited for more than p_seconds, a worker has a place or
-- there is none, and nobody claimed anything in that time. What is held back is not counted:
-- no tenant can make the answer true by a pause, a limit, or tasks that take every place.
-- Gives yes or no, over all agencies.
create or replace function app.work_stands(p_seconds integer, p_gone_after_seconds integer) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_before timestamptz := clock_timestamp() - make_interval(secs => p_seconds);
begin
  if exists (select from public.workers w where w.claimed_at >= v_before)
     or (select sum(w.concurrency - w.running) <= 0 from public.workers w
          where w.seen_at >= clock_timestamp() - make_interval(secs => p_gone_after_seconds)) then
    return false;
  end if;

  -- With a ticket: it was within every limit.
  if exists (select from public.task_queue t
              where t.dispatched_at < 'infinity' and t.finished_at is null
                and ((t.status = 'queued' and t.run_at < v_before) or (t.status = 'running' and t.lease_until < v_before))) then
    return true;
  end if;

  -- Without one: of an agency that has nothing out, so that no limit is reached.
  return exists (
    select from app.rules_of(array(
             select l from app.backlog_lanes() l
              where not exists (select from public.task_queue o
                                 where o.agency_id = l.agency_id and o.dispatched_at < 'infinity'
                                   and o.finished_at is null)), null) r
     where not r.paused and least(r.agency_limit, r.team_limit, r.cookbook_limit, 1) > 0
       and exists (select from public.task_queue t
                    where (t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id)
                        = (r.agency_id, r.team_id, r.agent_instance_id, r.recipe_id)
                      and t.dispatched_at is null and t.finished_at is null and t.run_at < v_before
                      and (t.status = 'queued' or (t.status = 'running' and t.lease_until < v_before))));
end $$;

alter function app.work_stands owner to teamai_definer;
revoke all on function app.work_stands from public;
grant execute on function app.work_stands to teamai_api, teamai_worker;
