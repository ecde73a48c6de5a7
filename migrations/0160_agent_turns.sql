-- The conversation of an Agent node, piece by piece, so that a takeover pays no turn twice.
set local role teamai_owner;

create table agent_turns (
  task_id     uuid not null,
  agency_id   uuid not null,
  node_id     text not null,
  occurrence  integer not null check (occurrence >= 0),
  -- from 0, without gaps: a message of the model, the results of its tools, a message, ...
  nth         integer not null check (nth >= 0),
  piece       jsonb not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (task_id, node_id, occurrence, nth),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade
);
select app.protect('agent_turns');
grant select on agent_turns to teamai_worker;

reset role;
set local role teamai_definer;

create type app.turn_write as (
  task_id uuid, epoch bigint, node_id text, occurrence integer, nth integer, piece jsonb);

-- Writes pieces together with the ledger lines of the calls that they come from: a
-- turn is paid for and kept, or neither. Returns the claims whose fence held.
create function app.record_turns(p_lines app.line_write[], p_turns app.turn_write[])
returns table (task_id uuid, epoch bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  -- The fence, in the lock order of app.record.
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
       from app.record('{}'::app.intent_write[], p_lines, '{}'::app.step_write[], '{}'::app.finish_write[]) r;
  end if;

  return query
  select distinct t.id, t.epoch from unnest(p_turns) w
    join public.task_queue t on t.id = w.task_id and t.epoch = w.epoch and t.status = 'running';
end $$;

revoke execute on function app.record_turns(app.line_write[], app.turn_write[]) from public;
grant execute on function app.record_turns(app.line_write[], app.turn_write[]) to teamai_worker;

reset role;
