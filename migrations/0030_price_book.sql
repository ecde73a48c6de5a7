-- A worker prices the calls of every agency, so it reads the overrides of all of
-- them. The API has no need to: it sees the platform's rows and its caller's own.
set local role teamai_definer;

create function app.price_book() returns setof public.prices
language sql stable security definer set search_path = pg_catalog
as $$
  select * from public.prices
$$;
revoke all on function app.price_book() from public;
grant execute on function app.price_book() to teamai_worker;

reset role;
