-- Extends the leases that still hold; says which of them are to be cancelled.
create or replace function app.heartbeat(p_ids uuid[], p_epochs bigint[], p_lease_seconds integer)
returns table (id uuid, cancel boolean)
language sql volatile security definer set search_path = pg_catalog, pg_temp
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

alter function app.heartbeat owner to teamai_definer;
revoke all on function app.heartbeat from public;
grant execute on function app.heartbeat to teamai_worker;
