-- Writes new tasks of any agency, believed: for app.submit_tasks, which compares, and for
-- app.fire_schedule, which takes the schedule's. Most batches are single tasks without a key
-- or a monthly limit: for those one insert says it all. The statement of app.submit_groups,
-- which knows of groups, keys and limits, has more parts than a small batch has rows, and
-- setting it up took as long as writing five of them. Outcomes as there.
create or replace function app.write_tasks(p app.submission[])
  returns table (id uuid, outcome text, team_id uuid, created_at timestamptz)
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  -- one time for both columns: the answer to the caller is made of created_at alone
  v_now timestamptz := clock_timestamp();
  v_made integer;
begin
  if exists (select from unnest(p) u
              where u.group_id <> u.id or u.idempotency_key is not null or u.monthly_limit is not null) then
    return query select g.id, g.outcome, g.team_id, g.created_at from app.submit_groups(p) g;
    return;
  end if;

  return query
    insert into public.task_queue (id, agency_id, team_id, agent_instance_id, created_by, recipe_id, recipe_slug,
        recipe_version, experiment_id, variant, subject, priority, inputs, budget_usd, steps_total, tags, run_at,
        created_at, dispatch_id, dispatched_at)
    select k.id, k.agency_id, a.team_id, k.agent_instance_id, k.created_by, k.recipe_id, k.recipe_slug,
        k.recipe_version, k.experiment_id, k.variant, k.subject, k.priority, k.inputs, k.budget_usd, k.steps_total,
        k.tags, coalesce(k.run_at, v_now), v_now, k.dispatch_id,
        -- without a dispatch id, or for later: the dispatcher makes the first ticket
        case when k.dispatch_id is null or k.run_at > v_now then null else v_now end
      from unnest(p) k
      join public.agent_instances a on a.agency_id = k.agency_id and a.id = k.agent_instance_id
     where a.status = 'active' and (k.member_team_id is null or a.team_id = k.member_team_id)
       and exists (select from public.recipes r where r.id = k.recipe_id
                    and (r.agency_id is null or r.agency_id = k.agency_id) and r.status = 'published')
    on conflict (id) do nothing
    returning id, 'created', team_id, created_at;
  get diagnostics v_made = row_count;

  if v_made < cardinality(p) then
    -- What was left out: refused, or written by an earlier try of this batch.
    return query select g.id, g.outcome, g.team_id, g.created_at
                   from app.submit_groups(p) g where g.created_at is distinct from v_now;
  end if;
end $$;

alter function app.write_tasks owner to teamai_definer;
revoke all on function app.write_tasks from public;
