-- A task that was claimed often and never finished may be what brings its workers down,
-- or may have stood beside it. From claim p_alone_from on such tasks run one at a time in
-- a worker, beside those that are not suspected: then the next death tells them apart.
set local role teamai_owner;

-- Suspected tasks that found another in their worker. They are queued, have no ticket and
-- want none (dispatched_at is infinity) until a worker has a place. No reference: a row
-- that outlives its task is dropped at the next look.
create table tasks_set_aside (
  task_id     uuid primary key,
  agency_id   uuid not null,
  -- since when it is on its way to a place; null while it waits for one
  admitted_at timestamptz
);
select app.protect('tasks_set_aside');
grant select, update (claimed_at) on workers to teamai_definer;

reset role;
set local role teamai_definer;

-- Sets those of the ids aside that are suspected and find no place in the worker, and gives
-- them. The claim does not count. The oldest gets the place if it is free.
create function app.set_aside(p_ids uuid[], p_worker text, p_max_claims integer, p_alone_from integer) returns uuid[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_aside uuid[];
  v_locked uuid[];
begin
  if p_alone_from is null then
    -- A worker of the release before, which would never let them go on.
    if exists (select from public.tasks_set_aside) then
      perform pg_advisory_xact_lock(7103, 0);
      update public.task_queue t set dispatched_at = null
       where t.id = any (array(select s.task_id from public.tasks_set_aside s))
         and t.status = 'queued' and t.dispatched_at = 'infinity';
      delete from public.tasks_set_aside;
    end if;
    return '{}';
  end if;

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

-- Gives as many of what is set aside a ticket again, the oldest first, as there are workers
-- without a suspected task. One on its way counts as a place for a moment only: its agency
-- may be paused. Gives how many.
create function app.admit_set_aside(p_alone_from integer, p_gone_after_seconds integer) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_places bigint;
  v_admitted integer;
begin
  if not exists (select from public.tasks_set_aside) then
    return 0;
  end if;
  perform pg_advisory_xact_lock(7103, 0);
  delete from public.tasks_set_aside s
   where not exists (select from public.task_queue t where t.id = s.task_id and t.status = 'queued');
  select (select count(*) from public.workers w
           where w.seen_at >= clock_timestamp() - make_interval(secs => p_gone_after_seconds)
             and not exists (select from public.task_queue t
                              where t.dispatched_at < 'infinity' and t.finished_at is null and t.status = 'running'
                                and t.worker = w.name and t.attempt >= p_alone_from))
       - (select count(*) from public.tasks_set_aside s where s.admitted_at > clock_timestamp() - interval '10 seconds')
    into v_places;
  with next as (
    select t.id from public.tasks_set_aside s join public.task_queue t on t.id = s.task_id
     where s.admitted_at is null and t.status = 'queued'
     order by t.run_at, t.id limit greatest(v_places, 0) for update of t skip locked
  ), told as (
    update public.tasks_set_aside s set admitted_at = clock_timestamp() from next n where s.task_id = n.id
  )
  update public.task_queue t set dispatched_at = null from next n where t.id = n.id;
  get diagnostics v_admitted = row_count;
  return v_admitted;
end $$;

-- The program of before names five arguments, and suspects nobody.
drop function app.claim_tasks(uuid[], text, integer, integer, integer);

-- As it was, with what is set aside.
create function app.claim_tasks(p_ids uuid[], p_worker text, p_lease_seconds integer, p_max_claims integer,
                                p_agency_limit integer default null, p_alone_from integer default null)
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
  v_aside uuid[] := app.set_aside(array(select i from unnest(p_ids) i where i <> all (v_held)), p_worker, p_max_claims,
                                  p_alone_from);
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
     where t.id = any (p_ids) and t.id <> all (v_held) and t.id <> all (v_aside)
       and ((t.status = 'queued' and t.run_at <= clock_timestamp())
         or (t.status = 'running' and t.lease_until < clock_timestamp()))
     order by t.id for update of t skip locked
  ), claimed as (
    update public.task_queue t
       set epoch = t.epoch + 1, status = due.verdict, worker = p_worker,
           attempt = t.attempt + case when due.verdict = 'running' then 1 else 0 end,
           lease_until = case when due.verdict = 'running' then clock_timestamp() + make_interval(secs => p_lease_seconds) end,
           -- a ticket that was thought lost may claim: what runs is not in the backlog
           dispatched_at = case when t.dispatched_at < 'infinity' then t.dispatched_at else clock_timestamp() end,
           started_at = coalesce(t.started_at, clock_timestamp()),
           finished_at = case when due.verdict <> 'running' then clock_timestamp() end,
           error = case when due.verdict = 'dead' then jsonb_build_object('code', 'claimed_too_often',
             'message', format('the task was claimed %s times and never finished', t.attempt)) end
      from due where t.id = due.id
    returning t
  )
  select array_agg(c.t) into v_claimed from claimed c;

  if v_claimed is not null then
    update public.workers w set claimed_at = clock_timestamp()
     where w.name = p_worker and (w.claimed_at > clock_timestamp() - interval '1 second') is not true;
  end if;

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

revoke all on function app.set_aside(uuid[], text, integer, integer), app.admit_set_aside(integer, integer),
  app.claim_tasks(uuid[], text, integer, integer, integer, integer) from public;
grant execute on function app.claim_tasks(uuid[], text, integer, integer, integer, integer) to teamai_worker;
grant execute on function app.admit_set_aside(integer, integer) to teamai_worker;

reset role;
