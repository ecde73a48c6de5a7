-- How many of each an agency can have: who registers is an admin, and registration is open.
set local role teamai_owner;

-- Arguments: the most that are counted, what they are called, what to do, and which rows are
-- counted. What was made within a day counts even if it was revoked since, so that to make
-- and to revoke in turn has an end too. The name of the trigger is that of the refusal.
create function app.bound_number() returns trigger language plpgsql
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
  execute function app.bound_number(50, 'webhooks', 'delete one, or let one hear of more events', 'true');
create trigger too_many_schedules before insert on schedules for each row
  execute function app.bound_number(1000, 'schedules', 'delete one that is not needed', 'true');

reset role;
