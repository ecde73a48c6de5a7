-- A worker prices the calls of every agency, so it reads the overrides of all of them. The
-- API has no need to: it sees the platform's rows and its caller's own.
create or replace function app.price_book() returns setof public.prices
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select * from public.prices
$$;

alter function app.price_book owner to teamai_definer;
revoke all on function app.price_book from public;
grant execute on function app.price_book to teamai_worker;
