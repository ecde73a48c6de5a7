-- Puts a tenant table under row-level security: rows of the context's agency
-- only, and none without a context. A catalogue table also shows the platform's
-- rows (agency_id is null), which only the definer may write.
create or replace function app.protect(p_table regclass, p_column text default 'agency_id', p_catalogue boolean default false)
returns void language plpgsql
as $$
declare
  own text := format('%I = (select app.agency())', p_column);
  visible text := case when p_catalogue then format('%s or %I is null', own, p_column) else own end;
begin
  execute format('alter table %s enable row level security', p_table);
  execute format('alter table %s force row level security', p_table);
  execute format('create policy tenant_read on %s for select to teamai_api, teamai_worker using (%s)', p_table, visible);
  execute format('create policy tenant_insert on %s for insert to teamai_api, teamai_worker with check (%s)', p_table, own);
  execute format('create policy tenant_update on %s for update to teamai_api, teamai_worker using (%s) with check (%s)', p_table, own, own);
  execute format('create policy tenant_delete on %s for delete to teamai_api, teamai_worker using (%s)', p_table, own);
  execute format('create policy definer_all on %s to teamai_definer using (true) with check (true)', p_table);
  execute format('grant select, insert, update, delete on %s to teamai_definer', p_table);
end $$;

alter function app.protect owner to teamai_owner;
