-- Retrying a finished task from a node, and putting a dead one back into the queue.
set local role teamai_owner;

-- The finished task that this one goes on from. No reference: that one may go before.
alter table task_queue add column retry_of uuid;
-- How often a dead task was put back: each time it ends once more, with a line of its own.
alter table task_queue add column requeues integer not null default 0 check (requeues >= 0);
-- The task that ran the step; this one has it for nothing.
alter table task_steps add column copied_from uuid;

reset role;
set local role teamai_definer;

-- A new task like the finished p_of, with the finished steps of p_keep. Those cost it
-- nothing: tokens and cost stay where they were spent. Gives app.submit_tasks'
-- outcome, or `not_finished` if p_of is none of the caller's that has ended.
create function app.retry_task(p_of uuid, p_task app.submission, p_keep text[])
returns table (outcome text, team_id uuid, created_at timestamptz, steps_done integer)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_done integer;
begin
  if p_task.agency_id is distinct from app.agency() then
    raise exception 'a task of another agency than the context''s' using errcode = 'insufficient_privilege';
  end if;
  perform from public.task_queue t
    where t.id = p_of and t.agency_id = p_task.agency_id and t.finished_at is not null
      and (p_task.member_team_id is null or t.team_id = p_task.member_team_id)
    for share;
  if not found then
    return query select 'not_finished', null::uuid, null::timestamptz, 0;
    return;
  end if;
  select r.outcome, r.team_id, r.created_at into outcome, team_id, created_at
    from app.submit_tasks(array[p_task]) r;
  if outcome = 'created' then
    insert into public.task_steps (task_id, agency_id, node_id, occurrence, status, attempts, output, error,
                                   started_at, finished_at, copied_from)
    select p_task.id, s.agency_id, s.node_id, s.occurrence, s.status, s.attempts, s.output, s.error,
           s.started_at, s.finished_at, coalesce(s.copied_from, p_of)
      from public.task_steps s
     where s.agency_id = p_task.agency_id and s.task_id = p_of and s.status <> 'failed' and s.node_id = any (p_keep);
    -- a node with an item that failed is not done
    select count(distinct s.node_id) into v_done
      from public.task_steps s
     where s.task_id = p_task.id
       and not exists (select from public.task_steps f
                        where f.task_id = p_of and f.node_id = s.node_id and f.status = 'failed');
    -- as if claimed before: a run looks for committed steps from its second claim on
    update public.task_queue t set retry_of = p_of, epoch = 1, steps_done = least(t.steps_total, v_done)
     where t.id = p_task.id
    returning t.steps_done into steps_done;
  end if;
  return next;
end $$;

-- Dead tasks go back: their attempts count anew, whoever held them before is fenced
-- off, and what they finished stays. Gives those that were dead.
create function app.requeue(p_ids uuid[]) returns setof uuid
language sql volatile set search_path = pg_catalog, pg_temp
as $$
  update public.task_queue t
     set status = 'queued', attempt = 0, epoch = t.epoch + 1, requeues = t.requeues + 1, error = null,
         finished_at = null, lease_until = null, worker = null, cancel_requested_at = null,
         run_at = clock_timestamp(), dispatch_id = gen_random_uuid(), dispatched_at = null
   where t.id = any (p_ids) and t.status = 'dead'
  returning t.id
$$;

-- As app.requeue, for one task of the context's agency.
create function app.requeue_dead(p_id uuid) returns setof uuid
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.requeue(array(select t.id from public.task_queue t where t.id = p_id and t.agency_id = app.agency()))
$$;

revoke all on function app.retry_task(uuid, app.submission, text[]), app.requeue(uuid[]), app.requeue_dead(uuid) from public;
grant execute on function app.retry_task(uuid, app.submission, text[]) to teamai_api;
grant execute on function app.requeue_dead(uuid) to teamai_api;

-- As in 0007. New: the line of a task that was put back carries, as its occurrence,
-- how often that was, so that each end of a task has one line and a second is refused.
create or replace function app.append_audit(p_lines public.audit_logs[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  l record;
  v_line public.audit_logs;
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
  for l in
    select u.ordinality::integer as n, t.requeues
      from unnest(p_lines) with ordinality u join public.task_queue t on t.id = u.task_id
     where u.kind = 'execution' and t.requeues > 0
  loop
    v_line := p_lines[l.n];
    v_line.occurrence := l.requeues;
    p_lines[l.n] := v_line;
  end loop;
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

-- As in 0031. New: a task that was put back and ends again has one more line.
create or replace function app.close_books(p_ids uuid[]) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_ended public.task_queue[];
  v_lines public.audit_logs[];
begin
  select array_agg(t) into v_ended
    from public.task_queue t
   where t.id = any (p_ids) and t.status in ('cancelled', 'dead')
     and not exists (select from public.audit_logs l
                      where l.task_id = t.id and (l.node_id, l.occurrence, l.call_no) = ('', t.requeues, 0));
  if v_ended is null then
    return;
  end if;
  perform app.lose_calls(v_ended);
  select array_agg(row(gen_random_uuid(), t.agency_id, t.id, '', t.requeues, 0, t.team_id, t.agent_instance_id, t.recipe_id,
           'execution', null, null, 'failed', 0, null, null, 0, 0, null, false, '{}',
           coalesce(extract(epoch from t.finished_at - t.started_at) * 1000, 0)::bigint, null, t.finished_at,
           0, '', '')::public.audit_logs)
    into v_lines from unnest(v_ended) t;
  perform app.append_audit(v_lines);
end $$;

reset role;
