-- Agencies, their teams, people and sessions.
set local role teamai_owner;

create table agencies (
  id            uuid primary key,
  name          text not null check (length(btrim(name)) between 1 and 200),
  billing_email text check (length(billing_email) between 3 and 320),
  -- {"default_provider": ..., "default_model": ...}; unknown keys are refused by the API
  settings      jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
  status        text not null default 'active' check (status in ('active', 'suspended')),
  created_at    timestamptz not null default clock_timestamp(),
  updated_at    timestamptz not null default clock_timestamp()
);
select app.protect('agencies', 'id');
create trigger agencies_touch before update on agencies for each row execute function app.touch();
grant select, insert on agencies to teamai_api;
grant update (name, billing_email, settings) on agencies to teamai_api;
grant select on agencies to teamai_worker;

create table teams (
  id         uuid primary key,
  agency_id  uuid not null references agencies on delete cascade,
  name       text not null check (length(btrim(name)) between 1 and 200),
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint teams_name_taken unique (agency_id, name),
  constraint teams_tenant_key unique (agency_id, id)
);
select app.protect('teams');
create trigger teams_touch before update on teams for each row execute function app.touch();
grant select, insert, delete on teams to teamai_api;
grant update (name) on teams to teamai_api;
grant select on teams to teamai_worker;

create table users (
  id            uuid primary key,
  agency_id     uuid not null references agencies on delete cascade,
  team_id       uuid,
  email         text not null check (email = lower(email) and length(email) between 3 and 320),
  password_hash text not null,
  full_name     text check (length(full_name) between 1 and 200),
  role          text not null check (role in ('agency_admin', 'team_member')),
  status        text not null default 'active' check (status in ('active', 'deactivated')),
  created_at    timestamptz not null default clock_timestamp(),
  updated_at    timestamptz not null default clock_timestamp(),
  last_login_at timestamptz,
  constraint users_email_taken unique (email),
  constraint users_tenant_key unique (agency_id, id),
  constraint users_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id) on delete set null (team_id)
);
create index users_by_team on users (agency_id, team_id);
select app.protect('users');
create trigger users_touch before update on users for each row execute function app.touch();
grant select, insert on users to teamai_api;
grant update (team_id, password_hash, full_name, role, status, last_login_at) on users to teamai_api;

-- One sign-in on one device. Refresh tokens of a session are its family.
create table sessions (
  id           uuid primary key,
  agency_id    uuid not null,
  user_id      uuid not null,
  user_agent   text check (length(user_agent) <= 400),
  created_at   timestamptz not null default clock_timestamp(),
  expires_at   timestamptz not null,
  revoked_at   timestamptz,
  constraint sessions_tenant_key unique (agency_id, id),
  foreign key (agency_id, user_id) references users (agency_id, id) on delete cascade
);
create index sessions_by_user on sessions (agency_id, user_id);
select app.protect('sessions');
grant select, insert on sessions to teamai_api;
grant update (revoked_at) on sessions to teamai_api;

create table refresh_tokens (
  id         uuid primary key,
  agency_id  uuid not null,
  session_id uuid not null,
  token_hash bytea not null check (octet_length(token_hash) = 32),
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  used_at    timestamptz,
  constraint refresh_tokens_hash_key unique (token_hash),
  foreign key (agency_id, session_id) references sessions (agency_id, id) on delete cascade
);
create index refresh_tokens_by_session on refresh_tokens (agency_id, session_id);
select app.protect('refresh_tokens');
grant select, insert on refresh_tokens to teamai_api;
grant update (used_at) on refresh_tokens to teamai_api;

-- Failed sign-ins, counted for an address whether an account has it or not.
-- No tenant: the key is an HMAC, and nothing can be read back from it.
create table login_throttle (
  key           bytea primary key check (octet_length(key) = 32),
  failures      integer not null check (failures > 0),
  blocked_until timestamptz,
  updated_at    timestamptz not null default clock_timestamp()
);
grant select, insert, update, delete on login_throttle to teamai_api;

reset role;

-- The doors that sign-in needs before a tenant is known.
set local role teamai_definer;

create function app.user_by_email(p_email text)
returns table (id uuid, agency_id uuid, password_hash text, status text)
language sql stable security definer set search_path = pg_catalog
as $$ select u.id, u.agency_id, u.password_hash, u.status from public.users u where u.email = p_email $$;

create function app.refresh_token_by_hash(p_hash bytea)
returns table (id uuid, agency_id uuid, session_id uuid, user_id uuid, used_at timestamptz, expires_at timestamptz,
               session_expires_at timestamptz, session_revoked_at timestamptz)
language sql stable security definer set search_path = pg_catalog
as $$
  select t.id, t.agency_id, t.session_id, s.user_id, t.used_at, t.expires_at, s.expires_at, s.revoked_at
    from public.refresh_tokens t join public.sessions s on s.id = t.session_id
   where t.token_hash = p_hash
$$;

revoke all on function app.user_by_email(text), app.refresh_token_by_hash(bytea) from public;
grant execute on function app.user_by_email(text), app.refresh_token_by_hash(bytea) to teamai_api;

reset role;
