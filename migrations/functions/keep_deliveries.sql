-- Drops deliveries that are over and old, and those of webhooks that are gone, some at a time.
create or replace function app.keep_deliveries(p_keep_days integer) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  delete from public.webhook_deliveries d where d.id in (
    select o.id from public.webhook_deliveries o
     where o.status <> 'pending' and o.created_at < clock_timestamp() - make_interval(days => p_keep_days)
     order by o.id limit 10000 for update skip locked);
  delete from public.webhook_deliveries d where d.id in (
    select o.id from public.webhook_deliveries o
     where o.status <> 'pending'
       and not exists (select from public.webhooks w where w.agency_id = o.agency_id and w.id = o.webhook_id)
     order by o.id limit 10000 for update skip locked);
$$;

alter function app.keep_deliveries owner to teamai_definer;
revoke all on function app.keep_deliveries from public;
grant execute on function app.keep_deliveries to teamai_worker;
