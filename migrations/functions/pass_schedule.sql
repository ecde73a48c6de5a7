-- Moves a schedule on past a time that makes no task: one that was missed and is to be
-- skipped, or, with an error, one that failed. Says whether it was still at p_due_at.
create or replace function app.pass_schedule(p_id uuid, p_due_at timestamptz, p_fire_at timestamptz, p_next timestamptz, p_error text)
returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_agency uuid;
begin
  update public.schedules s
     set next_run_at = p_next, enabled = p_next is not null, held_until = null,
         last_error = coalesce(p_error, s.last_error),
         failures = s.failures + case when p_error is null then 0 else 1 end
   where s.id = p_id and s.enabled and s.next_run_at = p_due_at
  returning s.agency_id into v_agency;
  if not found then
    return false;
  end if;
  if p_error is not null then
    insert into public.schedule_fires (schedule_id, agency_id, fire_at, error)
    values (p_id, v_agency, p_fire_at, p_error) on conflict do nothing;
  end if;
  return true;
end $$;

alter function app.pass_schedule owner to teamai_definer;
revoke all on function app.pass_schedule from public;
grant execute on function app.pass_schedule to teamai_worker;
