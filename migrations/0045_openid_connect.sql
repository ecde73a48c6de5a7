-- Sign-in through OpenID Connect providers.
set local role teamai_owner;

-- Who came in through a provider has no password until one is set.
alter table users alter column password_hash drop not null;

-- An account at a provider that signs a user in. Made once, never changed.
create table oidc_identities (
  id         uuid primary key,
  agency_id  uuid not null,
  user_id    uuid not null,
  issuer     text not null check (length(issuer) between 1 and 500),
  subject    text not null check (length(subject) between 1 and 255),
  created_at timestamptz not null default clock_timestamp(),
  constraint oidc_identities_tenant_key unique (agency_id, id),
  constraint oidc_identities_subject_taken unique (issuer, subject),
  -- an address that a provider gave to another person does not come to the old account
  constraint oidc_identities_user_linked unique (agency_id, user_id, issuer),
  foreign key (agency_id, user_id) references users (agency_id, id) on delete cascade
);
select app.protect('oidc_identities');
grant select, insert on oidc_identities to teamai_api;

-- What a browser brings back from the callback: exchanged once for tokens.
create table oidc_codes (
  id         uuid primary key,
  agency_id  uuid not null,
  user_id    uuid not null,
  -- of the code and of the secret in the browser's cookie together
  code_hash  bytea not null check (octet_length(code_hash) = 32),
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  used_at    timestamptz,
  constraint oidc_codes_hash_key unique (code_hash),
  foreign key (agency_id, user_id) references users (agency_id, id) on delete cascade
);
create index oidc_codes_by_user on oidc_codes (agency_id, user_id);
create index oidc_codes_by_end on oidc_codes (agency_id, expires_at);
select app.protect('oidc_codes');
grant select, insert, delete on oidc_codes to teamai_api;
grant update (used_at) on oidc_codes to teamai_api;

-- Sign-ins that came back from their provider, so that none does twice. No tenant:
-- nobody is known yet, and nothing can be read back from a hash.
create table oidc_flows (
  state_hash bytea primary key check (octet_length(state_hash) = 32),
  expires_at timestamptz not null
);
create index oidc_flows_by_end on oidc_flows (expires_at);
-- the update is for locking what is deleted
grant select, insert, update, delete on oidc_flows to teamai_api;

reset role;

-- Doors that a sign-in needs before a tenant is known.
set local role teamai_definer;

create function app.user_by_oidc(p_issuer text, p_subject text)
returns table (user_id uuid, agency_id uuid)
language sql stable security definer set search_path = pg_catalog
as $$
  select i.user_id, i.agency_id from public.oidc_identities i where i.issuer = p_issuer and i.subject = p_subject
$$;

create function app.oidc_code_by_hash(p_hash bytea)
returns table (id uuid, agency_id uuid, user_id uuid)
language sql stable security definer set search_path = pg_catalog
as $$
  select c.id, c.agency_id, c.user_id from public.oidc_codes c where c.code_hash = p_hash
$$;

-- Two are enough to know that there is more than one.
create function app.pending_invites_by_email(p_email text, p_now timestamptz)
returns table (id uuid, agency_id uuid, team_id uuid, role text)
language sql stable security definer set search_path = pg_catalog
as $$
  select i.id, i.agency_id, i.team_id, i.role from public.invites i
   where i.email = p_email and i.accepted_at is null and i.revoked_at is null and i.expires_at > p_now
   limit 2
$$;

revoke all on function app.user_by_oidc(text, text), app.oidc_code_by_hash(bytea),
  app.pending_invites_by_email(text, timestamptz) from public;
grant execute on function app.user_by_oidc(text, text), app.oidc_code_by_hash(bytea),
  app.pending_invites_by_email(text, timestamptz) to teamai_api;

reset role;

set local role teamai_owner;
-- For the look-up by address, which knows no agency.
create index invites_pending_by_email on invites (email) where accepted_at is null and revoked_at is null;
reset role;
