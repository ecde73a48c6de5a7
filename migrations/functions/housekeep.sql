-- Rolls billing cycles forward, counts the agents active in them, and drops what has had
-- its day. The count of a cycle starts anew with it and does not sink when old tasks go.
create or replace function app.housekeep() returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  update public.subscriptions s
     set cycle_start = (s.cycle_end + (((current_date - s.cycle_end) / 31) || ' months')::interval)::date,
         cycle_end = (s.cycle_end + (((current_date - s.cycle_end) / 31 + 1) || ' months')::interval)::date,
         active_this_month = 0
   where s.cycle_end <= current_date;

  update public.subscriptions s set active_this_month = a.n
    from (select s2.id, count(distinct t.agent_instance_id)::integer as n
            from public.subscriptions s2
            left join public.agent_instances i on i.agency_id = s2.agency_id and i.agent_role_id = s2.agent_role_id
            left join public.task_queue t on t.agency_id = i.agency_id and t.agent_instance_id = i.id
                 and t.started_at >= s2.cycle_start
           group by s2.id) a
   where s.id = a.id and s.active_this_month < a.n;

  delete from public.idempotency_keys where created_at < clock_timestamp() - interval '24 hours';
  delete from public.stored_answers where created_at < clock_timestamp() - interval '24 hours';
  delete from public.schedule_fires where created_at < clock_timestamp() - interval '90 days';
  delete from public.sessions where expires_at < clock_timestamp() - interval '30 days';
$$;

alter function app.housekeep owner to teamai_definer;
revoke all on function app.housekeep from public;
grant execute on function app.housekeep to teamai_worker;
