-- Calls of earlier claims that nobody settled become `unknown`: their reservation is
-- estimated spend, added to the tasks; a model without a price costs NULL and is flagged.
create or replace function app.lose_calls(p_tasks public.task_queue[]) returns public.audit_logs[]
language plpgsql volatile
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_lost public.audit_logs[];
begin
  if cardinality(p_tasks) = 0 then
    return null;
  end if;
  with lost as (
    update public.call_intents i set state = 'unknown'
      from unnest(p_tasks) t
     where i.task_id = t.id and i.state = 'open'
    returning i.*, t.team_id, t.agent_instance_id, t.recipe_id,
              i.kind = 'llm' and i.price_id is null and i.reserved_usd = 0 as unpriced
  )
  select array_agg(row(gen_random_uuid(), l.agency_id, l.task_id, l.node_id, l.occurrence, l.call_no, l.team_id,
           l.agent_instance_id, l.recipe_id, l.kind, l.provider, l.model, 'unknown', 0, null, null,
           case when l.unpriced then null else l.reserved_usd end, 0, l.price_id, not l.unpriced,
           case when l.unpriced then array['unpriced'] else '{}' end, 0, null, clock_timestamp(), 0, '', '')::public.audit_logs)
    into v_lost from lost l;

  if v_lost is not null then
    perform app.append_audit(v_lost);
    update public.task_queue t set cost_usd = t.cost_usd + coalesce(l.cost, 0)
      from (select u.task_id, sum(u.cost_usd) as cost from unnest(v_lost) u group by 1) l
     where t.id = l.task_id;
  end if;
  return v_lost;
end $$;

alter function app.lose_calls owner to teamai_definer;
revoke all on function app.lose_calls from public;
