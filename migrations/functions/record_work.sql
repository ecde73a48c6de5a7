-- The one writer of a running task: intents of calls, ledger lines, node results, tries,
-- questions, sub-recipes' tasks, pauses and finishes, for many tasks at once. Returns the
-- claims whose fence held. Repeating a batch whose answer was lost writes nothing twice.
create or replace function app.record_work(
  p_intents app.intent_write[], p_lines app.line_write[], p_results app.result_write[],
  p_progress app.try_write[], p_questions app.question_write[], p_children app.child_start[],
  p_pauses app.pause_write[], p_finishes app.finish_write[])
returns table (task_id uuid, epoch bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  -- of the claims whose fence holds, in step with each other
  v_ids uuid[];
  v_epochs bigint[];
  v_agencies uuid[];
  -- of those, the tasks that may have started others
  v_waited uuid[];
  v_closed uuid[];
  -- what sub-recipes came to, in step with each other
  v_rolled uuid[];
  v_rolled_tokens bigint[];
  v_rolled_cost numeric[];
  v_lines public.audit_logs[];
begin
  select array_agg(s.id), array_agg(s.epoch), array_agg(s.agency_id), array_agg(s.id) filter (where s.waited)
    into v_ids, v_epochs, v_agencies, v_waited from (
    select t.id, t.epoch, t.agency_id, t.waited from public.task_queue t
      join (select i.task_id, i.epoch from unnest(p_intents) i
            union select l.task_id, l.epoch from unnest(p_lines) l
            union select s.task_id, s.epoch from unnest(p_results) s
            union select g.task_id, g.epoch from unnest(p_progress) g
            union select q.task_id, q.epoch from unnest(p_questions) q
            union select c.task_id, c.epoch from unnest(p_children) c
            union select z.task_id, z.epoch from unnest(p_pauses) z
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

  if cardinality(p_results) > 0 then
    with written as (
      insert into public.task_steps (task_id, agency_id, node_id, occurrence, status, attempts, output, error,
                                     tokens_used, cost_usd, started_at, finished_at, cached)
      select s.task_id, h.agency_id, s.node_id, s.occurrence, s.status, s.attempts, s.output, s.error, s.tokens_used,
             s.cost_usd, s.started_at, s.finished_at, s.cached
        from unnest(p_results) s
        join unnest(v_ids, v_epochs, v_agencies) h (id, epoch, agency_id) on h.id = s.task_id and h.epoch = s.epoch
      on conflict do nothing
      returning task_id, node_id, occurrence
    )
    select array_agg(w.task_id) filter (where s.closes_node), array_agg(c.parent_task_id) filter (where c.id is not null),
           array_agg(c.tokens_used) filter (where c.id is not null), array_agg(c.cost_usd) filter (where c.id is not null)
      into v_closed, v_rolled, v_rolled_tokens, v_rolled_cost
      from written w join unnest(p_results) s using (task_id, node_id, occurrence)
      left join public.task_queue c on w.task_id = any (v_waited)
       and (c.parent_task_id, c.parent_node_id, c.parent_occurrence) = (w.task_id, w.node_id, w.occurrence);
  end if;

  if cardinality(p_progress) > 0 then
    insert into public.node_progress as known (task_id, agency_id, node_id, occurrence, attempts, slowed, tokens_used,
                                               cost_usd, error, started_at, resume_at)
    select g.task_id, h.agency_id, g.node_id, g.occurrence, g.attempts, g.slowed, g.tokens_used, g.cost_usd, g.error,
           g.started_at, clock_timestamp() + g.delay_ms * interval '1 ms'
      from unnest(p_progress) g
      join unnest(v_ids, v_epochs, v_agencies) h (id, epoch, agency_id) on h.id = g.task_id and h.epoch = g.epoch
    on conflict (task_id, node_id, occurrence) do update
      set attempts = excluded.attempts, slowed = excluded.slowed, tokens_used = excluded.tokens_used,
          cost_usd = excluded.cost_usd, error = excluded.error, resume_at = excluded.resume_at
      where known.attempts + known.slowed < excluded.attempts + excluded.slowed;
  end if;

  if cardinality(p_questions) > 0 then
    insert into public.approvals (id, agency_id, team_id, task_id, node_id, occurrence, round, kind, message, form,
                                  approvers, expires_at)
    select q.id, t.agency_id, t.team_id, q.task_id, q.node_id, q.occurrence, q.round, q.kind, q.message, q.form,
           q.approvers, clock_timestamp() + q.timeout_ms * interval '1 ms'
      from unnest(p_questions) q
      join unnest(v_ids, v_epochs) h (id, epoch) on h.id = q.task_id and h.epoch = q.epoch
      join public.task_queue t on t.id = h.id
    on conflict do nothing;
    update public.task_queue t set waited = true
      from unnest(p_questions) q, unnest(v_ids, v_epochs) h (id, epoch)
     where h.id = q.task_id and h.epoch = q.epoch and t.id = h.id and not t.waited;
  end if;

  if cardinality(p_children) > 0 then
    insert into public.task_queue (id, agency_id, team_id, agent_instance_id, created_by, recipe_id, recipe_slug,
        recipe_version, subject, priority, inputs, budget_usd, budget_tokens, steps_total, tags, parent_task_id,
        parent_node_id, parent_occurrence, depth, epoch)
    select c.id, t.agency_id, t.team_id, t.agent_instance_id, t.created_by, c.recipe_id, c.recipe_slug,
           c.recipe_version, t.subject, t.priority, c.inputs, c.budget_usd, c.budget_tokens, c.steps_total, t.tags, t.id,
           c.node_id, c.occurrence, t.depth + 1,
           -- as if claimed before: a run looks for what it was lent from its second claim on
           case when c.budget_tokens is null then 0 else 1 end
      from unnest(p_children) c
      join unnest(v_ids, v_epochs) h (id, epoch) on h.id = c.task_id and h.epoch = c.epoch
      join public.task_queue t on t.id = h.id
    on conflict do nothing;
    update public.task_queue t set waited = true
      from unnest(p_children) c, unnest(v_ids, v_epochs) h (id, epoch)
     where h.id = c.task_id and h.epoch = c.epoch and t.id = h.id and not t.waited;
  end if;

  if v_lines is not null or v_closed is not null or v_rolled is not null
     or cardinality(p_pauses) > 0 or cardinality(p_finishes) > 0 then
    update public.task_queue t
       set tokens_used = t.tokens_used + coalesce(spent.tokens, 0) + coalesce(rolled.tokens, 0),
           cost_usd = t.cost_usd + coalesce(spent.cost, 0) + coalesce(rolled.cost, 0),
           steps_done = least(t.steps_total, t.steps_done + coalesce(done.nodes, 0)),
           -- one that is to be cancelled goes back for its claim to end it
           status = case when f.task_id is not null then f.status when z.task_id is null then t.status
                         when t.cancel_requested_at is null then 'waiting' else 'queued' end,
           output = coalesce(f.output, t.output),
           error = coalesce(f.error, t.error),
           lease_until = case when f.task_id is null and z.task_id is null then t.lease_until end,
           finished_at = case when f.task_id is not null then clock_timestamp() end,
           -- waiting is no failure: the claim does not count
           attempt = case when z.task_id is null then t.attempt else greatest(t.attempt - 1, 0) end,
           dispatched_at = case when z.task_id is null then t.dispatched_at end,
           wake_at = case when z.task_id is not null and t.cancel_requested_at is null
                          then clock_timestamp() + z.delay_ms * interval '1 ms' end,
           -- out of the way of what looks for due tasks
           run_at = case when z.task_id is null then t.run_at when t.cancel_requested_at is not null then clock_timestamp()
                         else clock_timestamp() + z.delay_ms * interval '1 ms' end
      from unnest(v_ids, v_epochs) h (id, epoch)
      left join (select l.task_id, sum(l.tokens_used)::bigint as tokens, sum(l.cost_usd) as cost
                   from unnest(v_lines) l group by 1) spent on spent.task_id = h.id
      left join (select r.task_id, sum(r.tokens)::bigint as tokens, sum(r.cost) as cost
                   from unnest(v_rolled, v_rolled_tokens, v_rolled_cost) r (task_id, tokens, cost) group by 1) rolled
        on rolled.task_id = h.id
      left join (select c.task_id, count(*)::integer as nodes from unnest(v_closed) c (task_id) group by 1) done
        on done.task_id = h.id
      left join unnest(p_pauses) z on z.task_id = h.id and z.epoch = h.epoch
      left join unnest(p_finishes) f on f.task_id = h.id and f.epoch = h.epoch
     where t.id = h.id
       and (spent.task_id is not null or rolled.task_id is not null or done.task_id is not null
            or z.task_id is not null or f.task_id is not null);
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

alter function app.record_work owner to teamai_definer;
revoke all on function app.record_work from public;
grant execute on function app.record_work to teamai_worker;
