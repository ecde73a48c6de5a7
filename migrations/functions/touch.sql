-- Keeps `updated_at`.
create or replace function app.touch() returns trigger language plpgsql
as $$
begin
  new.updated_at := clock_timestamp();
  return new;
end $$;

alter function app.touch owner to teamai_owner;
