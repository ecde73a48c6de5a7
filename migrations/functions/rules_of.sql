-- The rules of each lane: its limits, and whether it is paused. The operator's limit
-- (p_agency_limit) stays above what an agency set itself.
create or replace function app.rules_of(p_lanes app.lane[], p_agency_limit integer) returns setof app.lane_rules
language sql stable
set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
  select l.agency_id, l.team_id, l.agent_instance_id, l.recipe_id, r.cookbook_id,
         least((g.settings ->> 'max_concurrent_tasks')::bigint, p_agency_limit::bigint),
         t.max_concurrent_tasks::bigint, c.max_concurrent_executions,
         exists (select from public.queue_pauses p
                  where p.agency_id = l.agency_id
                    and (p.team_id is null or p.team_id = l.team_id)
                    and (p.agent_instance_id is null or p.agent_instance_id = l.agent_instance_id))
    from unnest(p_lanes) l
    join public.agencies g on g.id = l.agency_id
    join public.teams t on t.id = l.team_id
    join public.recipes r on r.id = l.recipe_id
    left join public.cookbooks c on c.id = r.cookbook_id
$$;

alter function app.rules_of owner to teamai_definer;
revoke all on function app.rules_of from public;
