-- What a line says, without its place in the chain. %L quotes and escapes, so that
-- no two lines print alike. Without a SET clause, so that it is inlined.
create or replace function app.audit_text(l public.audit_logs) returns text
language sql stable
return format('%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L|%L',
  l.id, l.agency_id, l.task_id, l.node_id, l.occurrence, l.call_no, l.team_id, l.agent_instance_id, l.recipe_id,
  l.kind, l.provider, l.model, l.status, l.tokens_used, l.usage, l.raw_usage, l.cost_usd, l.billed_usd, l.price_id,
  l.estimated, l.flags, l.execution_time_ms || ' ' || coalesce(l.request_id, ''),
  (extract(epoch from l."timestamp") * 1000000)::bigint);

alter function app.audit_text owner to teamai_definer;
revoke all on function app.audit_text from public;
