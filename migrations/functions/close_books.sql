-- Closes the books of tasks that ended without a run, of which a claim before may have left
-- calls behind: the customer is billed nothing for them. A task that was put back and ends
-- again has one more line. Tasks may be any tenant's: each line's agency is its task's.
-- With the rights of who calls it.
create or replace function app.close_books(p_ids uuid[]) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_ended public.task_queue[];
  v_lines public.audit_logs[];
begin
  select array_agg(t) into v_ended
    from public.task_queue t
   where t.id = any (p_ids) and t.status in ('cancelled', 'dead')
     and not exists (select from public.audit_logs l
                      where l.task_id = t.id and (l.node_id, l.occurrence, l.call_no) = ('', t.requeues, 0));
  if v_ended is null then
    return;
  end if;
  perform app.lose_calls(v_ended);
  select array_agg(row(gen_random_uuid(), t.agency_id, t.id, '', t.requeues, 0, t.team_id, t.agent_instance_id, t.recipe_id,
           'execution', null, null, 'failed', 0, null, null, 0, 0, null, false, '{}',
           coalesce(extract(epoch from t.finished_at - t.started_at) * 1000, 0)::bigint, null, t.finished_at,
           0, '', '')::public.audit_logs)
    into v_lines from unnest(v_ended) t;
  perform app.append_audit(v_lines);
end $$;

alter function app.close_books owner to teamai_definer;
revoke all on function app.close_books from public;
