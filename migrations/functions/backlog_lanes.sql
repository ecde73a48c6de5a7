-- The lanes that tasks of the backlog are in: from lane to lane down the index, however many
-- tasks each has. Without a SET clause: whoever reads all tasks instead has to forbid it.
create or replace function app.backlog_lanes() returns setof app.lane
language sql stable
as $$
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
  select l.agency_id, l.team_id, l.agent_instance_id, l.recipe_id from lanes l
$$;

alter function app.backlog_lanes owner to teamai_definer;
revoke all on function app.backlog_lanes from public;
