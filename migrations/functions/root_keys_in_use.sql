-- Which root keys wrap how many agency keys, so that a process that was given the
-- wrong one can say so at its start. Ids of root keys are no secrets.
create or replace function app.root_keys_in_use() returns table (root_key_id text, agency_keys bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select k.root_key_id, count(*) from public.agency_keys k group by 1 order by 2 desc, 1
$$;

alter function app.root_keys_in_use owner to teamai_definer;
revoke all on function app.root_keys_in_use from public;
grant execute on function app.root_keys_in_use to teamai_api, teamai_worker;
