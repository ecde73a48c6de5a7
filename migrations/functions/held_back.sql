-- Which of the tasks may not run now: paused, or over a limit. What runs is counted
-- from the rows, so that no kill can leave a count behind. Claims of an agency that
-- has limits go one after the other: two that counted at once would pass together.
create or replace function app.held_back(p_ids uuid[], p_agency_limit integer) returns uuid[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  v_rules app.lane_rules[];
  v_agencies uuid[];
  v_key integer;
  v_held uuid[];
begin
  select array_agg(r) into v_rules
    from app.rules_of(array(
           select distinct row(t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id)::app.lane
             from public.task_queue t where t.id = any (p_ids) and t.finished_at is null), p_agency_limit) r
   where r.paused or r.agency_limit is not null or r.team_limit is not null or r.cookbook_limit is not null;
  if v_rules is null then
    return '{}';
  end if;

  select array_agg(distinct r.agency_id) into v_agencies from unnest(v_rules) r where not r.paused;
  for v_key in select distinct hashtext(a::text) as key from unnest(v_agencies) a order by key loop
    perform pg_advisory_xact_lock(7101, v_key);
  end loop;

  with live as (
    select t.agency_id, t.team_id, r.cookbook_id, count(*) as n
      from public.task_queue t join public.recipes r on r.id = t.recipe_id
     where t.agency_id = any (v_agencies) and t.dispatched_at < 'infinity' and t.finished_at is null
       and t.status = 'running' and t.lease_until >= clock_timestamp()
     group by 1, 2, 3
  ), asked as (
    select t.id, t.priority, t.run_at, r.*
      from public.task_queue t
      join unnest(v_rules) r on (r.agency_id, r.team_id, r.agent_instance_id, r.recipe_id)
                              = (t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id)
     where t.id = any (p_ids) and t.finished_at is null and t.cancel_requested_at is null
       and (t.status = 'queued' or t.lease_until < clock_timestamp())
  ), narrow as (
    select a.*,
           a.paused
             or row_number() over (partition by a.agency_id, a.team_id, a.paused order by a.priority desc, a.run_at, a.id)
                + (select coalesce(sum(l.n), 0) from live l where l.agency_id = a.agency_id and l.team_id = a.team_id)
                > a.team_limit is true
             or row_number() over (partition by a.agency_id, a.cookbook_id, a.paused order by a.priority desc, a.run_at, a.id)
                + (select coalesce(sum(l.n), 0) from live l where l.agency_id = a.agency_id and l.cookbook_id = a.cookbook_id)
                > a.cookbook_limit is true as held
      from asked a
  ), wide as (
    select w.id,
           w.held
             or row_number() over (partition by w.agency_id, w.held order by w.priority desc, w.run_at, w.id)
                + (select coalesce(sum(l.n), 0) from live l where l.agency_id = w.agency_id)
                > w.agency_limit is true as held
      from narrow w
  )
  select array_agg(w.id) into v_held from wide w where w.held;
  return coalesce(v_held, '{}');
end $$;

alter function app.held_back owner to teamai_definer;
revoke all on function app.held_back from public;
