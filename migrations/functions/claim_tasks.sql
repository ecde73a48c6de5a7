-- Claims what is due, or whose lease ran out, among the ids. What may not run now, by a
-- pause or a limit, loses its ticket instead and comes back when its turn is; what is set
-- aside waits for a worker to itself. An older claim's calls without a line become
-- `unknown`, see app.lose_calls. status says what the claim found: running (go on),
-- cancelled, or dead (claimed p_max_claims times and never finished). p_agency_limit is the
-- operator's, or NULL.
create or replace function app.claim_tasks(p_ids uuid[], p_worker text, p_lease_seconds integer, p_max_claims integer,
                                p_agency_limit integer, p_alone_from integer)
returns table (id uuid, agency_id uuid, team_id uuid, agent_instance_id uuid, recipe_id uuid, recipe_slug text,
               experiment_id uuid, epoch bigint, attempt integer, status text, inputs jsonb, budget_usd numeric,
               tokens_used bigint, cost_usd numeric, started_at timestamptz, created_at timestamptz,
               configuration jsonb, settings jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  v_held uuid[] := app.held_back(p_ids, p_agency_limit);
  v_aside uuid[] := app.set_aside(array(select i from unnest(p_ids) i where i <> all (v_held)), p_worker, p_max_claims,
                                  p_alone_from);
  v_claimed public.task_queue[];
  v_lost public.audit_logs[];
begin
  if cardinality(v_held) > 0 then
    update public.task_queue t set dispatched_at = null
      from (select h.id from public.task_queue h
             where h.id = any (v_held) and h.dispatched_at is not null and h.finished_at is null
               and (h.status = 'queued' or (h.status = 'running' and h.lease_until < clock_timestamp()))
             order by h.id for update skip locked) held
     where t.id = held.id;
  end if;

  with due as (
    select t.id, case when t.cancel_requested_at is not null then 'cancelled'
                      when t.attempt >= p_max_claims then 'dead' else 'running' end as verdict
      from public.task_queue t
     where t.id = any (p_ids) and t.id <> all (v_held) and t.id <> all (v_aside)
       and ((t.status = 'queued' and t.run_at <= clock_timestamp())
         or (t.status = 'running' and t.lease_until < clock_timestamp()))
     order by t.id for update of t skip locked
  ), claimed as (
    update public.task_queue t
       set epoch = t.epoch + 1, status = due.verdict, worker = p_worker,
           attempt = t.attempt + case when due.verdict = 'running' then 1 else 0 end,
           lease_until = case when due.verdict = 'running' then clock_timestamp() + make_interval(secs => p_lease_seconds) end,
           -- a ticket that was thought lost may claim: what runs is not in the backlog
           dispatched_at = case when t.dispatched_at < 'infinity' then t.dispatched_at else clock_timestamp() end,
           started_at = coalesce(t.started_at, clock_timestamp()),
           finished_at = case when due.verdict <> 'running' then clock_timestamp() end,
           error = case when due.verdict = 'dead' then jsonb_build_object('code', 'claimed_too_often',
             'message', format('the task was claimed %s times and never finished', t.attempt)) end
      from due where t.id = due.id
    returning t
  )
  select array_agg(c.t) into v_claimed from claimed c;

  if v_claimed is not null then
    update public.workers w set claimed_at = clock_timestamp()
     where w.name = p_worker and (w.claimed_at > clock_timestamp() - interval '1 second') is not true;
  end if;

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

alter function app.claim_tasks owner to teamai_definer;
revoke all on function app.claim_tasks from public;
grant execute on function app.claim_tasks to teamai_worker;
