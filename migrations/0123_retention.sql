-- Finished tasks go after a while, in small pieces. The ledger, results of experiments
-- and statements refer to no task and stay.
set local role teamai_definer;

-- Deletes at most p_limit finished tasks, with their steps, that are older than their
-- agency's `retention_days`, or p_default_days where it has set none. Gives how many.
create function app.prune_tasks(p_default_days integer, p_limit integer) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_deleted integer;
begin
  with old as (
    select t.id
      from public.agencies g
     cross join lateral (
       select q.id from public.task_queue q
        where q.agency_id = g.id
          and q.finished_at < clock_timestamp()
              - make_interval(days => coalesce((g.settings ->> 'retention_days')::integer, p_default_days))
        order by q.finished_at limit p_limit for update skip locked) t
     limit p_limit
  )
  delete from public.task_queue q using old where q.id = old.id;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end $$;

revoke all on function app.prune_tasks(integer, integer) from public;
grant execute on function app.prune_tasks(integer, integer) to teamai_worker;

-- As in 0007. New: the count of a cycle starts anew with it and does not sink when old
-- tasks go; stored answers and the times of schedules have had their day as well.
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

reset role;
