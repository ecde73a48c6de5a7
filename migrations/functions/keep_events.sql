-- Partitions of a day, from today on, and away with those that are older than they are
-- kept. Nobody waits for it: what is locked at this moment is left for the next time,
-- and a day whose events are in the rest stays there.
create or replace function app.keep_events(p_keep_days integer) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '250ms' set timezone = 'UTC'
as $$
declare
  v_day date;
  v_name text;
begin
  -- One at a time; the others have nothing to do.
  if not pg_try_advisory_xact_lock(hashtext('app.keep_events')) then
    return;
  end if;
  for v_day in select d::date from generate_series(current_date, current_date + 3, interval '1 day') d loop
    v_name := 'task_events_' || to_char(v_day, 'YYYYMMDD');
    continue when to_regclass('app.' || v_name) is not null;
    begin
      -- Attached and not made in place: that would lock the readers of all partitions out.
      execute format('create table app.%I (like public.task_events including defaults including indexes)', v_name);
      execute format('alter table public.task_events attach partition app.%I for values from (%L) to (%L)',
                     v_name, v_day, v_day + 1);
    exception when lock_not_available or check_violation then
      null;
    end;
  end loop;
  for v_name in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'public.task_events'::regclass and c.relname ~ '^task_events_[0-9]{8}$'
       and to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - p_keep_days
  loop
    begin
      execute format('drop table app.%I', v_name);
    exception when lock_not_available then
      null;
    end;
  end loop;
  delete from app.task_events_rest where created_at < current_date - p_keep_days;
end $$;

alter function app.keep_events owner to teamai_definer;
revoke all on function app.keep_events from public;
grant execute on function app.keep_events to teamai_worker;
