-- Exchanging a code: whoever has it, and the secret of the browser's cookie, has no session yet.
create or replace function app.oidc_code_by_hash(p_hash bytea)
returns table (id uuid, agency_id uuid, user_id uuid)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select c.id, c.agency_id, c.user_id from public.oidc_codes c where c.code_hash = p_hash
$$;

alter function app.oidc_code_by_hash owner to teamai_definer;
revoke all on function app.oidc_code_by_hash from public;
grant execute on function app.oidc_code_by_hash to teamai_api;
