-- For tables whose rows never change once written.
create or replace function app.refuse_change() returns trigger language plpgsql
as $$
begin
  raise exception '% rows are never changed', tg_table_name using errcode = 'restrict_violation', constraint = tg_name;
end $$;

alter function app.refuse_change owner to teamai_owner;
