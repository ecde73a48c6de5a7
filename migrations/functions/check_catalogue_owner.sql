-- A reference inside the catalogue goes to the platform's rows or to the own agency's. A
-- foreign key cannot say "or NULL", so a trigger does; its arguments are the table and the
-- column. Under row-level security another agency's row is not seen: what is not seen is
-- refused.
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

alter function app.check_catalogue_owner owner to teamai_owner;
