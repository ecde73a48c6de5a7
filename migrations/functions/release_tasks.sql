-- Hands running tasks back at shutdown: due at once, and the claim does not count.
create or replace function app.release_tasks(p_ids uuid[], p_epochs bigint[]) returns setof uuid
language sql volatile security definer set search_path = pg_catalog, pg_temp
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

alter function app.release_tasks owner to teamai_definer;
revoke all on function app.release_tasks from public;
grant execute on function app.release_tasks to teamai_worker;
