-- A task that ends closes its questions, stops the tasks that it started, and tells
-- the one that started it.
create or replace function app.task_ended() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if new.waited then
    update public.approvals a set status = 'closed', decided_at = clock_timestamp()
     where a.agency_id = new.agency_id and a.task_id = new.id and a.status = 'open';
    insert into public.task_wakes (agency_id, task_id, cancel)
    select c.agency_id, c.id, true from public.task_queue c
     where c.parent_task_id = new.id and c.agency_id = new.agency_id and c.finished_at is null;
  end if;
  if new.parent_task_id is not null then
    insert into public.task_wakes (agency_id, task_id) values (new.agency_id, new.parent_task_id);
  end if;
  return null;
end $$;

alter function app.task_ended owner to teamai_definer;
revoke all on function app.task_ended from public;
