-- Takes deliveries that are due, for p_hold_seconds: whoever takes them is killed, and
-- they are due again. Few of each webhook, fewer of one that fails, and none of those
-- that the caller is busy with, so that a slow endpoint holds nobody up. What has no
-- webhook any more is dropped; what has one that was switched off has failed.
create or replace function app.claim_deliveries(p_limit integer, p_each integer, p_busy uuid[], p_hold_seconds integer)
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

alter function app.claim_deliveries owner to teamai_definer;
revoke all on function app.claim_deliveries from public;
grant execute on function app.claim_deliveries to teamai_worker;
