-- As close_books, for tasks of the context's agency.
create or replace function app.close_unrun(p_ids uuid[]) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select app.close_books(array(select t.id from public.task_queue t
                                where t.id = any (p_ids) and t.agency_id = app.agency()))
$$;

alter function app.close_unrun owner to teamai_definer;
revoke all on function app.close_unrun from public;
grant execute on function app.close_unrun to teamai_api;
