-- Makes the task of one time and moves the schedule on, in one transaction. Only for
-- who still finds the schedule at p_due_at, and only once for a time. The agency is
-- the schedule's. Gives app.submit_tasks' outcome, or `gone`.
create or replace function app.fire_schedule(p_id uuid, p_due_at timestamptz, p_fire_at timestamptz, p_next timestamptz,
                                  p_task app.submission) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_agency uuid;
  v_outcome text;
begin
  select s.agency_id into v_agency from public.schedules s
   where s.id = p_id and s.enabled and s.next_run_at = p_due_at for update;
  if not found then
    return 'gone';
  end if;
  p_task.agency_id := v_agency;
  insert into public.schedule_fires (schedule_id, agency_id, fire_at, task_id)
  values (p_id, v_agency, p_fire_at, p_task.id) on conflict do nothing;
  if not found then
    -- made before, and the schedule was put back to it
    update public.schedules s
       set next_run_at = p_next, enabled = p_next is not null, held_until = null where s.id = p_id;
    return 'gone';
  end if;
  select r.outcome into v_outcome from app.write_tasks(array[p_task]) r;
  if v_outcome <> 'created' then
    -- nothing was written but the fire
    delete from public.schedule_fires f where f.agency_id = v_agency and f.schedule_id = p_id and f.fire_at = p_fire_at;
    return v_outcome;
  end if;
  -- the reconciler that made it pushes its first ticket
  update public.task_queue t set dispatched_at = null where t.id = p_task.id;
  update public.schedules s
     set next_run_at = p_next, enabled = p_next is not null, held_until = null, last_run_at = p_fire_at,
         last_task_id = p_task.id, last_error = null, failures = 0
   where s.id = p_id;
  return v_outcome;
end $$;

alter function app.fire_schedule owner to teamai_definer;
revoke all on function app.fire_schedule from public;
grant execute on function app.fire_schedule to teamai_worker;
