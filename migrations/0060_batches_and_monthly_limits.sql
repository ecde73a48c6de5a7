-- Many tasks in one submission, all or none, and the monthly limit of a cookbook.
set local role teamai_owner;

-- Rows of one group are written together or not at all. A group is named by its first
-- task; a task by itself is a group of one.
alter type app.submission add attribute group_id uuid, add attribute cookbook_id uuid,
  add attribute monthly_limit integer;

-- The tasks of a batch, in its order; NULL for the key of a single task.
alter table idempotency_keys add column task_ids uuid[];

-- Executions that an agency asked for of a limited cookbook. The month is part of
-- the key: nothing is ever reset. Counted when accepted, whatever becomes of the task.
create table monthly_executions (
  agency_id   uuid not null references agencies on delete cascade,
  cookbook_id uuid not null references cookbooks on delete cascade,
  -- its first day, UTC
  month       date not null check (extract(day from month) = 1),
  used        bigint not null default 0 check (used >= 0),
  primary key (agency_id, cookbook_id, month)
) with (fillfactor = 50);
create index monthly_executions_by_cookbook on monthly_executions (cookbook_id);
select app.protect('monthly_executions');
create trigger monthly_executions_cookbook_owner before insert or update of agency_id, cookbook_id on monthly_executions
  for each row execute function app.check_catalogue_owner('cookbooks', 'cookbook_id');
grant select on monthly_executions to teamai_api;

reset role;
set local role teamai_definer;

-- Groups that a monthly limit has no room for, of those that could be written: an
-- unknown agent, a held key or an earlier try of the same batch takes no room. Locks
-- the counts, in a fixed order, until the commit.
create function app.over_monthly_limit(p app.submission[], p_month date) returns uuid[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_over uuid[] := '{}';
  v_agencies uuid[] := '{}';
  v_cookbooks uuid[] := '{}';
  v_taken bigint[] := '{}';
  v_group record;
begin
  insert into public.monthly_executions (agency_id, cookbook_id, month)
  select distinct u.agency_id, u.cookbook_id, p_month from unnest(p) u
   where u.monthly_limit is not null
   order by 1, 2
  on conflict do nothing;
  perform from public.monthly_executions m
    where m.month = p_month and (m.agency_id, m.cookbook_id) in
          (select u.agency_id, u.cookbook_id from unnest(p) u where u.monthly_limit is not null)
    order by m.agency_id, m.cookbook_id for update;
  for v_group in
    select w.group_id, array_agg(w.agency_id) as agencies, array_agg(w.cookbook_id) as cookbooks,
           array_agg(w.asked) as asked, array_agg(w.monthly_limit) as limits
      from (select u.group_id, u.agency_id, u.cookbook_id, count(*) as asked, min(u.monthly_limit) as monthly_limit,
                   bool_and(a.id is not null and t.id is null and k.key is null) as writable
              from unnest(p) u
              left join public.agent_instances a
                on a.agency_id = u.agency_id and a.id = u.agent_instance_id and a.status = 'active'
              left join public.task_queue t on t.id = u.id
              left join public.idempotency_keys k on k.agency_id = u.agency_id and k.key = u.idempotency_key
                   and k.created_at >= clock_timestamp() - interval '24 hours'
             where u.monthly_limit is not null
             group by 1, 2, 3) w
     group by 1 having bool_and(w.writable)
     order by 1
  loop
    if exists (
      select from unnest(v_group.agencies, v_group.cookbooks, v_group.asked, v_group.limits) g (agency, cookbook, asked, most)
        join public.monthly_executions m on m.agency_id = g.agency and m.cookbook_id = g.cookbook and m.month = p_month
       where g.most < g.asked + m.used + coalesce((
               select sum(t.n) from unnest(v_agencies, v_cookbooks, v_taken) t (agency, cookbook, n)
                where t.agency = g.agency and t.cookbook = g.cookbook), 0)
    ) then
      v_over := v_over || v_group.group_id;
    else
      v_agencies := v_agencies || v_group.agencies;
      v_cookbooks := v_cookbooks || v_group.cookbooks;
      v_taken := v_taken || v_group.asked;
    end if;
  end loop;
  return v_over;
end $$;

create or replace function app.submit_tasks(p app.submission[])
returns table (id uuid, outcome text, team_id uuid, created_at timestamptz)
language plpgsql volatile security definer
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

revoke all on function app.over_monthly_limit(app.submission[], date) from public;

reset role;
