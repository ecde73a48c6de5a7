-- Hired agents, the seats that pay for them, and the secrets they use.
set local role teamai_owner;

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
select app.protect('agency_keys');
grant select, insert on agency_keys to teamai_api;
grant select on agency_keys to teamai_worker;

create table secret_locker (
  id           uuid primary key,
  agency_id    uuid not null,
  team_id      uuid,
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
  constraint secret_locker_name_key unique nulls not distinct (agency_id, team_id, key_name),
  foreign key (agency_id, key_version) references agency_keys (agency_id, version) on delete cascade,
  constraint secret_locker_team_unknown foreign key (agency_id, team_id) references teams (agency_id, id) on delete cascade
);
select app.protect('secret_locker');
grant select, insert, update, delete on secret_locker to teamai_api;
grant select on secret_locker to teamai_worker;
grant update (last_used_at) on secret_locker to teamai_worker;

reset role;
