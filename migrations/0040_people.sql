-- API keys and invites, and the doors that check every request's credential.
set local role teamai_owner;

-- A machine's credential. Without a team it acts as an admin of the agency, with
-- one as a member of that team, and in both cases within its scopes.
create table api_keys (
  -- the public part of the key
  id           uuid primary key,
  agency_id    uuid not null references agencies on delete cascade,
  team_id      uuid,
  name         text not null check (length(btrim(name)) between 1 and 200),
  -- SHA-256 of 32 random bytes: a slow hash would only slow down every request
  secret_hash  bytea not null check (octet_length(secret_hash) = 32),
  scopes       text[] not null check (cardinality(scopes) between 1 and 64),
  created_by   uuid,
  created_at   timestamptz not null default clock_timestamp(),
  expires_at   timestamptz,
  -- to the minute
  last_used_at timestamptz,
  revoked_at   timestamptz,
  constraint api_keys_tenant_key unique (agency_id, id),
  -- goes with its team: set to null it would become an admin's
  constraint api_keys_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id) on delete cascade,
  constraint api_keys_creator_unknown foreign key (agency_id, created_by) references users (agency_id, id) on delete set null (created_by)
);
select app.protect('api_keys');
create index api_keys_by_team on api_keys (agency_id, team_id);
create index api_keys_by_creator on api_keys (agency_id, created_by);
grant select, insert on api_keys to teamai_api;
grant update (revoked_at) on api_keys to teamai_api;

-- An address that may make itself an account, until it does, the invite is
-- revoked, or its time is over.
create table invites (
  id          uuid primary key,
  agency_id   uuid not null references agencies on delete cascade,
  team_id     uuid,
  email       text not null check (email = lower(email) and length(email) between 3 and 320),
  role        text not null check (role in ('agency_admin', 'team_member')),
  token_hash  bytea not null check (octet_length(token_hash) = 32),
  invited_by  uuid,
  created_at  timestamptz not null default clock_timestamp(),
  expires_at  timestamptz not null,
  accepted_at timestamptz,
  revoked_at  timestamptz,
  constraint invites_tenant_key unique (agency_id, id),
  constraint invites_token_key unique (token_hash),
  constraint invites_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id) on delete cascade,
  constraint invites_inviter_unknown foreign key (agency_id, invited_by) references users (agency_id, id) on delete set null (invited_by)
);
create unique index invites_email_pending on invites (agency_id, email) where accepted_at is null and revoked_at is null;
create index invites_by_team on invites (agency_id, team_id);
create index invites_by_inviter on invites (agency_id, invited_by);
select app.protect('invites');
grant select, insert on invites to teamai_api;
grant update (accepted_at, revoked_at) on invites to teamai_api;

reset role;

set local role teamai_definer;

-- Both take the credentials of many requests, of any agencies, at once: that each
-- request is checked against the present state would else cost it a transaction of
-- its own. They answer for what was proved alone: the signature of an access token,
-- the secret of a key. Planning anew would cost more than the look-ups: the plan is kept.
create function app.sessions_in_force(p_sessions uuid[], p_users uuid[], p_agencies uuid[], p_now timestamptz)
returns table (place bigint, role text, team_id uuid)
language plpgsql stable security definer set search_path = pg_catalog set plan_cache_mode = force_generic_plan
as $$
begin
  return query
    select p.place, u.role, u.team_id
      from unnest(p_sessions, p_users, p_agencies) with ordinality as p(session_id, user_id, agency_id, place)
      join public.sessions s on s.id = p.session_id
      join public.users u on u.id = s.user_id
      join public.agencies a on a.id = s.agency_id
     -- "is true" keeps the planner from walking all sessions of a user
     where (s.user_id = p.user_id) is true and (s.agency_id = p.agency_id) is true
       and s.revoked_at is null and s.expires_at > p_now and u.status = 'active' and a.status = 'active';
end $$;

create function app.api_keys_in_force(p_ids uuid[], p_hashes bytea[], p_now timestamptz)
returns table (place bigint, agency_id uuid, team_id uuid, scopes text[])
language plpgsql volatile security definer set search_path = pg_catalog set plan_cache_mode = force_generic_plan
as $$
begin
  -- Once a minute for each key; whoever is at it already need not be waited for.
  update public.api_keys k set last_used_at = p_now
   where k.id in (
     select t.id from public.api_keys t
       join unnest(p_ids, p_hashes) as p(id, hash) on t.id = p.id and t.secret_hash = p.hash
      where t.revoked_at is null and (t.expires_at is null or t.expires_at > p_now)
        and (t.last_used_at is null or t.last_used_at <= p_now - interval '1 minute')
        for update of t skip locked);
  return query
    select p.place, k.agency_id, k.team_id, k.scopes
      from unnest(p_ids, p_hashes) with ordinality as p(id, hash, place)
      join public.api_keys k on k.id = p.id and k.secret_hash = p.hash
      join public.agencies a on a.id = k.agency_id
     where k.revoked_at is null and (k.expires_at is null or k.expires_at > p_now) and a.status = 'active';
end $$;

-- Whoever accepts an invite has no account yet: the token alone says for which
-- agency. One that cannot be accepted any more is none.
create function app.pending_invite(p_hash bytea, p_now timestamptz)
returns table (id uuid, agency_id uuid, team_id uuid, email text, role text)
language sql stable security definer set search_path = pg_catalog
as $$
  select i.id, i.agency_id, i.team_id, i.email, i.role from public.invites i
   where i.token_hash = p_hash and i.accepted_at is null and i.revoked_at is null and i.expires_at > p_now
$$;

revoke all on function app.sessions_in_force(uuid[], uuid[], uuid[], timestamptz),
  app.api_keys_in_force(uuid[], bytea[], timestamptz), app.pending_invite(bytea, timestamptz) from public;
grant execute on function app.sessions_in_force(uuid[], uuid[], uuid[], timestamptz),
  app.api_keys_in_force(uuid[], bytea[], timestamptz), app.pending_invite(bytea, timestamptz) to teamai_api;

reset role;
