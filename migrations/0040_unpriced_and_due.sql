-- Two corrections. A lost call of a model without a price costs NULL and is flagged
-- `unpriced`, as one that was answered; it was written with a cost of 0. A task that
-- names no time is due at the very time of its making, so that every answer about it agrees.
set local role teamai_definer;

-- Writes new tasks. outcome: created | agent_unknown | recipe_unknown | key_taken.
-- Repeating a batch whose answer was lost is harmless: ids are the caller's.
create or replace function app.submit_tasks(p app.submission[])
returns table (ord integer, outcome text, team_id uuid, created_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
  -- one time for both columns: the answer to the caller is made of created_at alone
  v_now timestamptz := clock_timestamp();
begin
  return query
  with b as (
    select u.*, u.ordinality::integer as n from unnest(p) with ordinality as u
  ), known as (
    select b.*, a.team_id as agent_team_id,
           exists (select from public.recipes r where r.id = b.recipe_id
                    and (r.agency_id is null or r.agency_id = b.agency_id) and r.status = 'published') as recipe_known
      from b join public.agent_instances a on a.agency_id = b.agency_id and a.id = b.agent_instance_id
     where a.status = 'active' and (b.member_team_id is null or a.team_id = b.member_team_id)
  ), keyed as (
    insert into public.idempotency_keys as held (agency_id, key, request_hash, task_id)
    select distinct on (k.agency_id, k.idempotency_key) k.agency_id, k.idempotency_key, k.request_hash, k.id
      from known k
     where k.idempotency_key is not null and k.recipe_known
     order by k.agency_id, k.idempotency_key, k.n
    -- an own row of a repeated batch counts as won; a key past its day is free again
    on conflict (agency_id, key) do update
      set request_hash = excluded.request_hash, task_id = excluded.task_id, created_at = clock_timestamp()
      where held.task_id = excluded.task_id or held.created_at < clock_timestamp() - interval '24 hours'
    returning held.task_id
  ), made as (
    insert into public.task_queue (id, agency_id, team_id, agent_instance_id, created_by, recipe_id, recipe_slug,
        recipe_version, experiment_id, variant, subject, priority, inputs, budget_usd, steps_total, tags, run_at,
        created_at, dispatch_id, dispatched_at)
    select k.id, k.agency_id, k.agent_team_id, k.agent_instance_id, k.created_by, k.recipe_id, k.recipe_slug,
        k.recipe_version, k.experiment_id, k.variant, k.subject, k.priority, k.inputs, k.budget_usd, k.steps_total,
        k.tags, coalesce(k.run_at, v_now), v_now, k.dispatch_id,
        -- a task for later gets its first ticket from the reconciler
        case when k.run_at > v_now then null else v_now end
      from known k
     where k.recipe_known and (k.idempotency_key is null or k.id in (select task_id from keyed))
    on conflict (id) do nothing
    returning id, team_id, created_at
  )
  select b.n,
         case when made.id is not null then 'created'
              when known.id is null then 'agent_unknown'
              when not known.recipe_known then 'recipe_unknown'
              when t.id is not null then 'created'
              else 'key_taken' end,
         coalesce(made.team_id, t.team_id),
         coalesce(made.created_at, t.created_at)
    from b
    left join known on known.n = b.n
    left join made on made.id = b.id
    -- not null only where an earlier try of this very batch was committed
    left join public.task_queue t on t.id = b.id and t.agency_id = b.agency_id;
end $$;

-- Claims what is due, or whose lease ran out, among the ids. An older claim's
-- calls without a line become `unknown`, their reservation estimated spend.
-- status says what the claim found: running (go on), cancelled, or dead (claimed
-- more than p_max_claims times).
create or replace function app.claim_tasks(p_ids uuid[], p_worker text, p_lease_seconds integer, p_max_claims integer)
returns table (id uuid, agency_id uuid, team_id uuid, agent_instance_id uuid, recipe_id uuid, recipe_slug text,
               experiment_id uuid, epoch bigint, attempt integer, status text, inputs jsonb, budget_usd numeric,
               tokens_used bigint, cost_usd numeric, started_at timestamptz, created_at timestamptz,
               configuration jsonb, settings jsonb)
language plpgsql volatile security definer set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
  v_claimed public.task_queue[];
  v_lost public.audit_logs[];
begin
  with due as (
    select t.id, case when t.cancel_requested_at is not null then 'cancelled'
                      when t.attempt >= p_max_claims then 'dead' else 'running' end as verdict
      from public.task_queue t
     where t.id = any (p_ids)
       and ((t.status = 'queued' and t.run_at <= clock_timestamp())
         or (t.status = 'running' and t.lease_until < clock_timestamp()))
     order by t.id for update of t skip locked
  ), claimed as (
    update public.task_queue t
       set epoch = t.epoch + 1, status = due.verdict, worker = p_worker,
           attempt = t.attempt + case when due.verdict = 'running' then 1 else 0 end,
           lease_until = case when due.verdict = 'running' then clock_timestamp() + make_interval(secs => p_lease_seconds) end,
           started_at = coalesce(t.started_at, clock_timestamp()),
           finished_at = case when due.verdict <> 'running' then clock_timestamp() end,
           error = case when due.verdict = 'dead' then jsonb_build_object('code', 'claimed_too_often',
             'message', format('the task was claimed %s times and never finished', t.attempt)) end
      from due where t.id = due.id
    returning t
  )
  select array_agg(c.t) into v_claimed from claimed c;

  with lost as (
    update public.call_intents i set state = 'unknown'
      from unnest(v_claimed) t
     where t.epoch > 1 and i.task_id = t.id and i.state = 'open'
    returning i.*, t.team_id, t.agent_instance_id, t.recipe_id,
              i.kind = 'llm' and i.price_id is null and i.reserved_usd = 0 as unpriced
  )
  select array_agg(row(gen_random_uuid(), l.agency_id, l.task_id, l.node_id, l.occurrence, l.call_no, l.team_id,
           l.agent_instance_id, l.recipe_id, l.kind, l.provider, l.model, 'unknown', 0, null, null,
           case when l.unpriced then null else l.reserved_usd end, 0, l.price_id, not l.unpriced,
           case when l.unpriced then array['unpriced'] else '{}' end, 0, null, clock_timestamp(), 0, '', '')::public.audit_logs)
    into v_lost from lost l;

  if v_lost is not null then
    perform app.append_audit(v_lost);
    update public.task_queue t set cost_usd = t.cost_usd + coalesce(l.cost, 0)
      from (select u.task_id, sum(u.cost_usd) as cost from unnest(v_lost) u group by 1) l
     where t.id = l.task_id;
  end if;

  return query
  select t.id, t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id, t.recipe_slug, t.experiment_id, t.epoch,
         t.attempt, t.status, t.inputs, t.budget_usd, t.tokens_used,
         t.cost_usd + coalesce((select sum(u.cost_usd) from unnest(v_lost) u where u.task_id = t.id), 0),
         t.started_at, t.created_at, a.configuration, g.settings
    from unnest(v_claimed) t
    join public.agent_instances a on a.agency_id = t.agency_id and a.id = t.agent_instance_id
    join public.agencies g on g.id = t.agency_id;
end $$;

reset role;
