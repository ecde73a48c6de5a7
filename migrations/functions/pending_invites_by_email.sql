-- The invites that wait for an address, for a sign-in through a provider, which knows no
-- agency. Two are enough to know that there is more than one.
create or replace function app.pending_invites_by_email(p_email text, p_now timestamptz)
returns table (id uuid, agency_id uuid, team_id uuid, role text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select i.id, i.agency_id, i.team_id, i.role from public.invites i
   where i.email = p_email and i.accepted_at is null and i.revoked_at is null and i.expires_at > p_now
   limit 2
$$;

alter function app.pending_invites_by_email owner to teamai_definer;
revoke all on function app.pending_invites_by_email from public;
grant execute on function app.pending_invites_by_email to teamai_api;
