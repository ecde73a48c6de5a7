-- A new task like the finished p_of, with the finished steps of p_keep. Those cost it
-- nothing: tokens and cost stay where they were spent. Gives app.submit_tasks'
-- outcome, or `not_finished` if p_of is none of the caller's that has ended.
create or replace function app.retry_task(p_of uuid, p_task app.submission, p_keep text[])
returns table (outcome text, team_id uuid, created_at timestamptz, steps_done integer)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_done integer;
begin
  if p_task.agency_id is distinct from app.agency() then
    raise exception 'a task of another agency than the context''s' using errcode = 'insufficient_privilege';
  end if;
  perform from public.task_queue t
    where t.id = p_of and t.agency_id = p_task.agency_id and t.finished_at is not null
      and (p_task.member_team_id is null or t.team_id = p_task.member_team_id)
    for share;
  if not found then
    return query select 'not_finished', null::uuid, null::timestamptz, 0;
    return;
  end if;
  select r.outcome, r.team_id, r.created_at into outcome, team_id, created_at
    from app.submit_tasks(array[p_task]) r;
  if outcome = 'created' then
    insert into public.task_steps (task_id, agency_id, node_id, occurrence, status, attempts, output, error,
                                   started_at, finished_at, copied_from)
    select p_task.id, s.agency_id, s.node_id, s.occurrence, s.status, s.attempts, s.output, s.error,
           s.started_at, s.finished_at, coalesce(s.copied_from, p_of)
      from public.task_steps s
     where s.agency_id = p_task.agency_id and s.task_id = p_of and s.status <> 'failed' and s.node_id = any (p_keep);
    -- a node with an item that failed is not done
    select count(distinct s.node_id) into v_done
      from public.task_steps s
     where s.task_id = p_task.id
       and not exists (select from public.task_steps f
                        where f.task_id = p_of and f.node_id = s.node_id and f.status = 'failed');
    -- as if claimed before: a run looks for committed steps from its second claim on
    update public.task_queue t set retry_of = p_of, epoch = 1, steps_done = least(t.steps_total, v_done)
     where t.id = p_task.id
    returning t.steps_done into steps_done;
  end if;
  return next;
end $$;

alter function app.retry_task owner to teamai_definer;
revoke all on function app.retry_task from public;
grant execute on function app.retry_task to teamai_api;
