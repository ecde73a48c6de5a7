-- Takes tasks out of the backlog until p_window of them wait for a worker: by turns
-- among the agencies, those first that have least in flight; an agency's own by
-- priority, then by age. Gives them in this order; `more` says that others could have
-- gone if there had been room, `held` that some wait for a limit. Gives no row while
-- another process is at it.
create or replace function app.dispatch_tasks(p_window integer, p_agency_limit integer)
returns table (ids uuid[], dispatch_ids uuid[], more boolean, held boolean)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  v_lanes app.lane[];
  v_out app.lane[];
  v_counts bigint[];
  v_room bigint;
  v_chosen uuid[];
  v_locked uuid[];
  v_more boolean;
  v_held boolean;
begin
  if not pg_try_advisory_xact_lock(7102, 0) then
    return;
  end if;

  v_lanes := array(select l from app.backlog_lanes() l);
  if cardinality(v_lanes) = 0 then
    return query select '{}'::uuid[], '{}'::uuid[], false, false;
    return;
  end if;

  select array_agg(row(o.agency_id, o.team_id, null, o.recipe_id)::app.lane), array_agg(o.n),
         p_window - coalesce(sum(o.waiting), 0)::bigint
    into v_out, v_counts, v_room
    from (select t.agency_id, t.team_id, t.recipe_id, count(*) as n, count(*) filter (where t.status = 'queued') as waiting
            from public.task_queue t
           where t.dispatched_at < 'infinity' and t.finished_at is null
           group by 1, 2, 3) o;
  if v_room <= 0 then
    return query select '{}'::uuid[], '{}'::uuid[], true, false;
    return;
  end if;

  with flying as (
    select o.agency_id, o.team_id, r.cookbook_id, o.n
      from unnest(v_out, v_counts) o (agency_id, team_id, agent_instance_id, recipe_id, n)
      join public.recipes r on r.id = o.recipe_id
  ), lane as (
    select r.*, coalesce(a.n, 0) as flying, r.agency_limit - coalesce(a.n, 0) as agency_free,
           r.team_limit - coalesce(t.n, 0) as team_free, r.cookbook_limit - coalesce(c.n, 0) as cookbook_free
      from app.rules_of(v_lanes, p_agency_limit) r
      left join (select f.agency_id, sum(f.n)::bigint as n from flying f group by 1) a on a.agency_id = r.agency_id
      left join (select f.team_id, sum(f.n)::bigint as n from flying f group by 1) t on t.team_id = r.team_id
      left join (select f.agency_id, f.cookbook_id, sum(f.n)::bigint as n from flying f group by 1, 2) c
        on c.agency_id = r.agency_id and c.cookbook_id = r.cookbook_id
     where not r.paused
  ), open as (
    select l.* from lane l where least(l.agency_free, l.team_free, l.cookbook_free, 1) > 0
  ), turn as (
    -- twice an even share: more than that no agency gets in one go
    select least(v_room, ceil(2.0 * v_room / greatest(count(distinct o.agency_id), 1)))::bigint as most from open o
  ), first as (
    select o.*, c.id, c.priority, c.run_at
      from open o cross join turn cross join lateral (
        select t.id, t.priority, t.run_at from public.task_queue t
         where (t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id)
             = (o.agency_id, o.team_id, o.agent_instance_id, o.recipe_id)
           and t.dispatched_at is null and t.finished_at is null and t.run_at <= clock_timestamp()
           and (t.status = 'queued' or (t.status = 'running' and t.lease_until < clock_timestamp()))
         order by t.priority desc, t.run_at limit turn.most + 1) c
  ), narrow as (
    select f.*, row_number() over (partition by f.agency_id, f.team_id order by f.priority desc, f.run_at, f.id) as of_team,
           row_number() over (partition by f.agency_id, f.cookbook_id order by f.priority desc, f.run_at, f.id) as of_cookbook
      from first f
  ), wide as (
    select n.*, row_number() over (partition by n.agency_id order by n.priority desc, n.run_at, n.id) as of_agency
      from narrow n
     where (n.of_team > n.team_free) is not true and (n.of_cookbook > n.cookbook_free) is not true
  ), free as (
    select w.* from wide w where (w.of_agency > w.agency_free) is not true
  ), chosen as (
    select f.id, f.flying + f.of_agency as place, f.run_at
      from free f cross join turn where f.of_agency <= turn.most
     order by 2, 3 limit v_room
  )
  select array_agg(c.id order by c.place, c.run_at), (select count(*) from free) > count(*),
         (select count(*) from lane) > (select count(*) from open) or (select count(*) from first) > (select count(*) from free)
    into v_chosen, v_more, v_held from chosen c;

  -- By ids in arrays, which the primary key finds whatever is known of the table: a
  -- join with what was chosen compared all with all where its size was not known.
  select array_agg(l.id) into v_locked
    from (select t.id from public.task_queue t
           where t.id = any (v_chosen) and t.dispatched_at is null and t.finished_at is null
           order by t.id for update of t skip locked) l;
  return query
  with marked as (
    update public.task_queue t set dispatch_id = gen_random_uuid(), dispatched_at = clock_timestamp()
     where t.id = any (v_locked)
    returning t.id, t.dispatch_id
  )
  select coalesce(array_agg(m.id order by c.place), '{}'), coalesce(array_agg(m.dispatch_id order by c.place), '{}'),
         v_more, v_held
    from marked m join unnest(v_chosen) with ordinality c (id, place) on c.id = m.id;
end $$;

alter function app.dispatch_tasks owner to teamai_definer;
revoke all on function app.dispatch_tasks from public;
grant execute on function app.dispatch_tasks to teamai_worker;
