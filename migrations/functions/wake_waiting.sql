-- Puts waiting tasks back into the queue: those whose time has come, and those with
-- news. A task that is to be cancelled is ended by its claim or its worker. Waits for
-- no lock; what is held elsewhere is for the next look. Gives how many tasks go on.
create or replace function app.wake_waiting(p_limit integer) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_timed integer;
  v_told integer;
begin
  with due as (
    select t.id from public.task_queue t
     where t.wake_at <= clock_timestamp()
     order by t.wake_at limit p_limit for update of t skip locked
  )
  update public.task_queue t
     set wake_at = null,
         status = case when t.status = 'waiting' then 'queued' else t.status end,
         run_at = case when t.status = 'waiting' then clock_timestamp() else t.run_at end,
         dispatched_at = case when t.status = 'waiting' then null else t.dispatched_at end
    from due where t.id = due.id;
  get diagnostics v_timed = row_count;

  with news as (
    select w.id as wake_id, w.cancel, t.id
      from public.task_wakes w join public.task_queue t on t.agency_id = w.agency_id and t.id = w.task_id
      -- one that runs looks for itself, and is told if it comes to wait
     where t.status <> 'running' or w.cancel
     order by w.id limit p_limit for update of w, t skip locked
  ), heard as (
    delete from public.task_wakes w using news n where w.id = n.wake_id
  )
  update public.task_queue t
     set cancel_requested_at = case when n.cancel then coalesce(t.cancel_requested_at, clock_timestamp())
                                    else t.cancel_requested_at end,
         wake_at = null,
         status = case when t.status = 'waiting' or (n.cancel and t.status = 'parked') then 'queued' else t.status end,
         run_at = case when t.status = 'waiting' or (n.cancel and t.status <> 'running') then clock_timestamp()
                       else t.run_at end,
         dispatched_at = case when t.status = 'running' then t.dispatched_at end
    from (select n.id, bool_or(n.cancel) as cancel from news n group by 1) n
   where t.id = n.id and t.finished_at is null and (n.cancel or t.status = 'waiting');
  get diagnostics v_told = row_count;

  delete from public.task_wakes w
   where not exists (select from public.task_queue t where t.agency_id = w.agency_id and t.id = w.task_id);
  return v_timed + v_told;
end $$;

alter function app.wake_waiting owner to teamai_definer;
revoke all on function app.wake_waiting from public;
grant execute on function app.wake_waiting to teamai_worker;
