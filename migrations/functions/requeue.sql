-- Dead tasks go back: their attempts count anew, whoever held them before is fenced
-- off, and what they finished stays. Gives those that were dead.
create or replace function app.requeue(p_ids uuid[]) returns setof uuid
language sql volatile set search_path = pg_catalog, pg_temp
as $$
  update public.task_queue t
     set status = 'queued', attempt = 0, epoch = t.epoch + 1, requeues = t.requeues + 1, error = null,
         finished_at = null, lease_until = null, worker = null, cancel_requested_at = null,
         run_at = clock_timestamp(), dispatch_id = gen_random_uuid(), dispatched_at = null
   where t.id = any (p_ids) and t.status = 'dead'
  returning t.id
$$;

alter function app.requeue owner to teamai_definer;
revoke all on function app.requeue from public;
