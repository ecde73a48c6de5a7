-- As app.sessions_in_force, for API keys: p_hashes are SHA-256 of the secrets that came with
-- p_ids. Gives the place of each that is in force in the arrays, from 1, and what it may.
create or replace function app.api_keys_in_force(p_ids uuid[], p_hashes bytea[], p_now timestamptz)
returns table (place bigint, agency_id uuid, team_id uuid, scopes text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
begin
  -- Once a minute for each key; whoever is at it already need not be waited for.
  update public.api_keys k set last_used_at = p_now
   where k.id in (
     select t.id from public.api_keys t
       join unnest(p_ids, p_hashes) as p(id, hash) on t.id = p.id and t.secret_hash = p.hash
      where t.revoked_at is null and (t.expires_at is null or t.expires_at > p_now)
        and (t.last_used_at is null or t.last_used_at <= p_now - interval '1 minute')
        for update of t skip locked);
  return query
    select p.place, k.agency_id, k.team_id, k.scopes
      from unnest(p_ids, p_hashes) with ordinality as p(id, hash, place)
      join public.api_keys k on k.id = p.id and k.secret_hash = p.hash
      join public.agencies a on a.id = k.agency_id
     where k.revoked_at is null and (k.expires_at is null or k.expires_at > p_now) and a.status = 'active';
end $$;

alter function app.api_keys_in_force owner to teamai_definer;
revoke all on function app.api_keys_in_force from public;
grant execute on function app.api_keys_in_force to teamai_api;
