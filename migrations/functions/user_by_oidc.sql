-- Signing in: an account at a provider says whose it is.
create or replace function app.user_by_oidc(p_issuer text, p_subject text)
returns table (user_id uuid, agency_id uuid)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select i.user_id, i.agency_id from public.oidc_identities i where i.issuer = p_issuer and i.subject = p_subject
$$;

alter function app.user_by_oidc owner to teamai_definer;
revoke all on function app.user_by_oidc from public;
grant execute on function app.user_by_oidc to teamai_api;
