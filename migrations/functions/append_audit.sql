-- Appends lines to the chains of their agencies. Heads are locked in a fixed order, after
-- any task rows. Only the hashing goes line by line: a statement for each line would cost
-- five times as much. The line of a task that was put back carries, as its occurrence, how
-- often that was, so that each end of a task has one line and a second is refused.
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

alter function app.append_audit owner to teamai_definer;
revoke all on function app.append_audit from public;
