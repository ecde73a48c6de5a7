-- Sets those of the ids aside that are suspected and find no place in the worker, and gives
-- them: from claim p_alone_from on a task runs as the only one of its kind in a worker. The
-- claim does not count. The oldest gets the place if it is free.
create or replace function app.set_aside(p_ids uuid[], p_worker text, p_max_claims integer, p_alone_from integer) returns uuid[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_aside uuid[];
  v_locked uuid[];
begin
  select array_agg(t.id order by t.run_at, t.id) into v_aside
    from public.task_queue t
   where t.id = any (p_ids) and t.finished_at is null and t.cancel_requested_at is null
     and t.attempt >= p_alone_from - 1 and t.attempt < p_max_claims
     and ((t.status = 'queued' and t.run_at <= clock_timestamp())
       or (t.status = 'running' and t.lease_until < clock_timestamp()));
  if v_aside is null then
    return '{}';
  end if;
  -- A process has its name to itself: what runs under it runs in this one, unless its lease ran out.
  if not exists (select from public.task_queue t
                  where t.dispatched_at < 'infinity' and t.finished_at is null and t.status = 'running'
                    and t.worker = p_worker and t.attempt >= p_alone_from
                    and (t.lease_until >= clock_timestamp() or t.id <> all (p_ids))) then
    v_aside := v_aside[2:];
  end if;
  if cardinality(v_aside) = 0 then
    return '{}';
  end if;

  -- A look at what is set aside sees this whole, or not at all.
  perform pg_advisory_xact_lock(7103, 0);
  select array_agg(l.id) into v_locked
    from (select t.id from public.task_queue t
           where t.id = any (v_aside)
             and (t.status = 'queued' or (t.status = 'running' and t.lease_until < clock_timestamp()))
           order by t.id for update of t skip locked) l;
  -- In two steps, as a trigger gives what is queued anew a ticket.
  update public.task_queue t set status = 'queued', lease_until = null
   where t.id = any (v_locked) and t.status = 'running';
  update public.task_queue t set dispatched_at = 'infinity' where t.id = any (v_locked);
  insert into public.tasks_set_aside (task_id, agency_id)
  select t.id, t.agency_id from public.task_queue t where t.id = any (v_locked)
  on conflict (task_id) do update set admitted_at = null;
  return v_aside;
end $$;

alter function app.set_aside owner to teamai_definer;
revoke all on function app.set_aside from public;
