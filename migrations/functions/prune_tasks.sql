-- Deletes at most p_limit finished tasks, with their steps, that are older than their
-- agency's `retention_days`, or p_default_days where it has set none. Gives how many.
create or replace function app.prune_tasks(p_default_days integer, p_limit integer) returns integer
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

alter function app.prune_tasks owner to teamai_definer;
revoke all on function app.prune_tasks from public;
grant execute on function app.prune_tasks to teamai_worker;
