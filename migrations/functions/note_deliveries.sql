-- Writes what webhooks have to be told of new events, in the transaction of the events.
-- Whoever inserts events is the definer, and the inserts here are its own.
create or replace function app.note_deliveries() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp set jit = off set enable_nestloop = on
as $$
begin
  -- What an installation without webhooks pays.
  if not exists (select from public.webhooks w where w.enabled) then
    return null;
  end if;
  insert into public.webhook_deliveries (id, agency_id, webhook_id, event_seq, type, task_id, data, occurred_at)
  select app.uuid_v7(), e.agency_id, w.id, e.seq, e.type, e.task_id,
         t.data || jsonb_strip_nulls(jsonb_build_object('node_id', e.node_id, 'occurrence', e.occurrence,
           'attempt', e.attempt, 'error_code', e.error_code)),
         e.created_at
    from (select * from noted n where n.agency_id in (select w.agency_id from public.webhooks w where w.enabled)) e
    -- never joined by reading all tasks
   cross join lateral (
     select q.team_id, jsonb_build_object('task_id', q.id, 'agency_id', q.agency_id, 'team_id', q.team_id,
              'agent_instance_id', q.agent_instance_id, 'recipe', q.recipe_slug, 'recipe_version', q.recipe_version,
              'status', q.status, 'tags', q.tags, 'tokens_used', q.tokens_used, 'cost_usd', q.cost_usd::text) as data
       from public.task_queue q where q.agency_id = e.agency_id and q.id = e.task_id offset 0) t
    join public.webhooks w on w.agency_id = e.agency_id and w.enabled and e.type = any (w.events)
     and (w.team_id is null or w.team_id = t.team_id);
  return null;
end $$;

alter function app.note_deliveries owner to teamai_definer;
revoke all on function app.note_deliveries from public;
