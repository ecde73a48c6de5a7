-- Writes tasks in groups, all of a group or none, with idempotency keys and monthly limits.
-- Called by app.write_tasks alone, with its rights. outcome: created, agent_unknown,
-- recipe_unknown, over_monthly_limit, refused_with_its_group or key_taken. Repeating a batch
-- whose answer was lost is harmless: ids are the caller's.
create or replace function app.submit_groups(p app.submission[])
returns table (id uuid, outcome text, team_id uuid, created_at timestamptz)
language plpgsql volatile
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  -- one time for both columns: the answer to the caller is made of created_at alone
  v_now timestamptz := clock_timestamp();
  v_month date := date_trunc('month', clock_timestamp() at time zone 'UTC')::date;
  v_limited boolean := exists (select from unnest(p) u where u.monthly_limit is not null);
  v_over uuid[] := '{}';
begin
  if v_limited then
    v_over := app.over_monthly_limit(p, v_month);
  end if;
  return query
  with b as (
    select u.*, u.ordinality::integer as n from unnest(p) with ordinality as u
  ), known as (
    select b.*, a.team_id as agent_team_id,
           exists (select from public.recipes r where r.id = b.recipe_id
                    and (r.agency_id is null or r.agency_id = b.agency_id) and r.status = 'published') as recipe_known
      from b join public.agent_instances a on a.agency_id = b.agency_id and a.id = b.agent_instance_id
     where a.status = 'active' and (b.member_team_id is null or a.team_id = b.member_team_id)
  ), refused as (
    select b.group_id from b where b.n not in (select known.n from known where known.recipe_known)
    union all
    select unnest(v_over)
  ), keyed as (
    insert into public.idempotency_keys as held (agency_id, key, request_hash, task_id, task_ids)
    select k.agency_id, k.idempotency_key, k.request_hash, k.id, k.task_ids
      from (select distinct on (k.agency_id, k.idempotency_key) k.*,
                   case when count(*) over in_group > 1 then array_agg(k.id) over in_group end as task_ids
              from known k
             where k.idempotency_key is not null and k.group_id not in (select refused.group_id from refused)
            window in_group as (partition by k.group_id order by k.n
                                rows between unbounded preceding and unbounded following)
             order by k.agency_id, k.idempotency_key, k.n) k
    -- an own row of a repeated batch counts as won; a key past its day is free again
    on conflict (agency_id, key) do update
      set request_hash = excluded.request_hash, task_id = excluded.task_id, task_ids = excluded.task_ids,
          created_at = clock_timestamp()
      where held.task_id = excluded.task_id or held.created_at < clock_timestamp() - interval '24 hours'
    returning held.task_id
  ), made as (
    insert into public.task_queue (id, agency_id, team_id, agent_instance_id, created_by, recipe_id, recipe_slug,
        recipe_version, experiment_id, variant, subject, priority, inputs, budget_usd, steps_total, tags, run_at,
        created_at, dispatch_id, dispatched_at)
    select k.id, k.agency_id, k.agent_team_id, k.agent_instance_id, k.created_by, k.recipe_id, k.recipe_slug,
        k.recipe_version, k.experiment_id, k.variant, k.subject, k.priority, k.inputs, k.budget_usd, k.steps_total,
        k.tags, coalesce(k.run_at, v_now), v_now, k.dispatch_id,
        -- without a dispatch id, or for later: the dispatcher makes the first ticket
        case when k.dispatch_id is null or k.run_at > v_now then null else v_now end
      from known k
     where k.group_id not in (select refused.group_id from refused)
       and (k.idempotency_key is null
            or k.group_id in (select keyed.task_id from keyed))
    on conflict (id) do nothing
    returning id, team_id, created_at
  ), counted as (
    update public.monthly_executions m set used = m.used + c.n
      from (select b.agency_id, b.cookbook_id, count(*) as n
              from made join b on b.id = made.id
             where v_limited and b.monthly_limit is not null
             group by 1, 2) c
     where m.agency_id = c.agency_id and m.cookbook_id = c.cookbook_id and m.month = v_month
  )
  select m.id, 'created', m.team_id, m.created_at from made m
  union all
  select b.id,
         case when t.id is not null then 'created'
              when known.id is null then 'agent_unknown'
              when not known.recipe_known then 'recipe_unknown'
              when b.group_id = any (v_over) then 'over_monthly_limit'
              when b.group_id in (select refused.group_id from refused) then 'refused_with_its_group'
              else 'key_taken' end,
         t.team_id,
         t.created_at
    from b
    left join known on known.n = b.n
    -- not null only where an earlier try of this very batch was committed
    left join public.task_queue t on t.id = b.id and t.agency_id = b.agency_id
   -- NOT IN is hashed, where a join of few expected rows would compare all with all
   where b.id not in (select made.id from made);
end $$;

alter function app.submit_groups owner to teamai_definer;
revoke all on function app.submit_groups from public;
