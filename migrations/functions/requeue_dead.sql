-- As app.requeue, for one task of the context's agency.
create or replace function app.requeue_dead(p_id uuid) returns setof uuid
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.requeue(array(select t.id from public.task_queue t where t.id = p_id and t.agency_id = app.agency()))
$$;

alter function app.requeue_dead owner to teamai_definer;
revoke all on function app.requeue_dead from public;
grant execute on function app.requeue_dead to teamai_api;
