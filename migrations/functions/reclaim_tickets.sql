-- Puts tasks back into the backlog whose ticket is not among those that wait in Redis:
-- it was lost, or whoever took it died. p_grace_ms old it must be: a ticket is on its
-- way to a claim for a moment. Gives how many.
create or replace function app.reclaim_tickets(p_waiting uuid[], p_grace_ms integer) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
  with lost as (
    select t.id from public.task_queue t
     where t.dispatched_at < 'infinity' and t.finished_at is null
       and t.dispatched_at <= clock_timestamp() - make_interval(secs => p_grace_ms / 1000.0)
       and (t.status = 'queued' or (t.status = 'running' and t.lease_until < clock_timestamp()))
       and not exists (select from unnest(p_waiting) w (id) where w.id = t.dispatch_id)
     order by t.id for update of t skip locked
  ), reclaimed as (
    update public.task_queue t set dispatched_at = null from lost where t.id = lost.id returning 1
  )
  select count(*) from reclaimed
$$;

alter function app.reclaim_tickets owner to teamai_definer;
revoke all on function app.reclaim_tickets from public;
grant execute on function app.reclaim_tickets to teamai_worker;
