-- How many of each an agency can have: who registers is an admin, and registration is open.
-- Arguments: the most that are counted, what they are called, what to do, and which rows are
-- counted. What was made within a day counts even if it was revoked since, so that to make
-- and to revoke in turn has an end too. The name of the trigger is that of the refusal.
create or replace function app.bound_number() returns trigger language plpgsql
as $$
declare
  v_most bigint := tg_argv[0];
  v_count bigint;
begin
  -- The platform's own are bounded by its operator.
  if new.agency_id is null then
    return new;
  end if;
  -- Of two that are made at once each sees the other, or waits for it.
  perform pg_advisory_xact_lock(hashtext(tg_name), hashtext(new.agency_id::text));
  execute format('select count(*) from (select from public.%I t where t.agency_id = $1 and (%s) limit $2) counted',
                 tg_table_name, tg_argv[3])
    into v_count using new.agency_id, v_most;
  if v_count >= v_most then
    raise exception 'An agency has at most % %; %.', v_most, tg_argv[1], tg_argv[2]
      using errcode = 'check_violation', constraint = tg_name, table = tg_table_name;
  end if;
  return new;
end $$;

alter function app.bound_number owner to teamai_owner;
