-- Signing in: the tenant is known only once the person is.
create or replace function app.user_by_email(p_email text)
returns table (id uuid, agency_id uuid, password_hash text, status text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select u.id, u.agency_id, u.password_hash, u.status from public.users u where u.email = p_email $$;

alter function app.user_by_email owner to teamai_definer;
revoke all on function app.user_by_email from public;
grant execute on function app.user_by_email to teamai_api;
