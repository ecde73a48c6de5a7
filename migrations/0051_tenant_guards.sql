-- What the proof of tenants' separation asked for.
set local role teamai_owner;

-- Under row-level security another agency's row of the catalogue is not seen, and
-- an owner that was not seen passed for the platform. What is not seen is refused.
create or replace function app.check_catalogue_owner() returns trigger language plpgsql
as $$
declare
  v_target text := tg_argv[0];
  v_column text := tg_argv[1];
  v_id uuid := (to_jsonb(new) ->> v_column)::uuid;
  v_found boolean;
begin
  if v_id is null then
    return new;
  end if;
  execute format('select agency_id is null or agency_id is not distinct from $2 from public.%I where id = $1', v_target)
    into v_found using v_id, new.agency_id;
  if v_found is not true then
    raise exception '%.% belongs to another agency, or is not there', tg_table_name, v_column
      using errcode = 'foreign_key_violation', constraint = tg_name;
  end if;
  return new;
end $$;

create trigger experiments_recipe_owner before insert or update on experiments
  for each row execute function app.check_catalogue_owner('recipes', 'declared_by');
create trigger experiment_assignments_recipe_owner before insert or update on experiment_assignments
  for each row execute function app.check_catalogue_owner('recipes', 'recipe_id');

reset role;
set local role teamai_definer;

-- The schema of temporary objects is searched before all others unless it is named.
do $$
declare
  f regprocedure;
begin
  for f in
    select p.oid::regprocedure from pg_proc p
     where p.pronamespace = 'app'::regnamespace and p.prosecdef and p.proowner = 'teamai_definer'::regrole
  loop
    execute format('alter function %s set search_path = pg_catalog, pg_temp', f);
  end loop;
end $$;
alter function app.append_audit(public.audit_logs[]) set search_path = pg_catalog, pg_temp;

reset role;
