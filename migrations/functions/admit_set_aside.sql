-- Gives as many of what is set aside a ticket again, the oldest first, as there are workers
-- without a suspected task. One on its way counts as a place for a moment only: its agency
-- may be paused. Gives how many.
create or replace function app.admit_set_aside(p_alone_from integer, p_gone_after_seconds integer) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_places bigint;
  v_admitted integer;
begin
  if not exists (select from public.tasks_set_aside) then
    return 0;
  end if;
  perform pg_advisory_xact_lock(7103, 0);
  delete from public.tasks_set_aside s
   where not exists (select from public.task_queue t where t.id = s.task_id and t.status = 'queued');
  select (select count(*) from public.workers w
           where w.seen_at >= clock_timestamp() - make_interval(secs => p_gone_after_seconds)
             and not exists (select from public.task_queue t
                              where t.dispatched_at < 'infinity' and t.finished_at is null and t.status = 'running'
                                and t.worker = w.name and t.attempt >= p_alone_from))
       - (select count(*) from public.tasks_set_aside s where s.admitted_at > clock_timestamp() - interval '10 seconds')
    into v_places;
  with next as (
    select t.id from public.tasks_set_aside s join public.task_queue t on t.id = s.task_id
     where s.admitted_at is null and t.status = 'queued'
     order by t.run_at, t.id limit greatest(v_places, 0) for update of t skip locked
  ), told as (
    update public.tasks_set_aside s set admitted_at = clock_timestamp() from next n where s.task_id = n.id
  )
  update public.task_queue t set dispatched_at = null from next n where t.id = n.id;
  get diagnostics v_admitted = row_count;
  return v_admitted;
end $$;

alter function app.admit_set_aside owner to teamai_definer;
revoke all on function app.admit_set_aside from public;
grant execute on function app.admit_set_aside to teamai_worker;
