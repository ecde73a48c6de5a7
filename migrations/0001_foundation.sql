-- Roles, schemas and the tenant context. Everything later relies on these.
--
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
-- Readiness compares the applied migrations with those in the binary.
grant select on _sqlx_migrations to teamai_api, teamai_worker;

set local role teamai_owner;

-- The agency of the current transaction, or NULL. Set with
-- set_config('app.agency_id', ..., true), which ends with the transaction.
create function app.agency() returns uuid
language sql stable parallel safe
as $$ select nullif(current_setting('app.agency_id', true), '')::uuid $$;

-- Puts a tenant table under row-level security: rows of the context's agency
-- only, and none without a context. A catalogue table also shows the platform's
-- rows (agency_id is null), which only the definer may write.
create function app.protect(p_table regclass, p_column text default 'agency_id', p_catalogue boolean default false)
returns void language plpgsql
as $$
declare
  own text := format('%I = (select app.agency())', p_column);
  visible text := case when p_catalogue then format('%s or %I is null', own, p_column) else own end;
begin
  execute format('alter table %s enable row level security', p_table);
  execute format('alter table %s force row level security', p_table);
  execute format('create policy tenant_read on %s for select to teamai_api, teamai_worker using (%s)', p_table, visible);
  execute format('create policy tenant_insert on %s for insert to teamai_api, teamai_worker with check (%s)', p_table, own);
  execute format('create policy tenant_update on %s for update to teamai_api, teamai_worker using (%s) with check (%s)', p_table, own, own);
  execute format('create policy tenant_delete on %s for delete to teamai_api, teamai_worker using (%s)', p_table, own);
  execute format('create policy definer_all on %s to teamai_definer using (true) with check (true)', p_table);
  execute format('grant select, insert, update, delete on %s to teamai_definer', p_table);
end $$;

-- For tables whose rows never change once written.
create function app.refuse_change() returns trigger language plpgsql
as $$
begin
  raise exception '% rows are never changed', tg_table_name using errcode = 'restrict_violation', constraint = tg_name;
end $$;

create function app.touch() returns trigger language plpgsql
as $$
begin
  new.updated_at := clock_timestamp();
  return new;
end $$;

reset role;
