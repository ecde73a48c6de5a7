-- Refreshing: whoever has the token has no session yet, so that no tenant is known.
create or replace function app.refresh_token_by_hash(p_hash bytea)
returns table (id uuid, agency_id uuid, session_id uuid, user_id uuid, used_at timestamptz, expires_at timestamptz,
               session_expires_at timestamptz, session_revoked_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select t.id, t.agency_id, t.session_id, s.user_id, t.used_at, t.expires_at, s.expires_at, s.revoked_at
    from public.refresh_tokens t join public.sessions s on s.id = t.session_id
   where t.token_hash = p_hash
$$;

alter function app.refresh_token_by_hash owner to teamai_definer;
revoke all on function app.refresh_token_by_hash from public;
grant execute on function app.refresh_token_by_hash to teamai_api;
