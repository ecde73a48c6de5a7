-- Webhooks: where an agency wants to hear of events, and what has to be sent there. A
-- delivery is written in the transaction of its event, so that none is lost.
set local role teamai_owner;

create table webhooks (
  id                         uuid primary key,
  agency_id                  uuid not null references agencies on delete cascade,
  -- with it, the events of this team's tasks alone
  team_id                    uuid,
  url                        text not null check (length(url) between 1 and 2000),
  description                text check (length(description) between 1 and 200),
  events                     text[] not null check (cardinality(events) between 1 and 32),
  enabled                    boolean not null default true,
  -- why it was switched off by itself: endpoint_gone, failing
  disabled_reason            text,
  -- since when every attempt failed
  failing_since              timestamptz,
  -- which of the secrets signs; the one before it signs beside it for a while
  secret_version             integer not null default 1 check (secret_version > 0),
  previous_secret_expires_at timestamptz,
  created_at                 timestamptz not null default clock_timestamp(),
  updated_at                 timestamptz not null default clock_timestamp(),
  constraint webhooks_tenant_key unique (agency_id, id),
  constraint webhooks_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id) on delete cascade
);
create trigger webhooks_touch before update on webhooks for each row execute function app.touch();
select app.protect('webhooks');
create index webhooks_enabled on webhooks (agency_id) where enabled;
grant select, insert, delete on webhooks to teamai_api;
grant update (url, description, events, enabled, disabled_reason, failing_since, secret_version,
              previous_secret_expires_at) on webhooks to teamai_api;
grant select on webhooks to teamai_worker;
grant update (enabled, disabled_reason, failing_since) on webhooks to teamai_worker;

-- No reference to the webhook: its check would make a batch of tasks fail when somebody
-- deletes a webhook at that moment. A delivery without its webhook is dropped when its
-- time comes. So each look compares the agency, and the key carries it: else a row of one
-- agency could stand in the way of another's webhook.
create table webhook_deliveries (
  id              uuid primary key,
  agency_id       uuid not null references agencies on delete cascade,
  webhook_id      uuid not null,
  -- of the event: the same in every attempt and replay
  event_seq       bigint not null,
  type            text not null,
  -- NULL for a test
  task_id         uuid,
  data            jsonb not null,
  occurred_at     timestamptz not null,
  status          text not null default 'pending' check (status in ('pending', 'delivered', 'failed')),
  -- all of them; who made an earlier one may not write its outcome any more
  attempts        integer not null default 0 check (attempts >= 0),
  -- in the present round: a replay begins a new one
  round_attempts  integer not null default 0 check (round_attempts >= 0),
  next_attempt_at timestamptz default clock_timestamp(),
  last_attempt_at timestamptz,
  response_status integer,
  error           text,
  delivered_at    timestamptz,
  created_at      timestamptz not null default clock_timestamp(),
  constraint webhook_deliveries_event_key unique (agency_id, webhook_id, event_seq),
  constraint webhook_deliveries_pending check ((status = 'pending') = (next_attempt_at is not null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
create index webhook_deliveries_due on webhook_deliveries (webhook_id, next_attempt_at) where status = 'pending';
create index webhook_deliveries_listed on webhook_deliveries (agency_id, webhook_id, id);
create index webhook_deliveries_over on webhook_deliveries (id) where status <> 'pending';
select app.protect('webhook_deliveries');
grant select on webhook_deliveries to teamai_api;
grant insert (id, agency_id, webhook_id, event_seq, type, data, occurred_at) on webhook_deliveries to teamai_api;
grant update (status, round_attempts, next_attempt_at, error) on webhook_deliveries to teamai_api;
grant select on webhook_deliveries to teamai_worker;
grant update (status, next_attempt_at, response_status, error, delivered_at) on webhook_deliveries to teamai_worker;

-- A webhook's signing secrets are kept in the locker, one row for each, apart from the
-- secrets that people name, and go with their webhook.
alter table secret_locker add column webhook_id uuid;
alter table secret_locker drop constraint secret_locker_name_key;
alter table secret_locker
  add constraint secret_locker_name_key unique nulls not distinct (agency_id, team_id, webhook_id, key_name),
  add constraint secret_locker_webhook_unknown foreign key (agency_id, webhook_id)
    references webhooks (agency_id, id) on delete cascade;
create index secret_locker_by_webhook on secret_locker (agency_id, webhook_id) where webhook_id is not null;

reset role;
set local role teamai_definer;

grant usage on sequence app.event_seq to teamai_api;

-- A UUIDv7: lists go by id, and ids by time.
create function app.uuid_v7() returns uuid
language sql volatile
return encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
         placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
         52, 1), 53, 1), 'hex')::uuid;
revoke all on function app.uuid_v7() from public;

-- Whoever inserts events is the definer, and the inserts here are its own.
create function app.note_deliveries() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp set jit = off set enable_nestloop = on
as $$
begin
  -- What an installation without webhooks pays.
  if not exists (select from public.webhooks w where w.enabled) then
    return null;
  end if;
  insert into public.webhook_deliveries (id, agency_id, webhook_id, event_seq, type, task_id, data, occurred_at)
  select app.uuid_v7(), e.agency_id, w.id, e.seq, e.type, e.task_id,
         t.data || jsonb_strip_nulls(jsonb_build_object('node_id', e.node_id, 'occurrence', e.occurrence,
           'attempt', e.attempt, 'error_code', e.error_code)),
         e.created_at
    from (select * from noted n where n.agency_id in (select w.agency_id from public.webhooks w where w.enabled)) e
    -- never joined by reading all tasks
   cross join lateral (
     select q.team_id, jsonb_build_object('task_id', q.id, 'agency_id', q.agency_id, 'team_id', q.team_id,
              'agent_instance_id', q.agent_instance_id, 'recipe', q.recipe_slug, 'recipe_version', q.recipe_version,
              'status', q.status, 'tags', q.tags, 'tokens_used', q.tokens_used, 'cost_usd', q.cost_usd::text) as data
       from public.task_queue q where q.agency_id = e.agency_id and q.id = e.task_id offset 0) t
    join public.webhooks w on w.agency_id = e.agency_id and w.enabled and e.type = any (w.events)
     and (w.team_id is null or w.team_id = t.team_id);
  return null;
end $$;
create trigger task_events_deliveries after insert on public.task_events
  referencing new table as noted for each statement execute function app.note_deliveries();
revoke all on function app.note_deliveries() from public;

-- Takes deliveries that are due, for p_hold_seconds: whoever takes them is killed, and
-- they are due again. Few of each webhook, fewer of one that fails, and none of those
-- that the caller is busy with, so that a slow endpoint holds nobody up. What has no
-- webhook any more is dropped; what has one that was switched off has failed.
create function app.claim_deliveries(p_limit integer, p_each integer, p_busy uuid[], p_hold_seconds integer)
returns table (id uuid, agency_id uuid, webhook_id uuid, event_seq bigint, type text, data jsonb,
               occurred_at timestamptz, attempts integer, round_attempts integer, url text, secret_version integer,
               previous_secret_expires_at timestamptz, failing_since timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set jit = off
as $$
#variable_conflict use_column
declare
  v_due uuid[];
begin
  -- Goes from webhook to webhook down the index, however many deliveries wait at each.
  with recursive waiting (webhook_id) as (
    (select d.webhook_id from public.webhook_deliveries d where d.status = 'pending' order by d.webhook_id limit 1)
    union all
    select (select d.webhook_id from public.webhook_deliveries d
             where d.status = 'pending' and d.webhook_id > waiting.webhook_id order by d.webhook_id limit 1)
      from waiting where waiting.webhook_id is not null
  ), due as (
    select d.id
      from waiting
      left join public.webhooks w on w.id = waiting.webhook_id
     cross join lateral (
       select d.id, d.next_attempt_at from public.webhook_deliveries d
        where d.webhook_id = waiting.webhook_id and d.status = 'pending' and d.next_attempt_at <= clock_timestamp()
        order by d.next_attempt_at
        limit case when w.enabled is not true then p_limit when w.failing_since is null then p_each else 1 end) d
     where waiting.webhook_id is not null and waiting.webhook_id <> all (p_busy)
     order by d.next_attempt_at limit p_limit
  )
  select array_agg(l.id) into v_due from (
    select d.id from public.webhook_deliveries d
     where d.id in (select due.id from due) and d.status = 'pending' and d.next_attempt_at <= clock_timestamp()
     order by d.id for update skip locked) l;
  if v_due is null then
    return;
  end if;

  delete from public.webhook_deliveries d
   where d.id = any (v_due)
     and not exists (select from public.webhooks w where w.agency_id = d.agency_id and w.id = d.webhook_id);
  update public.webhook_deliveries d
     set status = 'failed', next_attempt_at = null, error = 'the webhook was switched off'
    from public.webhooks w
   where d.id = any (v_due) and w.agency_id = d.agency_id and w.id = d.webhook_id and not w.enabled;
  return query
  update public.webhook_deliveries d
     set attempts = d.attempts + 1, round_attempts = d.round_attempts + 1, last_attempt_at = clock_timestamp(),
         next_attempt_at = clock_timestamp() + make_interval(secs => p_hold_seconds)
    from public.webhooks w
   where d.id = any (v_due) and w.agency_id = d.agency_id and w.id = d.webhook_id and w.enabled
  returning d.id, d.agency_id, d.webhook_id, d.event_seq, d.type, d.data, d.occurred_at, d.attempts, d.round_attempts,
            w.url, w.secret_version, w.previous_secret_expires_at, w.failing_since;
end $$;
revoke all on function app.claim_deliveries(integer, integer, uuid[], integer) from public;
grant execute on function app.claim_deliveries(integer, integer, uuid[], integer) to teamai_worker;

-- Drops deliveries that are over and old, and those of webhooks that are gone, some at a time.
create function app.keep_deliveries(p_keep_days integer) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  delete from public.webhook_deliveries d where d.id in (
    select o.id from public.webhook_deliveries o
     where o.status <> 'pending' and o.created_at < clock_timestamp() - make_interval(days => p_keep_days)
     order by o.id limit 10000 for update skip locked);
  delete from public.webhook_deliveries d where d.id in (
    select o.id from public.webhook_deliveries o
     where o.status <> 'pending'
       and not exists (select from public.webhooks w where w.agency_id = o.agency_id and w.id = o.webhook_id)
     order by o.id limit 10000 for update skip locked);
$$;
revoke all on function app.keep_deliveries(integer) from public;
grant execute on function app.keep_deliveries(integer) to teamai_worker;

reset role;
