-- One function for each kind of batch. They take many tenants' rows at once, so
-- they run as the definer and derive the agency from the task row, never from
-- the caller; a row whose fence (epoch, status) does not hold writes nothing.
set local role teamai_owner;

create type app.submission as (
  id uuid, agency_id uuid, member_team_id uuid, agent_instance_id uuid, created_by uuid,
  recipe_id uuid, recipe_slug text, recipe_version text, experiment_id uuid, variant text, subject text,
  priority smallint, inputs jsonb, budget_usd numeric, steps_total integer, tags text[], run_at timestamptz,
  dispatch_id uuid, idempotency_key text, request_hash bytea);

create type app.intent_write as (
  task_id uuid, epoch bigint, node_id text, occurrence integer, call_no integer,
  kind text, provider text, model text, request_hash bytea, reserved_usd numeric, price_id uuid);

create type app.line_write as (
  id uuid, task_id uuid, epoch bigint, node_id text, occurrence integer, call_no integer,
  kind text, provider text, model text, status text, tokens_used bigint, usage jsonb, raw_usage jsonb,
  cost_usd numeric, billed_usd numeric, price_id uuid, estimated boolean, flags text[],
  execution_time_ms bigint, request_id text, "timestamp" timestamptz);

create type app.step_write as (
  task_id uuid, epoch bigint, node_id text, occurrence integer, status text, attempts integer,
  output jsonb, error jsonb, tokens_used bigint, cost_usd numeric, started_at timestamptz, finished_at timestamptz,
  closes_node boolean);

create type app.finish_write as (
  task_id uuid, epoch bigint, status text, output jsonb, error jsonb, quality_score numeric);

reset role;
set local role teamai_definer;

-- What a line says, without its place in the chain. %L quotes and escapes, so that
-- no two lines print alike. Without a SET clause, so that it is inlined.
create function app.audit_text(l public.audit_logs) returns text
language sql stable
return format('%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L',
  l.id, l.agency_id, l.task_id, l.node_id, l.occurrence, l.call_no, l.team_id, l.agent_instance_id, l.recipe_id,
  l.kind, l.provider, l.model, l.status, l.tokens_used, l.usage, l.raw_usage, l.cost_usd, l.billed_usd, l.price_id,
  l.estimated, l.flags, l.execution_time_ms || ' ' || coalesce(l.request_id, ''),
  (extract(epoch from l."timestamp") * 1000000)::bigint);

-- The hash of what a line says, its number, and the hash before it.
create function app.chained(p_prev bytea, p_seq bigint, p_text text) returns bytea
language sql immutable
return sha256(p_prev || convert_to(p_seq::text || '|' || p_text, 'UTF8'));

create function app.audit_hash(l public.audit_logs) returns bytea
language sql stable
return app.chained(l.prev_hash, l.seq, app.audit_text(l));

-- Appends lines to the chains of their agencies. Heads are locked in a fixed
-- order, after any task rows. Only the hashing goes line by line: a statement for
-- each line would cost five times as much.
create function app.append_audit(p_lines public.audit_logs[]) returns void
language plpgsql set search_path = pg_catalog
as $$
declare
  l record;
  v_agency uuid;
  v_seq bigint;
  v_prev bytea;
  v_hash bytea;
  v_ids uuid[] := '{}';
  v_agencies uuid[] := '{}';
  v_seqs bigint[] := '{}';
  v_prevs bytea[] := '{}';
  v_hashes bytea[] := '{}';
begin
  insert into public.ledger_heads (agency_id, seq, hash)
  select distinct u.agency_id, 0, ''::bytea from unnest(p_lines) u
   where not exists (select from public.ledger_heads h where h.agency_id = u.agency_id)
   order by 1
  on conflict do nothing;
  perform from public.ledger_heads h
    where h.agency_id in (select u.agency_id from unnest(p_lines) u) order by h.agency_id for update;
  for l in
    select u.id, u.agency_id, app.audit_text(u) as text, h.seq, h.hash
      from unnest(p_lines) u join public.ledger_heads h on h.agency_id = u.agency_id
     order by u.agency_id, u."timestamp", u.id
  loop
    if l.agency_id is distinct from v_agency then
      v_agency := l.agency_id;
      v_seq := l.seq;
      v_hash := l.hash;
    end if;
    v_prev := v_hash;
    v_seq := v_seq + 1;
    v_hash := app.chained(v_prev, v_seq, l.text);
    v_ids := v_ids || l.id;
    v_agencies := v_agencies || v_agency;
    v_seqs := v_seqs || v_seq;
    v_prevs := v_prevs || v_prev;
    v_hashes := v_hashes || v_hash;
  end loop;
  insert into public.audit_logs
  select u.id, u.agency_id, u.task_id, u.node_id, u.occurrence, u.call_no, u.team_id, u.agent_instance_id, u.recipe_id,
         u.kind, u.provider, u.model, u.status, u.tokens_used, u.usage, u.raw_usage, u.cost_usd, u.billed_usd, u.price_id,
         u.estimated, u.flags, u.execution_time_ms, u.request_id, u."timestamp", c.seq, c.prev_hash, c.hash
    from unnest(p_lines) u
    join unnest(v_ids, v_seqs, v_prevs, v_hashes) c (id, seq, prev_hash, hash) on c.id = u.id;
  update public.ledger_heads h set seq = last.seq, hash = last.hash
    from (select distinct on (c.agency_id) c.agency_id, c.seq, c.hash
            from unnest(v_agencies, v_seqs, v_hashes) c (agency_id, seq, hash)
           order by c.agency_id, c.seq desc) last
   where h.agency_id = last.agency_id;
end $$;

-- Writes new tasks. outcome: created | agent_unknown | recipe_unknown | key_taken.
-- Repeating a batch whose answer was lost is harmless: ids are the caller's.
create function app.submit_tasks(p app.submission[])
returns table (id uuid, outcome text, team_id uuid, created_at timestamptz)
language plpgsql volatile security definer
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
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
  select m.id, 'created', m.team_id, m.created_at from made m
  union all
  select b.id,
         case when known.id is null then 'agent_unknown'
              when not known.recipe_known then 'recipe_unknown'
              when t.id is not null then 'created'
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

-- Claims what is due, or whose lease ran out, among the ids. An older claim's
-- calls without a line become `unknown`, their reservation estimated spend; one of
-- a model without a price costs NULL and is flagged, as if it had been answered.
-- status says what the claim found: running (go on), cancelled, or dead (claimed
-- more than p_max_claims times).
create function app.claim_tasks(p_ids uuid[], p_worker text, p_lease_seconds integer, p_max_claims integer)
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

-- The one writer of a running task: intents of calls, ledger lines, step results
-- and the finish, for many tasks at once. Returns the claims whose fence held.
-- Repeating a batch whose answer was lost writes nothing twice.
create function app.record(p_intents app.intent_write[], p_lines app.line_write[], p_steps app.step_write[],
                           p_finishes app.finish_write[])
returns table (task_id uuid, epoch bigint)
language plpgsql volatile security definer
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  -- of the claims whose fence holds, in step with each other
  v_ids uuid[];
  v_epochs bigint[];
  v_agencies uuid[];
  v_closed uuid[];
  v_lines public.audit_logs[];
begin
  select array_agg(s.id), array_agg(s.epoch), array_agg(s.agency_id) into v_ids, v_epochs, v_agencies from (
    select t.id, t.epoch, t.agency_id from public.task_queue t
      join (select i.task_id, i.epoch from unnest(p_intents) i
            union select l.task_id, l.epoch from unnest(p_lines) l
            union select s.task_id, s.epoch from unnest(p_steps) s
            union select f.task_id, f.epoch from unnest(p_finishes) f) b
        on b.task_id = t.id and b.epoch = t.epoch
     where t.status = 'running'
     order by t.id for update of t) s;

  if cardinality(p_intents) > 0 then
    insert into public.call_intents (task_id, agency_id, node_id, occurrence, call_no, epoch, kind, provider, model,
                                     request_hash, reserved_usd, price_id)
    select i.task_id, h.agency_id, i.node_id, i.occurrence, i.call_no, i.epoch, i.kind, i.provider, i.model,
           i.request_hash, i.reserved_usd, i.price_id
      from unnest(p_intents) i
      join unnest(v_ids, v_epochs, v_agencies) h (id, epoch, agency_id) on h.id = i.task_id and h.epoch = i.epoch
    on conflict do nothing;
  end if;

  if cardinality(p_lines) > 0 then
    -- A call's line is written by whoever closes its open intent, and by no one else.
    with held as (
      select l.* from unnest(p_lines) l
        join unnest(v_ids, v_epochs) h (id, epoch) on h.id = l.task_id and h.epoch = l.epoch
    ), closed as (
      update public.call_intents i set state = 'settled'
        from held l
       where i.state = 'open' and i.epoch = l.epoch
         and (i.task_id, i.node_id, i.occurrence, i.call_no) = (l.task_id, l.node_id, l.occurrence, l.call_no)
      returning l.*
    ), due as (
      select c.* from closed c
      union all
      select l.* from held l where l.kind = 'execution'
    )
    select array_agg(row(l.id, t.agency_id, l.task_id, l.node_id, l.occurrence, l.call_no, t.team_id,
             t.agent_instance_id, t.recipe_id, l.kind, l.provider, l.model, l.status, l.tokens_used, l.usage,
             l.raw_usage, l.cost_usd, l.billed_usd, l.price_id, l.estimated, l.flags, l.execution_time_ms,
             l.request_id, l."timestamp", 0, '', '')::public.audit_logs)
      into v_lines from due l join public.task_queue t on t.id = l.task_id;
  end if;

  if cardinality(p_steps) > 0 then
    with written as (
      insert into public.task_steps (task_id, agency_id, node_id, occurrence, status, attempts, output, error,
                                     tokens_used, cost_usd, started_at, finished_at)
      select s.task_id, h.agency_id, s.node_id, s.occurrence, s.status, s.attempts, s.output, s.error, s.tokens_used,
             s.cost_usd, s.started_at, s.finished_at
        from unnest(p_steps) s
        join unnest(v_ids, v_epochs, v_agencies) h (id, epoch, agency_id) on h.id = s.task_id and h.epoch = s.epoch
      on conflict do nothing
      returning task_id, node_id, occurrence
    )
    select array_agg(w.task_id) into v_closed
      from written w join unnest(p_steps) s using (task_id, node_id, occurrence) where s.closes_node;
  end if;

  if v_lines is not null or v_closed is not null or cardinality(p_finishes) > 0 then
    update public.task_queue t
       set tokens_used = t.tokens_used + coalesce(spent.tokens, 0),
           cost_usd = t.cost_usd + coalesce(spent.cost, 0),
           steps_done = least(t.steps_total, t.steps_done + coalesce(done.nodes, 0)),
           status = coalesce(f.status, t.status),
           output = coalesce(f.output, t.output),
           error = coalesce(f.error, t.error),
           lease_until = case when f.task_id is null then t.lease_until end,
           finished_at = case when f.task_id is not null then clock_timestamp() end
      from unnest(v_ids, v_epochs) h (id, epoch)
      left join (select l.task_id, sum(l.tokens_used)::bigint as tokens, sum(l.cost_usd) as cost
                   from unnest(v_lines) l group by 1) spent on spent.task_id = h.id
      left join (select c.task_id, count(*)::integer as nodes from unnest(v_closed) c (task_id) group by 1) done
        on done.task_id = h.id
      left join unnest(p_finishes) f on f.task_id = h.id and f.epoch = h.epoch
     where t.id = h.id and (spent.task_id is not null or done.task_id is not null or f.task_id is not null);
  end if;

  if cardinality(p_finishes) > 0 then
    insert into public.ab_test_results (id, agency_id, experiment_id, task_id, recipe_id, variant, success_metric,
        metric_value, quality_score, execution_time_ms, tokens_used, token_cost, outcome)
    select gen_random_uuid(), t.agency_id, t.experiment_id, t.id, t.recipe_id, t.variant, e.success_metric,
           case e.success_metric when 'quality_score' then f.quality_score when 'execution_time' then took.ms
                                 else t.cost_usd end,
           f.quality_score, took.ms, t.tokens_used, t.cost_usd, f.status
      from unnest(p_finishes) f
      join unnest(v_ids, v_epochs) h (id, epoch) on h.id = f.task_id and h.epoch = f.epoch
      join public.task_queue t on t.id = f.task_id and t.experiment_id is not null
      join public.experiments e on e.id = t.experiment_id
     cross join lateral (select (extract(epoch from t.finished_at - t.started_at) * 1000)::bigint as ms) took
     where f.status in ('completed', 'failed')
    on conflict do nothing;
  end if;

  -- Last: until the commit nobody else can append to these agencies' chains.
  if v_lines is not null then
    perform app.append_audit(v_lines);
  end if;

  return query select h.id, h.epoch from unnest(v_ids, v_epochs) h (id, epoch);
  -- an earlier try of this batch was committed
  return query
  select t.id, t.epoch
    from (select f.* from unnest(p_finishes) f where not exists (select from unnest(v_ids) h (id) where h.id = f.task_id)) f
    join public.task_queue t on t.id = f.task_id and t.epoch = f.epoch and t.status = f.status;
end $$;

-- Extends the leases that still hold; says which of them are to be cancelled.
create function app.heartbeat(p_ids uuid[], p_epochs bigint[], p_lease_seconds integer)
returns table (id uuid, cancel boolean)
language sql volatile security definer set search_path = pg_catalog
as $$
  with held as (
    select t.id from public.task_queue t
      join unnest(p_ids, p_epochs) b (id, epoch) on b.id = t.id and b.epoch = t.epoch
     where t.status = 'running' order by t.id for update of t
  )
  update public.task_queue t set lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
    from held where t.id = held.id
  returning t.id, t.cancel_requested_at is not null
$$;

create function app.cancel_requests(p_ids uuid[]) returns setof uuid
language sql stable security definer set search_path = pg_catalog
as $$
  select t.id from public.task_queue t where t.id = any (p_ids) and t.cancel_requested_at is not null
$$;

-- Hands running tasks back at shutdown: due at once, and the claim does not count.
create function app.release_tasks(p_ids uuid[], p_epochs bigint[]) returns setof uuid
language sql volatile security definer set search_path = pg_catalog
as $$
  with held as (
    select t.id from public.task_queue t
      join unnest(p_ids, p_epochs) b (id, epoch) on b.id = t.id and b.epoch = t.epoch
     where t.status = 'running' order by t.id for update of t
  )
  update public.task_queue t
     set status = 'queued', attempt = greatest(t.attempt - 1, 0), lease_until = null, dispatched_at = null
    from held where t.id = held.id
  returning t.id
$$;

-- Tasks that need a new ticket: due and not dispatched lately, or with a lease that ran out.
create function app.due_tasks(p_limit integer, p_redispatch_seconds integer)
returns table (id uuid, dispatch_id uuid)
language sql volatile security definer set search_path = pg_catalog
as $$
  with due as (
    select t.id from public.task_queue t
     where t.finished_at is null and t.run_at <= clock_timestamp()
       and (t.status = 'queued' or (t.status = 'running' and t.lease_until < clock_timestamp()))
       and (t.dispatched_at is null
            or t.dispatched_at < clock_timestamp() - make_interval(secs => p_redispatch_seconds))
     order by t.run_at limit p_limit for update of t skip locked
  )
  update public.task_queue t set dispatch_id = gen_random_uuid(), dispatched_at = clock_timestamp()
    from due where t.id = due.id
  returning t.id, t.dispatch_id
$$;

-- Rolls billing cycles forward, counts the agents active in them, and drops what
-- has had its day.
create function app.housekeep() returns void
language sql volatile security definer set search_path = pg_catalog
as $$
  update public.subscriptions s
     set cycle_start = (s.cycle_end + (((current_date - s.cycle_end) / 31) || ' months')::interval)::date,
         cycle_end = (s.cycle_end + (((current_date - s.cycle_end) / 31 + 1) || ' months')::interval)::date
   where s.cycle_end <= current_date;

  update public.subscriptions s set active_this_month = a.n
    from (select s2.id, count(distinct t.agent_instance_id)::integer as n
            from public.subscriptions s2
            left join public.agent_instances i on i.agency_id = s2.agency_id and i.agent_role_id = s2.agent_role_id
            left join public.task_queue t on t.agency_id = i.agency_id and t.agent_instance_id = i.id
                 and t.started_at >= s2.cycle_start
           group by s2.id) a
   where s.id = a.id and s.active_this_month <> a.n;

  delete from public.idempotency_keys where created_at < clock_timestamp() - interval '24 hours';
  delete from public.sessions where expires_at < clock_timestamp() - interval '30 days';
$$;

revoke all on function app.audit_text(public.audit_logs), app.chained(bytea, bigint, text),
  app.audit_hash(public.audit_logs), app.append_audit(public.audit_logs[]),
  app.submit_tasks(app.submission[]), app.claim_tasks(uuid[], text, integer, integer),
  app.record(app.intent_write[], app.line_write[], app.step_write[], app.finish_write[]),
  app.heartbeat(uuid[], bigint[], integer), app.cancel_requests(uuid[]), app.release_tasks(uuid[], bigint[]),
  app.due_tasks(integer, integer), app.housekeep() from public;
grant execute on function app.submit_tasks(app.submission[]) to teamai_api;
grant execute on function app.claim_tasks(uuid[], text, integer, integer) to teamai_worker;
grant execute on function app.record(app.intent_write[], app.line_write[], app.step_write[], app.finish_write[]) to teamai_worker;
grant execute on function app.heartbeat(uuid[], bigint[], integer) to teamai_worker;
grant execute on function app.cancel_requests(uuid[]) to teamai_worker;
grant execute on function app.release_tasks(uuid[], bigint[]) to teamai_worker;
grant execute on function app.due_tasks(integer, integer) to teamai_worker;
grant execute on function app.housekeep() to teamai_worker;

reset role;
