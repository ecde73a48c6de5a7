-- Roles on offer, cookbooks and recipes. agency_id NULL is the platform's own.
set local role teamai_owner;

-- A reference inside the catalogue goes to the platform's rows or to the own agency's.
-- A foreign key cannot say "or NULL", so a trigger does.
create function app.check_catalogue_owner() returns trigger language plpgsql
as $$
declare
  v_target text := tg_argv[0];
  v_column text := tg_argv[1];
  v_id uuid := (to_jsonb(new) ->> v_column)::uuid;
  v_owner uuid;
begin
  if v_id is null then
    return new;
  end if;
  execute format('select agency_id from public.%I where id = $1', v_target) into v_owner using v_id;
  if v_owner is not null and v_owner is distinct from new.agency_id then
    raise exception '%.% belongs to another agency', tg_table_name, v_column
      using errcode = 'foreign_key_violation', constraint = tg_name;
  end if;
  return new;
end $$;

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

reset role;
