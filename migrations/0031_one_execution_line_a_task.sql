-- One `execution` line for each task that ends, also for those that end without a
-- run: cancelled before it began, or dead.
set local role teamai_definer;

-- Calls of earlier claims that nobody settled become `unknown`: their reservation is
-- estimated spend, added to the tasks; a model without a price costs NULL and is flagged.
create function app.lose_calls(p_tasks public.task_queue[]) returns public.audit_logs[]
language plpgsql volatile
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_lost public.audit_logs[];
begin
  if cardinality(p_tasks) = 0 then
    return null;
  end if;
  with lost as (
    update public.call_intents i set state = 'unknown'
      from unnest(p_tasks) t
     where i.task_id = t.id and i.state = 'open'
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
  return v_lost;
end $$;

-- Closes the books of tasks that ended without a run, of which a claim before may have
-- left calls behind: the customer is billed nothing for them. Tasks may be any
-- tenant's: each line's agency is its task's. With the rights of who calls it.
create function app.close_books(p_ids uuid[]) returns void
language plpgsql volatile
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_ended public.task_queue[];
  v_lines public.audit_logs[];
begin
  select array_agg(t) into v_ended
    from public.task_queue t
   where t.id = any (p_ids) and t.status in ('cancelled', 'dead')
     and not exists (select from public.audit_logs l
                      where l.task_id = t.id and (l.node_id, l.occurrence, l.call_no) = ('', 0, 0));
  if v_ended is null then
    return;
  end if;
  perform app.lose_calls(v_ended);
  select array_agg(row(gen_random_uuid(), t.agency_id, t.id, '', 0, 0, t.team_id, t.agent_instance_id, t.recipe_id,
           'execution', null, null, 'failed', 0, null, null, 0, 0, null, false, '{}',
           coalesce(extract(epoch from t.finished_at - t.started_at) * 1000, 0)::bigint, null, t.finished_at,
           0, '', '')::public.audit_logs)
    into v_lines from unnest(v_ended) t;
  perform app.append_audit(v_lines);
end $$;

-- As close_books, for tasks of the context's agency.
create function app.close_unrun(p_ids uuid[]) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.close_books(array(select t.id from public.task_queue t
                                where t.id = any (p_ids) and t.agency_id = app.agency()))
$$;

revoke all on function app.lose_calls(public.task_queue[]), app.close_books(uuid[]), app.close_unrun(uuid[]) from public;
grant execute on function app.close_unrun(uuid[]) to teamai_api;

create or replace function app.claim_tasks(p_ids uuid[], p_worker text, p_lease_seconds integer, p_max_claims integer)
returns table (id uuid, agency_id uuid, team_id uuid, agent_instance_id uuid, recipe_id uuid, recipe_slug text,
               experiment_id uuid, epoch bigint, attempt integer, status text, inputs jsonb, budget_usd numeric,
               tokens_used bigint, cost_usd numeric, started_at timestamptz, created_at timestamptz,
               configuration jsonb, settings jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
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

  -- a first claim has none before it
  v_lost := app.lose_calls(array(select t from unnest(v_claimed) t where t.epoch > 1));
  perform app.close_books(array(select t.id from unnest(v_claimed) t where t.status <> 'running'));

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
