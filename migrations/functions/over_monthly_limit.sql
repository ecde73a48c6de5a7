-- Groups that a monthly limit has no room for, of those that could be written: an
-- unknown agent, a held key or an earlier try of the same batch takes no room. Locks
-- the counts, in a fixed order, until the commit.
create or replace function app.over_monthly_limit(p app.submission[], p_month date) returns uuid[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_over uuid[] := '{}';
  v_agencies uuid[] := '{}';
  v_cookbooks uuid[] := '{}';
  v_taken bigint[] := '{}';
  v_group record;
begin
  insert into public.monthly_executions (agency_id, cookbook_id, month)
  select distinct u.agency_id, u.cookbook_id, p_month from unnest(p) u
   where u.monthly_limit is not null
   order by 1, 2
  on conflict do nothing;
  perform from public.monthly_executions m
    where m.month = p_month and (m.agency_id, m.cookbook_id) in
          (select u.agency_id, u.cookbook_id from unnest(p) u where u.monthly_limit is not null)
    order by m.agency_id, m.cookbook_id for update;
  for v_group in
    select w.group_id, array_agg(w.agency_id) as agencies, array_agg(w.cookbook_id) as cookbooks,
           array_agg(w.asked) as asked, array_agg(w.monthly_limit) as limits
      from (select u.group_id, u.agency_id, u.cookbook_id, count(*) as asked, min(u.monthly_limit) as monthly_limit,
                   bool_and(a.id is not null and t.id is null and k.key is null) as writable
              from unnest(p) u
              left join public.agent_instances a
                on a.agency_id = u.agency_id and a.id = u.agent_instance_id and a.status = 'active'
              left join public.task_queue t on t.id = u.id
              left join public.idempotency_keys k on k.agency_id = u.agency_id and k.key = u.idempotency_key
                   and k.created_at >= clock_timestamp() - interval '24 hours'
             where u.monthly_limit is not null
             group by 1, 2, 3) w
     group by 1 having bool_and(w.writable)
     order by 1
  loop
    if exists (
      select from unnest(v_group.agencies, v_group.cookbooks, v_group.asked, v_group.limits) g (agency, cookbook, asked, most)
        join public.monthly_executions m on m.agency_id = g.agency and m.cookbook_id = g.cookbook and m.month = p_month
       where g.most < g.asked + m.used + coalesce((
               select sum(t.n) from unnest(v_agencies, v_cookbooks, v_taken) t (agency, cookbook, n)
                where t.agency = g.agency and t.cookbook = g.cookbook), 0)
    ) then
      v_over := v_over || v_group.group_id;
    else
      v_agencies := v_agencies || v_group.agencies;
      v_cookbooks := v_cookbooks || v_group.cookbooks;
      v_taken := v_taken || v_group.asked;
    end if;
  end loop;
  return v_over;
end $$;

alter function app.over_monthly_limit owner to teamai_definer;
revoke all on function app.over_monthly_limit from public;
