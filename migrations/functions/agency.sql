-- The agency of the current transaction, or NULL. Set with
-- set_config('app.agency_id', ..., true), which ends with the transaction.
create or replace function app.agency() returns uuid
language sql stable parallel safe
as $$ select nullif(current_setting('app.agency_id', true), '')::uuid $$;

alter function app.agency owner to teamai_owner;
