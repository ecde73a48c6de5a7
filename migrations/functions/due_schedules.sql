-- Schedules whose time has come, held for the caller for a while. `now` is the
-- database's: a worker's own clock decides nothing.
create or replace function app.due_schedules(p_limit integer, p_hold_seconds integer)
returns table (id uuid, agency_id uuid, agent_instance_id uuid, created_by uuid, recipe text, version text, inputs jsonb,
               priority smallint, subject text, tags text[], cron text, time_zone text, missed text,
               due_at timestamptz, now timestamptz)
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with due as (
    select s.id from public.schedules s
      join public.agencies g on g.id = s.agency_id and g.status = 'active'
     where s.enabled and s.next_run_at <= clock_timestamp()
       and (s.held_until is null or s.held_until < clock_timestamp())
     order by s.next_run_at limit p_limit for update of s skip locked
  )
  update public.schedules s set held_until = clock_timestamp() + make_interval(secs => p_hold_seconds)
    from due where s.id = due.id
  returning s.id, s.agency_id, s.agent_instance_id, s.created_by, s.recipe, s.version, s.inputs, s.priority, s.subject,
            s.tags, s.cron, s.time_zone, s.missed, s.next_run_at, clock_timestamp()
$$;

alter function app.due_schedules owner to teamai_definer;
revoke all on function app.due_schedules from public;
grant execute on function app.due_schedules to teamai_worker;
