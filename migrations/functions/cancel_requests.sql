-- Which of these tasks somebody asked to cancel.
create or replace function app.cancel_requests(p_ids uuid[]) returns setof uuid
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select t.id from public.task_queue t where t.id = any (p_ids) and t.cancel_requested_at is not null
$$;

alter function app.cancel_requests owner to teamai_definer;
revoke all on function app.cancel_requests from public;
grant execute on function app.cancel_requests to teamai_worker;
