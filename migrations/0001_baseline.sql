-- The schema as it is. Functions stand one a file in functions/; those that tables name in
-- their policies and triggers are laid in between, the others after this file: see README.md.

-- ============================================================================
-- Roles, schemas, and the functions that tables need

-- teamai_owner    owns tables and types; cannot log in
-- teamai_definer  owns the few SECURITY DEFINER functions that cross tenants; cannot log in
-- teamai_api      the HTTP API's role, under row-level security
-- teamai_worker   the worker's role, under row-level security
--
-- Roles belong to the cluster, not to the database: another database of the same
-- cluster may have made them already, or be making them at this moment.
do $$
declare
  r record;
begin
  for r in
    select * from (values ('teamai_owner', 'nologin'), ('teamai_definer', 'nologin'),
                          ('teamai_api', 'login'), ('teamai_worker', 'login')) as v(name, can_login)
  loop
    begin
      if not exists (select from pg_roles where rolname = r.name) then
        execute format('create role %I %s nosuperuser nobypassrls nocreatedb nocreaterole', r.name, r.can_login);
        if r.can_login = 'login' then
          execute format('alter role %I set idle_in_transaction_session_timeout = ''30s''', r.name);
        end if;
      end if;
    exception when duplicate_object or unique_violation then
      null;
    end;
  end loop;
  if not (select rolsuper from pg_roles where rolname = current_user) then
    execute format('grant teamai_owner, teamai_definer to %I', current_user);
  end if;
  execute format('grant create on database %I to teamai_owner', current_database());
end $$;

revoke all on schema public from public;
create schema app authorization teamai_owner;
grant usage, create on schema public to teamai_owner;
grant usage on schema public to teamai_definer, teamai_api, teamai_worker;
grant usage, create on schema app to teamai_definer;
grant usage on schema app to teamai_api, teamai_worker;
-- Readiness compares what is applied with what is in the binary.
grant select on _sqlx_migrations to teamai_api, teamai_worker;

\ir functions/agency.sql
\ir functions/protect.sql
\ir functions/refuse_change.sql
\ir functions/touch.sql
\ir functions/check_catalogue_owner.sql
\ir functions/bound_number.sql
\ir functions/ticket_follows.sql

set local role teamai_owner;

-- Texts of functions/ that were laid; of a name the newest stands. The older ones are
-- kept so that a program of before knows that its own were laid once.
create table _laid_functions (
  name     text not null,
  checksum bytea not null check (octet_length(checksum) = 32),
  laid_at  timestamptz not null default clock_timestamp(),
  primary key (name, checksum)
);
grant select on _laid_functions to teamai_api, teamai_worker;

-- ============================================================================
-- Agencies, their teams and people

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
  id                   uuid primary key,
  agency_id            uuid not null references agencies on delete cascade,
  name                 text not null check (length(btrim(name)) between 1 and 200),
  -- tasks that may run at once; NULL is no limit of its own
  max_concurrent_tasks integer check (max_concurrent_tasks between 1 and 100000),
  created_at           timestamptz not null default clock_timestamp(),
  updated_at           timestamptz not null default clock_timestamp(),
  constraint teams_name_taken unique (agency_id, name),
  constraint teams_tenant_key unique (agency_id, id)
);
select app.protect('teams');
create trigger teams_touch before update on teams for each row execute function app.touch();
grant select, insert, delete on teams to teamai_api;
grant update (name, max_concurrent_tasks) on teams to teamai_api;
grant select on teams to teamai_worker;

create table users (
  id            uuid primary key,
  agency_id     uuid not null references agencies on delete cascade,
  team_id       uuid,
  email         text not null check (email = lower(email) and length(email) between 3 and 320),
  -- who came in through an OpenID Connect provider has none until one is set
  password_hash text,
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
-- For the look-up by address, which knows no agency.
create index invites_pending_by_email on invites (email) where accepted_at is null and revoked_at is null;
create index invites_by_team on invites (agency_id, team_id);
create index invites_by_inviter on invites (agency_id, invited_by);
select app.protect('invites');
grant select, insert on invites to teamai_api;
grant update (accepted_at, revoked_at) on invites to teamai_api;

-- ============================================================================
-- Signing in

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
-- Old rows are found and dropped.
create index login_throttle_by_age on login_throttle (updated_at);
grant select, insert, update, delete on login_throttle to teamai_api;

-- An account at an OpenID Connect provider that signs a user in. Made once, never
-- changed; people may unlink it.
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
grant select, insert, delete on oidc_identities to teamai_api;

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

-- Answers to requests with an Idempotency-Key, for whoever repeats the request.
create table stored_answers (
  agency_id    uuid not null references agencies on delete cascade,
  -- the person or the API key: an answer may hold a secret that was shown to them alone
  caller       uuid not null,
  operation    text not null check (length(operation) between 1 and 100),
  key          text not null check (length(key) between 1 and 255),
  request_hash bytea not null check (octet_length(request_hash) = 32),
  -- of the request that is at it, or was
  claim        uuid not null,
  -- NULL while it is under way
  status       smallint check (status between 200 and 299),
  -- headers and body, sealed with the agency's key of this version
  key_version  integer,
  nonce        bytea,
  ciphertext   bytea,
  created_at   timestamptz not null default clock_timestamp(),
  primary key (agency_id, caller, operation, key),
  constraint stored_answers_whole
    check ((status is null) = (ciphertext is null) and num_nulls(key_version, nonce, ciphertext) in (0, 3))
);
create index stored_answers_age on stored_answers (created_at);
select app.protect('stored_answers');
grant select, insert, update, delete on stored_answers to teamai_api;

-- ============================================================================
-- The catalogue: roles on offer, cookbooks and recipes. agency_id NULL is the platform's own.

create table agent_roles (
  id           uuid primary key,
  agency_id    uuid references agencies on delete cascade,
  name         text not null check (length(btrim(name)) between 1 and 200),
  description  text not null default '',
  version      text not null default '1.0.0',
  status       text not null default 'available' check (status in ('available', 'upcoming', 'deprecated')),
  capabilities jsonb not null default '[]' check (jsonb_typeof(capabilities) = 'array'),
  base_price   numeric(20, 10) not null default 0 check (base_price >= 0),
  currency     text not null default 'USD' check (currency ~ '^[A-Z]{3}$'),
  created_at   timestamptz not null default clock_timestamp(),
  updated_at   timestamptz not null default clock_timestamp(),
  constraint agent_roles_name_taken unique nulls not distinct (agency_id, name)
);
select app.protect('agent_roles', p_catalogue => true);
create trigger agent_roles_touch before update on agent_roles for each row execute function app.touch();
grant select, insert, update on agent_roles to teamai_api;
grant select on agent_roles to teamai_worker;

create table cookbooks (
  id            uuid primary key,
  agency_id     uuid references agencies on delete cascade,
  agent_role_id uuid not null references agent_roles,
  slug          text not null check (slug ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
  name          text not null check (length(btrim(name)) between 1 and 200),
  version       text not null,
  document      jsonb not null check (jsonb_typeof(document) = 'object'),
  -- executions at once of an agency's tasks; NULL is no limit
  max_concurrent_executions bigint
                generated always as ((document #>> '{subscription_limits,max_concurrent_executions}')::bigint) stored,
  content_hash  bytea not null check (octet_length(content_hash) = 32),
  created_at    timestamptz not null default clock_timestamp(),
  updated_at    timestamptz not null default clock_timestamp(),
  constraint cookbooks_slug_taken unique nulls not distinct (agency_id, slug)
);
create index cookbooks_by_role on cookbooks (agent_role_id);
select app.protect('cookbooks', p_catalogue => true);
create trigger cookbooks_touch before update on cookbooks for each row execute function app.touch();
create trigger cookbooks_role_owner before insert or update on cookbooks
  for each row execute function app.check_catalogue_owner('agent_roles', 'agent_role_id');
grant select, insert, update on cookbooks to teamai_api;
grant select on cookbooks to teamai_worker;

create table recipes (
  id           uuid primary key,
  agency_id    uuid references agencies on delete cascade,
  cookbook_id  uuid references cookbooks,
  slug         text not null check (slug ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
  name         text not null check (length(btrim(name)) between 1 and 200),
  version      text not null check (length(version) between 1 and 64),
  -- numeric parts of the version padded so that text order is version order; a
  -- pre-release sorts below its release
  version_key  text not null collate "C",
  status       text not null default 'published' check (status in ('published', 'retired')),
  document     jsonb not null check (jsonb_typeof(document) = 'object'),
  content_hash bytea not null check (octet_length(content_hash) = 32),
  created_at   timestamptz not null default clock_timestamp(),
  constraint recipes_version_taken unique nulls not distinct (agency_id, slug, version),
  constraint recipes_name_taken unique nulls not distinct (agency_id, name, version)
);
create index recipes_by_cookbook on recipes (cookbook_id);
create index recipes_newest on recipes (agency_id, slug, version_key desc);
select app.protect('recipes', p_catalogue => true);
create trigger recipes_immutable before update on recipes for each row
  when (row(old.slug, old.name, old.version, old.document, old.content_hash, old.agency_id)
        is distinct from row(new.slug, new.name, new.version, new.document, new.content_hash, new.agency_id))
  execute function app.refuse_change();
create trigger recipes_cookbook_owner before insert or update on recipes
  for each row execute function app.check_catalogue_owner('cookbooks', 'cookbook_id');
grant select, insert on recipes to teamai_api;
grant update (status) on recipes to teamai_api;
grant select on recipes to teamai_worker;

-- ============================================================================
-- Hired agents, and the seats that pay for them

create table subscriptions (
  id                uuid primary key,
  agency_id         uuid not null references agencies on delete restrict,
  agent_role_id     uuid not null references agent_roles on delete restrict,
  purchased_count   integer not null check (purchased_count between 0 and 100000),
  allocated_count   integer not null default 0,
  -- agents that ran at least one task in the current cycle
  active_this_month integer not null default 0 check (active_this_month >= 0),
  unit_price        numeric(20, 10) not null check (unit_price >= 0),
  monthly_cost      numeric(20, 10) not null generated always as (unit_price * purchased_count) stored,
  cycle_start       date not null,
  cycle_end         date not null,
  status            text not null default 'active' check (status in ('active', 'cancelled')),
  created_at        timestamptz not null default clock_timestamp(),
  updated_at        timestamptz not null default clock_timestamp(),
  constraint subscriptions_role_taken unique (agency_id, agent_role_id),
  constraint subscriptions_seats_exhausted check (allocated_count between 0 and purchased_count),
  constraint subscriptions_cycle check (cycle_end > cycle_start)
);
select app.protect('subscriptions');
create trigger subscriptions_touch before update on subscriptions for each row execute function app.touch();
create trigger subscriptions_role_owner before insert or update on subscriptions
  for each row execute function app.check_catalogue_owner('agent_roles', 'agent_role_id');
grant select, insert, update on subscriptions to teamai_api;

create table agent_instances (
  id            uuid primary key,
  agency_id     uuid not null references agencies on delete cascade,
  team_id       uuid not null,
  agent_role_id uuid not null references agent_roles on delete restrict,
  custom_name   text not null check (length(btrim(custom_name)) between 1 and 200),
  avatar_icon   text check (length(avatar_icon) <= 200),
  -- {"provider": ..., "model": ..., ...}
  configuration jsonb not null default '{}' check (jsonb_typeof(configuration) = 'object'),
  status        text not null default 'active' check (status in ('active', 'paused', 'retired')),
  created_at    timestamptz not null default clock_timestamp(),
  updated_at    timestamptz not null default clock_timestamp(),
  constraint agent_instances_tenant_key unique (agency_id, id),
  -- a team with agents is not deleted: its runs and their cost hang on them
  constraint agent_instances_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id)
);
create index agent_instances_by_team on agent_instances (agency_id, team_id, id desc);
select app.protect('agent_instances');
create trigger agent_instances_touch before update on agent_instances for each row execute function app.touch();
create trigger agent_instances_role_owner before insert or update on agent_instances
  for each row execute function app.check_catalogue_owner('agent_roles', 'agent_role_id');
grant select, insert, update on agent_instances to teamai_api;
grant select on agent_instances to teamai_worker;

-- ============================================================================
-- Webhooks: where an agency wants to hear of events, and what has to be sent there

create table webhooks (
  id                         uuid primary key,
  agency_id                  uuid not null references agencies on delete cascade,
  -- with it, the events of this team's tasks alone
  team_id                    uuid,
  url                        text not null check (length(url) between 1 and 2000),
  description                text check (length(description) between 1 and 200),
  events                     text[] not null check (cardinality(events) between 1 and 32),
  enabled                    boolean not null default true,
  -- why it was switched off by itself: endpoint_gone, failing
  disabled_reason            text,
  -- since when every attempt failed
  failing_since              timestamptz,
  -- which of the secrets signs; the one before it signs beside it for a while
  secret_version             integer not null default 1 check (secret_version > 0),
  previous_secret_expires_at timestamptz,
  created_at                 timestamptz not null default clock_timestamp(),
  updated_at                 timestamptz not null default clock_timestamp(),
  constraint webhooks_tenant_key unique (agency_id, id),
  constraint webhooks_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id) on delete cascade
);
create trigger webhooks_touch before update on webhooks for each row execute function app.touch();
select app.protect('webhooks');
create index webhooks_enabled on webhooks (agency_id) where enabled;
grant select, insert, delete on webhooks to teamai_api;
grant update (url, description, events, enabled, disabled_reason, failing_since, secret_version,
              previous_secret_expires_at) on webhooks to teamai_api;
grant select on webhooks to teamai_worker;
grant update (enabled, disabled_reason, failing_since) on webhooks to teamai_worker;

-- Written in the transaction of its event, so that none is lost. No reference to the
-- webhook: its check would make a batch of tasks fail when somebody deletes a webhook at
-- that moment. A delivery without its webhook is dropped when its time comes. So each look
-- compares the agency, and the key carries it: else a row of one agency could stand in the
-- way of another's webhook.
create table webhook_deliveries (
  id              uuid primary key,
  agency_id       uuid not null references agencies on delete cascade,
  webhook_id      uuid not null,
  -- of the event: the same in every attempt and replay
  event_seq       bigint not null,
  type            text not null,
  -- NULL for a test
  task_id         uuid,
  data            jsonb not null,
  occurred_at     timestamptz not null,
  status          text not null default 'pending' check (status in ('pending', 'delivered', 'failed')),
  -- all of them; who made an earlier one may not write its outcome any more
  attempts        integer not null default 0 check (attempts >= 0),
  -- in the present round: a replay begins a new one
  round_attempts  integer not null default 0 check (round_attempts >= 0),
  next_attempt_at timestamptz default clock_timestamp(),
  last_attempt_at timestamptz,
  response_status integer,
  error           text,
  delivered_at    timestamptz,
  created_at      timestamptz not null default clock_timestamp(),
  constraint webhook_deliveries_event_key unique (agency_id, webhook_id, event_seq),
  constraint webhook_deliveries_pending check ((status = 'pending') = (next_attempt_at is not null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
create index webhook_deliveries_due on webhook_deliveries (webhook_id, next_attempt_at) where status = 'pending';
create index webhook_deliveries_listed on webhook_deliveries (agency_id, webhook_id, id);
create index webhook_deliveries_over on webhook_deliveries (id) where status <> 'pending';
select app.protect('webhook_deliveries');
grant select on webhook_deliveries to teamai_api;
grant insert (id, agency_id, webhook_id, event_seq, type, data, occurred_at) on webhook_deliveries to teamai_api;
grant update (status, round_attempts, next_attempt_at, error) on webhook_deliveries to teamai_api;
grant select on webhook_deliveries to teamai_worker;
grant update (status, next_attempt_at, response_status, error, delivered_at) on webhook_deliveries to teamai_worker;

-- ============================================================================
-- The locker

-- The agency's data keys, each wrapped by the root key, which is never in here.
create table agency_keys (
  agency_id   uuid not null references agencies on delete cascade,
  version     integer not null check (version > 0),
  root_key_id text not null,
  nonce       bytea not null check (octet_length(nonce) = 24),
  wrapped_key bytea not null check (octet_length(wrapped_key) = 48),
  created_at  timestamptz not null default clock_timestamp(),
  primary key (agency_id, version)
);
-- Rotation goes through the keys of one root key.
create index agency_keys_by_root on agency_keys (root_key_id, agency_id, version);
select app.protect('agency_keys');
grant select, insert on agency_keys to teamai_api;
grant select on agency_keys to teamai_worker;

create table secret_locker (
  id           uuid primary key,
  agency_id    uuid not null,
  team_id      uuid,
  -- of a webhook's signing secret, one row for each, apart from the secrets that people
  -- name; it goes with its webhook
  webhook_id   uuid,
  key_name     text not null check (key_name ~ '^[a-z0-9][a-z0-9_.-]{0,99}$'),
  version      integer not null default 1 check (version > 0),
  key_version  integer not null,
  nonce        bytea not null check (octet_length(nonce) = 24),
  ciphertext   bytea not null,
  last4        text not null check (length(last4) <= 4),
  -- where the value may be sent, HOST or HOST:PORT; nowhere while there is none
  hosts        text[] not null default '{}'
               check (cardinality(hosts) <= 20 and array_position(hosts, null) is null),
  created_at   timestamptz not null default clock_timestamp(),
  updated_at   timestamptz not null default clock_timestamp(),
  last_used_at timestamptz,
  -- when it was last tried on its provider: once in a few seconds at most
  checked_at   timestamptz,
  constraint secret_locker_name_key unique nulls not distinct (agency_id, team_id, webhook_id, key_name),
  constraint secret_locker_agency_unknown foreign key (agency_id) references agencies on delete cascade,
  -- A key that a secret still uses cannot go. A cascade would take a secret along that is
  -- stored at the moment at which its key is dropped; NO ACTION looks at the end of the
  -- statement, and at what others have committed by then.
  constraint secret_locker_key_unknown foreign key (agency_id, key_version) references agency_keys (agency_id, version),
  constraint secret_locker_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id) on delete cascade,
  constraint secret_locker_webhook_unknown foreign key (agency_id, webhook_id)
    references webhooks (agency_id, id) on delete cascade
);
-- Rotation goes through the secrets of one key version.
create index secret_locker_by_key on secret_locker (agency_id, key_version);
create index secret_locker_by_webhook on secret_locker (agency_id, webhook_id) where webhook_id is not null;
select app.protect('secret_locker');
grant select, insert, update, delete on secret_locker to teamai_api;
grant select on secret_locker to teamai_worker;
grant update (last_used_at) on secret_locker to teamai_worker;

-- ============================================================================
-- What a model costs, and which version of a recipe a run is given

-- USD per million tokens. A new price is a new row; a ledger line keeps the row it used.
create table prices (
  id             uuid primary key,
  agency_id      uuid references agencies on delete restrict,
  provider       text not null,
  model          text not null,
  region         text not null default '',
  tier           text not null default '',
  effective_from timestamptz not null,
  input          numeric(20, 10) not null check (input >= 0),
  cache_read     numeric(20, 10) check (cache_read >= 0),
  cache_write_5m numeric(20, 10) check (cache_write_5m >= 0),
  cache_write_1h numeric(20, 10) check (cache_write_1h >= 0),
  output         numeric(20, 10) not null check (output >= 0),
  reasoning      numeric(20, 10) check (reasoning >= 0),
  source         text not null,
  created_at     timestamptz not null default clock_timestamp(),
  constraint prices_row_taken unique nulls not distinct (agency_id, provider, model, region, tier, effective_from)
);
select app.protect('prices', p_catalogue => true);
create trigger prices_immutable before update or delete on prices for each row execute function app.refuse_change();
grant select on prices to teamai_api, teamai_worker;

-- One for each agency and recipe under test. The salt makes assignments of two
-- experiments independent.
create table experiments (
  id             uuid primary key,
  agency_id      uuid not null references agencies on delete cascade,
  recipe_slug    text not null,
  declared_by    uuid not null references recipes on delete restrict,
  salt           uuid not null,
  success_metric text not null check (success_metric in ('quality_score', 'execution_time', 'token_cost')),
  sample_size    integer not null check (sample_size > 0),
  status         text not null default 'running' check (status in ('running', 'stopped')),
  created_at     timestamptz not null default clock_timestamp(),
  constraint experiments_declaration_key unique (agency_id, declared_by),
  constraint experiments_tenant_key unique (agency_id, id)
);
select app.protect('experiments');
create trigger experiments_recipe_owner before insert or update on experiments
  for each row execute function app.check_catalogue_owner('recipes', 'declared_by');
-- A schedule's task may be under test, as any other: whoever makes it assigns it.
grant select, insert on experiments to teamai_api, teamai_worker;
grant update (status) on experiments to teamai_api;

-- A subject keeps the version it was given first.
create table experiment_assignments (
  agency_id     uuid not null,
  experiment_id uuid not null,
  subject       text not null check (length(subject) between 1 and 255),
  recipe_id     uuid not null references recipes on delete restrict,
  created_at    timestamptz not null default clock_timestamp(),
  primary key (agency_id, experiment_id, subject),
  foreign key (agency_id, experiment_id) references experiments (agency_id, id) on delete cascade
);
select app.protect('experiment_assignments');
create trigger experiment_assignments_recipe_owner before insert or update on experiment_assignments
  for each row execute function app.check_catalogue_owner('recipes', 'recipe_id');
grant select, insert on experiment_assignments to teamai_api, teamai_worker;

-- One row for each finished run of a recipe under test.
create table ab_test_results (
  id                uuid primary key,
  agency_id         uuid not null references agencies on delete restrict,
  experiment_id     uuid not null,
  task_id           uuid not null,
  recipe_id         uuid not null references recipes on delete restrict,
  variant           text not null,
  success_metric    text not null check (success_metric in ('quality_score', 'execution_time', 'token_cost')),
  -- in the metric's unit: a score 0 to 1, milliseconds, or USD; NULL while unknown
  metric_value      numeric(20, 10),
  quality_score     numeric(20, 10) check (quality_score between 0 and 1),
  execution_time_ms bigint not null check (execution_time_ms >= 0),
  tokens_used       bigint not null,
  token_cost        numeric(20, 10) not null,
  outcome           text not null check (outcome in ('completed', 'failed')),
  created_at        timestamptz not null default clock_timestamp(),
  constraint ab_test_results_task_key unique (task_id),
  foreign key (agency_id, experiment_id) references experiments (agency_id, id)
);
create index ab_test_results_by_variant on ab_test_results (agency_id, experiment_id, variant);
select app.protect('ab_test_results');
grant select on ab_test_results to teamai_api, teamai_worker;

-- ============================================================================
-- Tasks

create table task_queue (
  id                  uuid primary key,
  agency_id           uuid not null references agencies on delete cascade,
  team_id             uuid not null,
  agent_instance_id   uuid not null,
  created_by          uuid,
  recipe_id           uuid not null references recipes on delete restrict,
  recipe_slug         text not null,
  recipe_version      text not null,
  experiment_id       uuid,
  variant             text,
  subject             text check (length(subject) between 1 and 255),
  status              text not null default 'queued'
    check (status in ('queued', 'running', 'waiting', 'parked', 'completed', 'failed', 'cancelled', 'dead')),
  priority            smallint not null default 5 check (priority between 0 and 9),
  inputs              jsonb not null default '{}' check (jsonb_typeof(inputs) = 'object'),
  -- {"content_type": ..., "filename": ..., "value": ...}
  output              jsonb,
  -- {"code": ..., "message": ..., "node_id": ..., "field": ...}
  error               jsonb,
  -- claims so far; a crash counts, a hand-back at shutdown does not
  attempt             integer not null default 0 check (attempt >= 0),
  -- raised at each claim: who holds an older one may write nothing more
  epoch               bigint not null default 0 check (epoch >= 0),
  lease_until         timestamptz,
  worker              text,
  dispatch_id         uuid,
  -- where its ticket is:
  --   NULL        it has none and wants one: the backlog
  --   a time      one was made then: the task waits in Redis, or runs
  --   'infinity'  it waits for something else than a worker, an approval or a budget
  dispatched_at       timestamptz,
  cancel_requested_at timestamptz,
  -- while it waits: when it goes on whatever happens
  wake_at             timestamptz,
  -- whether it ever asked somebody or started another task, which its end has to look after
  waited              boolean not null default false,
  tokens_used         bigint not null default 0 check (tokens_used >= 0),
  cost_usd            numeric(20, 10) not null default 0 check (cost_usd >= 0),
  budget_usd          numeric(20, 10) check (budget_usd >= 0),
  steps_done          integer not null default 0,
  steps_total         integer not null check (steps_total > 0),
  tags                text[] not null default '{}',
  created_at          timestamptz not null default clock_timestamp(),
  run_at              timestamptz not null default clock_timestamp(),
  started_at          timestamptz,
  finished_at         timestamptz,
  -- the finished task that this one goes on from. No reference: that one may go before
  retry_of            uuid,
  -- how often a dead task was put back: each time it ends once more, with a line of its own
  requeues            integer not null default 0 check (requeues >= 0),
  -- of a sub-recipe's task: the node that it runs for
  parent_task_id      uuid,
  parent_node_id      text,
  parent_occurrence   integer,
  depth               smallint not null default 0,
  -- and the tokens that it may use, of those its parent had left
  budget_tokens       bigint,
  constraint task_queue_tenant_key unique (agency_id, id),
  constraint task_queue_agent_unknown foreign key (agency_id, agent_instance_id) references agent_instances (agency_id, id),
  constraint task_queue_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id),
  constraint task_queue_creator_unknown foreign key (agency_id, created_by) references users (agency_id, id) on delete set null (created_by),
  constraint task_queue_experiment_unknown foreign key (agency_id, experiment_id) references experiments (agency_id, id) on delete set null (experiment_id),
  constraint task_queue_finished check ((status in ('completed', 'failed', 'cancelled', 'dead')) = (finished_at is not null)),
  constraint task_queue_lease check (status <> 'running' or lease_until is not null),
  constraint task_queue_parent
    check ((parent_task_id is null) = (parent_node_id is null) and (parent_task_id is null) = (parent_occurrence is null)),
  constraint task_queue_budget_tokens check (budget_tokens >= 0)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
-- Predicates use finished_at, not status: claims and heartbeats then stay
-- heap-only updates. Lists by agency go down task_queue_tenant_key.
create index task_queue_open_by_agency on task_queue (agency_id, run_at) where finished_at is null;
create index task_queue_finished on task_queue (agency_id, finished_at) where finished_at is not null;
-- Two partial indexes keep apart what wants a ticket and what has one, so that neither the
-- backlog nor what waits for people is read to find what is out. Claims and heartbeats
-- change neither.
create index task_queue_backlog on task_queue (agency_id, team_id, agent_instance_id, recipe_id, priority desc, run_at)
  where dispatched_at is null and finished_at is null;
create index task_queue_out on task_queue (agency_id) where dispatched_at < 'infinity' and finished_at is null;
create index task_queue_wake on task_queue (wake_at) where wake_at is not null;
-- One task for each node and item, whatever is killed. No reference: a parent may be pruned first.
create unique index task_queue_child on task_queue (parent_task_id, parent_node_id, parent_occurrence)
  where parent_task_id is not null;
select app.protect('task_queue');
create trigger task_queue_ticket_follows before update of status on task_queue
  for each row when (new.status is distinct from old.status and new.status in ('queued', 'waiting', 'parked'))
  execute function app.ticket_follows();
grant select on task_queue to teamai_api, teamai_worker;
grant update (status, cancel_requested_at, finished_at) on task_queue to teamai_api;

create table idempotency_keys (
  agency_id    uuid not null references agencies on delete cascade,
  key          text not null check (length(key) between 1 and 255),
  request_hash bytea not null check (octet_length(request_hash) = 32),
  task_id      uuid not null,
  -- the tasks of a batch, in its order; NULL for the key of a single task
  task_ids     uuid[],
  created_at   timestamptz not null default clock_timestamp(),
  primary key (agency_id, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);
select app.protect('idempotency_keys');
grant select, delete on idempotency_keys to teamai_api;

-- Executions that an agency asked for of a limited cookbook. The month is part of
-- the key: nothing is ever reset. Counted when accepted, whatever becomes of the task.
create table monthly_executions (
  agency_id   uuid not null references agencies on delete cascade,
  cookbook_id uuid not null references cookbooks on delete cascade,
  -- its first day, UTC
  month       date not null check (extract(day from month) = 1),
  used        bigint not null default 0 check (used >= 0),
  primary key (agency_id, cookbook_id, month)
) with (fillfactor = 50);
create index monthly_executions_by_cookbook on monthly_executions (cookbook_id);
select app.protect('monthly_executions');
create trigger monthly_executions_cookbook_owner before insert or update of agency_id, cookbook_id on monthly_executions
  for each row execute function app.check_catalogue_owner('cookbooks', 'cookbook_id');
grant select on monthly_executions to teamai_api;

-- Work that is neither dispatched nor claimed: of this team and this agent, NULL for any.
create table queue_pauses (
  id                uuid primary key,
  agency_id         uuid not null references agencies on delete cascade,
  team_id           uuid,
  agent_instance_id uuid,
  reason            text check (length(reason) between 1 and 500),
  created_by        uuid,
  created_at        timestamptz not null default clock_timestamp(),
  constraint queue_pauses_tenant_key unique (agency_id, id),
  constraint queue_pauses_scope_key unique nulls not distinct (agency_id, team_id, agent_instance_id),
  constraint queue_pauses_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id) on delete cascade,
  constraint queue_pauses_agent_unknown foreign key (agency_id, agent_instance_id)
    references agent_instances (agency_id, id) on delete cascade,
  constraint queue_pauses_creator_unknown foreign key (agency_id, created_by)
    references users (agency_id, id) on delete set null (created_by)
);
select app.protect('queue_pauses');
grant select, insert, delete on queue_pauses to teamai_api;
grant update (reason, created_by) on queue_pauses to teamai_api;
grant select on queue_pauses to teamai_worker;

-- The processes that run tasks. No tenant's rows: a worker runs everybody's.
create table workers (
  name        text primary key check (length(name) between 1 and 200),
  concurrency integer not null check (concurrency > 0),
  -- tasks in flight, of all agencies
  running     integer not null default 0 check (running >= 0),
  started_at  timestamptz not null default clock_timestamp(),
  seen_at     timestamptz not null default clock_timestamp(),
  -- when it last claimed a task, to the second
  claimed_at  timestamptz
);
grant select on workers to teamai_api;
grant select, insert, update, delete on workers to teamai_worker;
grant select, update (claimed_at) on workers to teamai_definer;

-- Tasks that were claimed often and never finished, and found another of their kind in
-- their worker: one may be what brings its workers down, or may have stood beside it. They
-- run one at a time in a worker, beside those that are not suspected: then the next death
-- tells them apart. They are queued, have no ticket and want none (dispatched_at is
-- infinity) until a worker has a place. No reference: a row that outlives its task is
-- dropped at the next look.
create table tasks_set_aside (
  task_id     uuid primary key,
  agency_id   uuid not null,
  -- since when it is on its way to a place; NULL while it waits for one
  admitted_at timestamptz
);
select app.protect('tasks_set_aside');

-- The committed result of a node; occurrence counts the items of a for_each.
create table task_steps (
  task_id     uuid not null,
  agency_id   uuid not null,
  node_id     text not null,
  occurrence  integer not null check (occurrence >= 0),
  status      text not null check (status in ('completed', 'failed', 'skipped')),
  attempts    integer not null default 1 check (attempts >= 0),
  output      jsonb,
  error       jsonb,
  tokens_used bigint not null default 0,
  cost_usd    numeric(20, 10) not null default 0,
  started_at  timestamptz not null,
  finished_at timestamptz not null,
  -- whether the result came from the cache
  cached      boolean not null default false,
  -- the task that ran the step; this one has it for nothing
  copied_from uuid,
  primary key (task_id, node_id, occurrence),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade
);
select app.protect('task_steps');
grant select on task_steps to teamai_api, teamai_worker;

-- The tries of a node that has no result yet, so that the next claim goes on counting.
create table node_progress (
  task_id     uuid not null,
  agency_id   uuid not null,
  node_id     text not null,
  occurrence  integer not null check (occurrence >= 0),
  -- failed tries so far
  attempts    integer not null,
  -- tries that the provider put off because the key calls too often. They are no failed ones
  slowed      integer not null default 0 check (slowed >= 0),
  -- what they came to
  tokens_used bigint not null check (tokens_used >= 0),
  cost_usd    numeric(20, 10) not null check (cost_usd >= 0),
  -- the last one's
  error       jsonb,
  started_at  timestamptz not null,
  -- not tried again before
  resume_at   timestamptz not null,
  primary key (task_id, node_id, occurrence),
  constraint node_progress_tries check (attempts >= 0 and attempts + slowed > 0),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade
);
select app.protect('node_progress');
grant select on node_progress to teamai_worker;

-- The conversation of an Agent node, piece by piece, so that a takeover pays no turn twice.
create table agent_turns (
  task_id     uuid not null,
  agency_id   uuid not null,
  node_id     text not null,
  occurrence  integer not null check (occurrence >= 0),
  -- from 0, without gaps: a message of the model, the results of its tools, a message, ...
  nth         integer not null check (nth >= 0),
  piece       jsonb not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (task_id, node_id, occurrence, nth),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade
);
select app.protect('agent_turns');
grant select on agent_turns to teamai_worker;

-- A question to people, and its answer.
create table approvals (
  id             uuid primary key,
  agency_id      uuid not null references agencies on delete cascade,
  team_id        uuid not null,
  task_id        uuid not null,
  node_id        text not null,
  occurrence     integer not null check (occurrence >= 0),
  -- 0 for an Approval node; for a lost call its call_no
  round          integer not null check (round >= 0),
  kind           text not null check (kind in ('approval', 'lost_call')),
  message        text not null,
  -- JSON Schema of the answer
  form           jsonb,
  -- roles, e-mail addresses or ids of people; empty for everybody who may run the task
  approvers      text[] not null,
  status         text not null default 'open' check (status in ('open', 'approved', 'rejected', 'expired', 'closed')),
  payload        jsonb,
  decided_by     uuid,
  decided_by_key uuid,
  decided_at     timestamptz,
  created_at     timestamptz not null default clock_timestamp(),
  expires_at     timestamptz not null,
  constraint approvals_tenant_key unique (agency_id, id),
  constraint approvals_once unique (task_id, node_id, occurrence, round),
  constraint approvals_decided check ((status = 'open') = (decided_at is null)),
  foreign key (agency_id, team_id) references teams (agency_id, id),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade,
  foreign key (agency_id, decided_by) references users (agency_id, id) on delete set null (decided_by),
  foreign key (agency_id, decided_by_key) references api_keys (agency_id, id) on delete set null (decided_by_key)
);
create index approvals_by_team on approvals (agency_id, team_id);
create index approvals_by_decider on approvals (agency_id, decided_by) where decided_by is not null;
create index approvals_by_key on approvals (agency_id, decided_by_key) where decided_by_key is not null;
select app.protect('approvals');
grant select on approvals to teamai_api, teamai_worker;
grant update (status, payload, decided_by, decided_by_key, decided_at) on approvals to teamai_api;
grant update (status, decided_at) on approvals to teamai_worker;

-- News for tasks that may wait. No unique key and no reference: whoever brings news
-- never waits for another transaction, so that it can be brought under any lock. Who
-- reads it compares the agency in place of a reference.
create table task_wakes (
  id        bigint generated always as identity primary key,
  agency_id uuid not null,
  task_id   uuid not null,
  -- the task it was started by has ended
  cancel    boolean not null default false
);
select app.protect('task_wakes');
-- Not the cancellation, which is app.task_ended's to bring.
grant insert (agency_id, task_id) on task_wakes to teamai_api;

-- What people say of a task's result.
create table task_feedback (
  task_id       uuid not null,
  agency_id     uuid not null,
  quality_score numeric(20, 10) not null check (quality_score between 0 and 1),
  comment       text check (length(comment) between 1 and 2000),
  given_by      uuid,
  -- whether it is the score of the task's result in its experiment
  counted       boolean not null,
  created_at    timestamptz not null default clock_timestamp(),
  primary key (agency_id, task_id),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade,
  constraint task_feedback_giver_unknown foreign key (agency_id, given_by) references users (agency_id, id) on delete set null (given_by)
);
select app.protect('task_feedback');
grant select on task_feedback to teamai_api;

-- ============================================================================
-- Calls that cost money, and the ledger

-- Written before a call leaves. `open` until its ledger line is written.
create table call_intents (
  task_id      uuid not null,
  agency_id    uuid not null,
  node_id      text not null,
  occurrence   integer not null,
  call_no      integer not null check (call_no > 0),
  epoch        bigint not null,
  kind         text not null check (kind in ('llm', 'http', 'crawl')),
  provider     text,
  model        text,
  request_hash bytea not null,
  reserved_usd numeric(20, 10) not null default 0 check (reserved_usd >= 0),
  price_id     uuid references prices,
  state        text not null default 'open' check (state in ('open', 'settled', 'unknown')),
  created_at   timestamptz not null default clock_timestamp(),
  primary key (task_id, node_id, occurrence, call_no),
  foreign key (agency_id, task_id) references task_queue (agency_id, id) on delete cascade
) with (fillfactor = 70);
select app.protect('call_intents');
grant select on call_intents to teamai_api, teamai_worker;

-- The last line of each agency's chain.
create table ledger_heads (
  agency_id uuid primary key references agencies on delete restrict,
  seq       bigint not null,
  hash      bytea not null
) with (fillfactor = 50);
select app.protect('ledger_heads');

-- The ledger. Append-only: no app role may change or remove a line, and a
-- correction is a new line. No reference to the task or the agent: they may go,
-- the line stays.
create table audit_logs (
  id                uuid primary key,
  agency_id         uuid not null references agencies on delete restrict,
  task_id           uuid not null,
  node_id           text not null,
  occurrence        integer not null,
  call_no           integer not null,
  team_id           uuid not null,
  agent_instance_id uuid not null,
  recipe_id         uuid not null,
  kind              text not null check (kind in ('llm', 'http', 'crawl', 'execution')),
  provider          text,
  model             text,
  status            text not null check (status in ('success', 'failed', 'timeout', 'unknown')),
  tokens_used       bigint not null default 0 check (tokens_used >= 0),
  -- disjoint buckets, see base::usage; raw_usage is what the provider sent
  usage             jsonb,
  raw_usage         jsonb,
  -- what the provider charged us for the agency; NULL when there is no price
  cost_usd          numeric(20, 10) check (cost_usd >= 0),
  -- what the agency is billed: the recipe's cost_per_unit on an execution line
  billed_usd        numeric(20, 10) not null default 0,
  price_id          uuid references prices,
  estimated         boolean not null default false,
  flags             text[] not null default '{}',
  execution_time_ms bigint not null default 0 check (execution_time_ms >= 0),
  request_id        text,
  "timestamp"       timestamptz not null,
  seq               bigint not null,
  prev_hash         bytea not null,
  hash              bytea not null,
  constraint audit_logs_call_key unique (task_id, node_id, occurrence, call_no),
  constraint audit_logs_chain_key unique (agency_id, seq)
);
create index audit_logs_by_time on audit_logs (agency_id, "timestamp");
select app.protect('audit_logs');
revoke update, delete on audit_logs from teamai_definer;
create trigger audit_logs_append_only before update or delete on audit_logs
  for each row execute function app.refuse_change();
create trigger audit_logs_no_truncate before truncate on audit_logs
  for each statement execute function app.refuse_change();
grant select on audit_logs to teamai_api, teamai_worker;

-- ============================================================================
-- Schedules: tasks that are made again and again, and what became of each time

create table schedules (
  id                uuid primary key,
  agency_id         uuid not null references agencies on delete cascade,
  agent_instance_id uuid not null,
  created_by        uuid,
  -- an id or a slug, looked up anew at each time
  recipe            text not null check (length(recipe) between 1 and 100),
  version           text check (length(version) <= 64),
  inputs            jsonb not null default '{}' check (jsonb_typeof(inputs) = 'object'),
  priority          smallint not null default 5 check (priority between 0 and 9),
  subject           text check (length(subject) between 1 and 255),
  tags              text[] not null default '{}',
  cron              text not null check (length(cron) between 1 and 200),
  time_zone         text not null check (length(time_zone) between 1 and 64),
  missed            text not null default 'run_once' check (missed in ('skip', 'run_once', 'run_all')),
  enabled           boolean not null default true,
  -- NULL while disabled
  next_run_at       timestamptz,
  -- until when peers leave it to the worker that is at it
  held_until        timestamptz,
  last_run_at       timestamptz,
  last_task_id      uuid,
  last_error        text,
  -- in a row; 0 after a time that made a task
  failures          integer not null default 0 check (failures >= 0),
  created_at        timestamptz not null default clock_timestamp(),
  updated_at        timestamptz not null default clock_timestamp(),
  constraint schedules_tenant_key unique (agency_id, id),
  constraint schedules_agent_unknown foreign key (agency_id, agent_instance_id) references agent_instances (agency_id, id),
  constraint schedules_creator_unknown foreign key (agency_id, created_by) references users (agency_id, id) on delete set null (created_by),
  constraint schedules_next check (enabled = (next_run_at is not null))
) with (fillfactor = 70);
create index schedules_due on schedules (next_run_at) where enabled;
select app.protect('schedules');
grant select, delete on schedules to teamai_api;
-- What became of its times is the functions' to say.
grant insert (id, agency_id, agent_instance_id, created_by, recipe, version, inputs, priority, subject, tags, cron,
              time_zone, missed, enabled, next_run_at) on schedules to teamai_api;
grant update (agent_instance_id, recipe, version, inputs, priority, subject, tags, cron, time_zone, missed, enabled,
              next_run_at, held_until, failures, last_error, updated_at) on schedules to teamai_api;

-- One row for each time of a schedule that came: what keeps a second task away.
create table schedule_fires (
  schedule_id uuid not null,
  agency_id   uuid not null,
  fire_at     timestamptz not null,
  -- NULL where none could be made. No reference: the task may go before
  task_id     uuid,
  error       text,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (agency_id, schedule_id, fire_at),
  foreign key (agency_id, schedule_id) references schedules (agency_id, id) on delete cascade
);
create index schedule_fires_age on schedule_fires (created_at);
select app.protect('schedule_fires');
grant select on schedule_fires to teamai_api;

-- ============================================================================
-- How many of each an agency can have

create trigger too_many_teams before insert on teams for each row
  execute function app.bound_number(500, 'teams', 'delete one that is not needed', 'true');
create trigger too_many_people before insert on users for each row
  execute function app.bound_number(10000, 'people, the deactivated with them', 'ask the operator of this installation', 'true');
create trigger too_many_api_keys before insert on api_keys for each row
  execute function app.bound_number(500, 'API keys, those revoked within a day with them', 'revoke one that is not needed, or wait',
    't.revoked_at is null or t.created_at > now() - interval ''1 day''');
create trigger too_many_invites before insert on invites for each row
  execute function app.bound_number(500, 'invites that wait or were made within a day', 'revoke one that is not needed, or wait',
    '(t.accepted_at is null and t.revoked_at is null) or t.created_at > now() - interval ''1 day''');
-- Those of webhooks are as many as webhooks.
create trigger too_many_secrets before insert on secret_locker for each row when (new.webhook_id is null)
  execute function app.bound_number(1000, 'secrets', 'delete one that is not needed', 't.webhook_id is null');
create trigger too_many_cookbooks before insert on cookbooks for each row
  execute function app.bound_number(500, 'cookbooks', 'publish under one that is there', 'true');
create trigger too_many_recipes before insert on recipes for each row
  execute function app.bound_number(10000, 'versions of recipes', 'ask the operator of this installation', 'true');
create trigger too_many_agents before insert on agent_instances for each row
  execute function app.bound_number(10000, 'agents, the retired with them', 'ask the operator of this installation', 'true');
-- The program has the same two numbers, and says more; here they hold for those made at once.
create trigger too_many_webhooks before insert on webhooks for each row
  execute function app.bound_number(50, 'webhooks', 'delete one, or subscribe one of them to more events', 'true');
create trigger too_many_schedules before insert on schedules for each row
  execute function app.bound_number(1000, 'schedules', 'delete one that is not needed', 'true');

-- ============================================================================
-- What functions take and give

-- Rows of one group are written together or not at all. A group is named by its first
-- task; a task by itself is a group of one.
create type app.submission as (
  id uuid, agency_id uuid, member_team_id uuid, agent_instance_id uuid, created_by uuid,
  recipe_id uuid, recipe_slug text, recipe_version text, experiment_id uuid, variant text, subject text,
  priority smallint, inputs jsonb, budget_usd numeric, steps_total integer, tags text[], run_at timestamptz,
  dispatch_id uuid, idempotency_key text, request_hash bytea, group_id uuid, cookbook_id uuid, monthly_limit integer);

create type app.intent_write as (
  task_id uuid, epoch bigint, node_id text, occurrence integer, call_no integer,
  kind text, provider text, model text, request_hash bytea, reserved_usd numeric, price_id uuid);

create type app.line_write as (
  id uuid, task_id uuid, epoch bigint, node_id text, occurrence integer, call_no integer,
  kind text, provider text, model text, status text, tokens_used bigint, usage jsonb, raw_usage jsonb,
  cost_usd numeric, billed_usd numeric, price_id uuid, estimated boolean, flags text[],
  execution_time_ms bigint, request_id text, "timestamp" timestamptz);

create type app.result_write as (
  task_id uuid, epoch bigint, node_id text, occurrence integer, status text, attempts integer,
  output jsonb, error jsonb, tokens_used bigint, cost_usd numeric, started_at timestamptz, finished_at timestamptz,
  closes_node boolean, cached boolean);

create type app.try_write as (
  task_id uuid, epoch bigint, node_id text, occurrence integer, attempts integer, slowed integer, tokens_used bigint,
  cost_usd numeric, error jsonb, started_at timestamptz, delay_ms bigint);

create type app.question_write as (
  id uuid, task_id uuid, epoch bigint, node_id text, occurrence integer, round integer, kind text, message text,
  form jsonb, approvers text[], timeout_ms bigint);

create type app.turn_write as (
  task_id uuid, epoch bigint, node_id text, occurrence integer, nth integer, piece jsonb);

-- task_id is the parent's; budget_tokens are what it is lent.
create type app.child_start as (
  id uuid, task_id uuid, epoch bigint, node_id text, occurrence integer, recipe_id uuid, recipe_slug text,
  recipe_version text, inputs jsonb, budget_usd numeric, budget_tokens bigint, steps_total integer);

create type app.pause_write as (task_id uuid, epoch bigint, delay_ms bigint);

create type app.finish_write as (
  task_id uuid, epoch bigint, status text, output jsonb, error jsonb, quality_score numeric);

-- Tasks that are alike for every rule: of one agency, team, agent and recipe.
create type app.lane as (agency_id uuid, team_id uuid, agent_instance_id uuid, recipe_id uuid);

-- A lane's rules. A limit that is NULL does not apply.
create type app.lane_rules as (
  agency_id uuid, team_id uuid, agent_instance_id uuid, recipe_id uuid, cookbook_id uuid,
  agency_limit bigint, team_limit bigint, cookbook_limit bigint, paused boolean);

reset role;

-- ============================================================================
-- What happened to tasks and their steps, in order: read by GET /tasks/{id}/events, and
-- what webhooks are made of. Written by triggers, so that every writer of a task is
-- covered and none of them can forget it.

-- Partitions are made and dropped by app.keep_events, which runs as the definer, and
-- only a table's owner may do that. Neither of the two roles can log in.
grant create on schema public to teamai_definer;
set local role teamai_definer;

-- Raised under the lock on the task's row, so that within a task the order of the
-- numbers is the order of the commits: whoever sees one sees all before it. Not cached
-- for that reason. Between tasks the order says nothing.
create sequence app.event_seq as bigint;
grant usage on sequence app.event_seq to teamai_api;

-- No references: an event is written by a trigger from the task's own row, a check of
-- each row would double what it costs, and its partition is dropped as a whole.
create table task_events (
  seq        bigint not null default nextval('app.event_seq'),
  agency_id  uuid not null,
  task_id    uuid not null,
  -- task.queued, task.started, step.completed, ...
  type       text not null,
  created_at timestamptz not null default clock_timestamp(),
  -- of the task, or of the step
  attempt    integer,
  node_id    text,
  occurrence integer,
  error_code text
) partition by range (created_at);
-- Not unique, which the numbers are anyway: the check would cost each batch.
create index task_events_by_task on task_events (task_id, seq);
select app.protect('task_events');
grant select on task_events to teamai_api;

-- For days that nobody made a partition for: an insert never fails for want of one.
create table app.task_events_rest partition of task_events default;

reset role;
revoke create on schema public from teamai_definer;

-- Triggers whose functions are the definer's, and nobody's to call: made by the migrating
-- role, which is a member of both owners.
\ir functions/note_new_tasks.sql
\ir functions/note_changed_tasks.sql
\ir functions/note_new_steps.sql
\ir functions/note_changed_steps.sql
\ir functions/note_started_steps.sql
\ir functions/uuid_v7.sql
\ir functions/note_deliveries.sql
\ir functions/task_ended.sql
\ir functions/keep_events.sql

create trigger task_queue_events_new after insert on task_queue
  referencing new table as entered for each statement execute function app.note_new_tasks();
create trigger task_queue_events_changed after update on task_queue
  referencing old table as gone new table as entered for each statement execute function app.note_changed_tasks();
create trigger task_steps_events_new after insert on task_steps
  referencing new table as entered for each statement execute function app.note_new_steps();
create trigger task_steps_events_changed after update on task_steps
  referencing old table as gone new table as entered for each statement execute function app.note_changed_steps();
create trigger call_intents_events after insert on call_intents
  referencing new table as entered for each statement execute function app.note_started_steps();
create trigger task_events_deliveries after insert on task_events
  referencing new table as noted for each statement execute function app.note_deliveries();
create trigger task_queue_ended after update of finished_at on task_queue
  for each row when (old.finished_at is null and new.finished_at is not null
                     and (new.waited or new.parent_task_id is not null))
  execute function app.task_ended();

select app.keep_events(30);
