-- Whoever accepts an invite has no account yet: the token alone says for which
-- agency. One that cannot be accepted any more is none.
create or replace function app.pending_invite(p_hash bytea, p_now timestamptz)
returns table (id uuid, agency_id uuid, team_id uuid, email text, role text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select i.id, i.agency_id, i.team_id, i.email, i.role from public.invites i
   where i.token_hash = p_hash and i.accepted_at is null and i.revoked_at is null and i.expires_at > p_now
$$;

alter function app.pending_invite owner to teamai_definer;
revoke all on function app.pending_invite from public;
grant execute on function app.pending_invite to teamai_api;
