-- Writes pieces together with the ledger lines of the calls that they come from: a
-- turn is paid for and kept, or neither. Returns the claims whose fence held.
create or replace function app.record_turns(p_lines app.line_write[], p_turns app.turn_write[])
returns table (task_id uuid, epoch bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  -- The fence, in the lock order of app.record_work.
  perform t.id from public.task_queue t
    join (select distinct w.task_id, w.epoch from unnest(p_turns) w) b on b.task_id = t.id and b.epoch = t.epoch
   where t.status = 'running'
   order by t.id for update of t;

  insert into public.agent_turns (task_id, agency_id, node_id, occurrence, nth, piece)
  select w.task_id, t.agency_id, w.node_id, w.occurrence, w.nth, w.piece
    from unnest(p_turns) w
    join public.task_queue t on t.id = w.task_id and t.epoch = w.epoch and t.status = 'running'
  on conflict do nothing;

  -- Last: it holds the agencies' chains until the commit.
  if cardinality(p_lines) > 0 then
    perform r.task_id
       from app.record_work('{}', p_lines, '{}', '{}', '{}', '{}', '{}', '{}') r;
  end if;

  return query
  select distinct t.id, t.epoch from unnest(p_turns) w
    join public.task_queue t on t.id = w.task_id and t.epoch = w.epoch and t.status = 'running';
end $$;

alter function app.record_turns owner to teamai_definer;
revoke all on function app.record_turns from public;
grant execute on function app.record_turns to teamai_worker;
