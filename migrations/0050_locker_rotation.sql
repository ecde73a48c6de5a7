-- The locker's life: keys that are rotated under running programs, and a note of the last check.
set local role teamai_owner;

-- An agency key that a secret still uses cannot go. With the cascade of before, a
-- secret stored at the moment at which its key was dropped would have gone with it.
-- NO ACTION looks at the end of the statement, and at what others have committed by then.
alter table secret_locker drop constraint secret_locker_agency_id_key_version_fkey;
alter table secret_locker
  add constraint secret_locker_agency_unknown foreign key (agency_id) references agencies on delete cascade,
  add constraint secret_locker_key_unknown foreign key (agency_id, key_version) references agency_keys (agency_id, version);

-- When the secret was last tried on its provider: it is tried once in a few seconds at most.
alter table secret_locker add column checked_at timestamptz;

-- Rotation goes through the secrets of one key version, and the keys of one root key.
create index secret_locker_by_key on secret_locker (agency_id, key_version);
create index agency_keys_by_root on agency_keys (root_key_id, agency_id, version);

reset role;
set local role teamai_definer;

-- Which root keys wrap how many agency keys, so that a process that was given the
-- wrong one can say so at its start. Ids of root keys are no secrets.
create function app.root_keys_in_use() returns table (root_key_id text, agency_keys bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select k.root_key_id, count(*) from public.agency_keys k group by 1 order by 2 desc, 1
$$;
revoke all on function app.root_keys_in_use() from public;
grant execute on function app.root_keys_in_use() to teamai_api, teamai_worker;

reset role;
