-- The ticket follows the status, whoever changes it: what is queued again wants one,
-- what waits for somebody wants none.
create or replace function app.ticket_follows() returns trigger language plpgsql
as $$
begin
  new.dispatched_at := case when new.status = 'queued' then null else 'infinity'::timestamptz end;
  return new;
end $$;

alter function app.ticket_follows owner to teamai_owner;
