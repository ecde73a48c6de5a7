-- Dispatching, claiming and finding lost tickets, by turns among agencies and within
-- what may run at once.
set local role teamai_owner;

-- Tasks that are alike for every rule: of one agency, team, agent and recipe.
create type app.lane as (agency_id uuid, team_id uuid, agent_instance_id uuid, recipe_id uuid);

-- A lane's rules. A limit that is NULL does not apply.
create type app.lane_rules as (
  agency_id uuid, team_id uuid, agent_instance_id uuid, recipe_id uuid, cookbook_id uuid,
  agency_limit bigint, team_limit bigint, cookbook_limit bigint, paused boolean);

reset role;
set local role teamai_definer;

-- The operator's limit (p_agency_limit) stays above what an agency set itself.
create function app.rules_of(p_lanes app.lane[], p_agency_limit integer) returns setof app.lane_rules
language sql stable
set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
  select l.agency_id, l.team_id, l.agent_instance_id, l.recipe_id, r.cookbook_id,
         least((g.settings ->> 'max_concurrent_tasks')::bigint, p_agency_limit::bigint),
         t.max_concurrent_tasks::bigint, c.max_concurrent_executions,
         exists (select from public.queue_pauses p
                  where p.agency_id = l.agency_id
                    and (p.team_id is null or p.team_id = l.team_id)
                    and (p.agent_instance_id is null or p.agent_instance_id = l.agent_instance_id))
    from unnest(p_lanes) l
    join public.agencies g on g.id = l.agency_id
    join public.teams t on t.id = l.team_id
    join public.recipes r on r.id = l.recipe_id
    left join public.cookbooks c on c.id = r.cookbook_id
$$;

-- Which of the tasks may not run now: paused, or over a limit. What runs is counted
-- from the rows, so that no kill can leave a count behind. Claims of an agency that
-- has limits go one after the other: two that counted at once would pass together.
create function app.held_back(p_ids uuid[], p_agency_limit integer) returns uuid[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  v_rules app.lane_rules[];
  v_agencies uuid[];
  v_key integer;
  v_held uuid[];
begin
  select array_agg(r) into v_rules
    from app.rules_of(array(
           select distinct row(t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id)::app.lane
             from public.task_queue t where t.id = any (p_ids) and t.finished_at is null), p_agency_limit) r
   where r.paused or r.agency_limit is not null or r.team_limit is not null or r.cookbook_limit is not null;
  if v_rules is null then
    return '{}';
  end if;

  select array_agg(distinct r.agency_id) into v_agencies from unnest(v_rules) r where not r.paused;
  for v_key in select distinct hashtext(a::text) as key from unnest(v_agencies) a order by key loop
    perform pg_advisory_xact_lock(7101, v_key);
  end loop;

  with live as (
    select t.agency_id, t.team_id, r.cookbook_id, count(*) as n
      from public.task_queue t join public.recipes r on r.id = t.recipe_id
     where t.agency_id = any (v_agencies) and t.dispatched_at < 'infinity' and t.finished_at is null
       and t.status = 'running' and t.lease_until >= clock_timestamp()
     group by 1, 2, 3
  ), asked as (
    select t.id, t.priority, t.run_at, r.*
      from public.task_queue t
      join unnest(v_rules) r on (r.agency_id, r.team_id, r.agent_instance_id, r.recipe_id)
                              = (t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id)
     where t.id = any (p_ids) and t.finished_at is null and t.cancel_requested_at is null
       and (t.status = 'queued' or t.lease_until < clock_timestamp())
  ), narrow as (
    select a.*,
           a.paused
             or row_number() over (partition by a.agency_id, a.team_id, a.paused order by a.priority desc, a.run_at, a.id)
                + (select coalesce(sum(l.n), 0) from live l where l.agency_id = a.agency_id and l.team_id = a.team_id)
                > a.team_limit is true
             or row_number() over (partition by a.agency_id, a.cookbook_id, a.paused order by a.priority desc, a.run_at, a.id)
                + (select coalesce(sum(l.n), 0) from live l where l.agency_id = a.agency_id and l.cookbook_id = a.cookbook_id)
                > a.cookbook_limit is true as held
      from asked a
  ), wide as (
    select w.id,
           w.held
             or row_number() over (partition by w.agency_id, w.held order by w.priority desc, w.run_at, w.id)
                + (select coalesce(sum(l.n), 0) from live l where l.agency_id = w.agency_id)
                > w.agency_limit is true as held
      from narrow w
  )
  select array_agg(w.id) into v_held from wide w where w.held;
  return coalesce(v_held, '{}');
end $$;

-- The program of before names four arguments, and has no limit of its own.
drop function app.claim_tasks(uuid[], text, integer, integer);

-- Claims what is due, or whose lease ran out, among the ids. What is held back loses
-- its ticket instead and comes back when its turn is. The rest is as it was: status
-- says what the claim found, running (go on), cancelled, or dead.
create function app.claim_tasks(p_ids uuid[], p_worker text, p_lease_seconds integer, p_max_claims integer,
                                p_agency_limit integer default null)
returns table (id uuid, agency_id uuid, team_id uuid, agent_instance_id uuid, recipe_id uuid, recipe_slug text,
               experiment_id uuid, epoch bigint, attempt integer, status text, inputs jsonb, budget_usd numeric,
               tokens_used bigint, cost_usd numeric, started_at timestamptz, created_at timestamptz,
               configuration jsonb, settings jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  v_held uuid[] := app.held_back(p_ids, p_agency_limit);
  v_claimed public.task_queue[];
  v_lost public.audit_logs[];
begin
  if cardinality(v_held) > 0 then
    update public.task_queue t set dispatched_at = null
      from (select h.id from public.task_queue h
             where h.id = any (v_held) and h.dispatched_at is not null and h.finished_at is null
               and (h.status = 'queued' or (h.status = 'running' and h.lease_until < clock_timestamp()))
             order by h.id for update skip locked) held
     where t.id = held.id;
  end if;

  with due as (
    select t.id, case when t.cancel_requested_at is not null then 'cancelled'
                      when t.attempt >= p_max_claims then 'dead' else 'running' end as verdict
      from public.task_queue t
     where t.id = any (p_ids) and t.id <> all (v_held)
       and ((t.status = 'queued' and t.run_at <= clock_timestamp())
         or (t.status = 'running' and t.lease_until < clock_timestamp()))
     order by t.id for update of t skip locked
  ), claimed as (
    update public.task_queue t
       set epoch = t.epoch + 1, status = due.verdict, worker = p_worker,
           attempt = t.attempt + case when due.verdict = 'running' then 1 else 0 end,
           lease_until = case when due.verdict = 'running' then clock_timestamp() + make_interval(secs => p_lease_seconds) end,
           -- a ticket that was thought lost may claim: what runs is not in the backlog
           dispatched_at = coalesce(t.dispatched_at, clock_timestamp()),
           started_at = coalesce(t.started_at, clock_timestamp()),
           finished_at = case when due.verdict <> 'running' then clock_timestamp() end,
           error = case when due.verdict = 'dead' then jsonb_build_object('code', 'claimed_too_often',
             'message', format('the task was claimed %s times and never finished', t.attempt)) end
      from due where t.id = due.id
    returning t
  )
  select array_agg(c.t) into v_claimed from claimed c;

  -- a first claim has none before it
  v_lost := app.lose_calls(array(select t from unnest(v_claimed) t where t.epoch > 1));
  perform app.close_books(array(select t.id from unnest(v_claimed) t where t.status <> 'running'));

  return query
  select t.id, t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id, t.recipe_slug, t.experiment_id, t.epoch,
         t.attempt, t.status, t.inputs, t.budget_usd, t.tokens_used,
         t.cost_usd + coalesce((select sum(u.cost_usd) from unnest(v_lost) u where u.task_id = t.id), 0),
         t.started_at, t.created_at, a.configuration, g.settings
    from unnest(v_claimed) t
    join public.agent_instances a on a.agency_id = t.agency_id and a.id = t.agent_instance_id
    join public.agencies g on g.id = t.agency_id;
end $$;

-- app.due_tasks stays for workers of the release before, while they are replaced.

-- Takes tasks out of the backlog until p_window of them wait for a worker: by turns
-- among the agencies, those first that have least in flight; an agency's own by
-- priority, then by age. Gives them in this order; `more` says that others could have
-- gone if there had been room, `held` that some wait for a limit. Gives no row while
-- another process is at it.
create function app.dispatch_tasks(p_window integer, p_agency_limit integer)
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

  -- From lane to lane down the index, however many tasks each has.
  with recursive lanes as (
    (select t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id
       from public.task_queue t
      where t.dispatched_at is null and t.finished_at is null
      order by t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id limit 1)
    union all
    select n.agency_id, n.team_id, n.agent_instance_id, n.recipe_id
      from lanes l cross join lateral (
        select t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id
          from public.task_queue t
         where t.dispatched_at is null and t.finished_at is null
           and (t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id)
             > (l.agency_id, l.team_id, l.agent_instance_id, l.recipe_id)
         order by t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id limit 1) n
  )
  select array_agg(row(l.agency_id, l.team_id, l.agent_instance_id, l.recipe_id)::app.lane) into v_lanes from lanes l;
  if v_lanes is null then
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

-- Puts tasks back into the backlog whose ticket is not among those that wait in Redis:
-- it was lost, or whoever took it died. p_grace_ms old it must be: a ticket is on its
-- way to a claim for a moment. Gives how many.
create function app.reclaim_tickets(p_waiting uuid[], p_grace_ms integer) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
  with lost as (
    select t.id from public.task_queue t
     where t.dispatched_at < 'infinity' and t.finished_at is null
       and t.dispatched_at <= clock_timestamp() - make_interval(secs => p_grace_ms / 1000.0)
       and (t.status = 'queued' or (t.status = 'running' and t.lease_until < clock_timestamp()))
       and not exists (select from unnest(p_waiting) w (id) where w.id = t.dispatch_id)
     order by t.id for update of t skip locked
  ), reclaimed as (
    update public.task_queue t set dispatched_at = null from lost where t.id = lost.id returning 1
  )
  select count(*) from reclaimed
$$;

revoke all on function app.rules_of(app.lane[], integer), app.held_back(uuid[], integer),
  app.claim_tasks(uuid[], text, integer, integer, integer), app.dispatch_tasks(integer, integer),
  app.reclaim_tickets(uuid[], integer) from public;
grant execute on function app.claim_tasks(uuid[], text, integer, integer, integer) to teamai_worker;
grant execute on function app.dispatch_tasks(integer, integer) to teamai_worker;
grant execute on function app.reclaim_tickets(uuid[], integer) to teamai_worker;

reset role;
