-- The newest event of each of these tasks of the context's agency, for a process that
-- streams them. Gives numbers alone: what they stand for is read under row-level security.
create or replace function app.newest_events(p_tasks uuid[], p_since timestamptz[]) returns table (task_id uuid, seq bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select w.id, e.seq
    from unnest(p_tasks, p_since) w (id, since)
   cross join lateral (select e.seq from public.task_events e
                        where e.task_id = w.id and e.created_at >= w.since and e.agency_id = app.agency()
                        order by e.seq desc limit 1) e
$$;

alter function app.newest_events owner to teamai_definer;
revoke all on function app.newest_events from public;
grant execute on function app.newest_events to teamai_api;
