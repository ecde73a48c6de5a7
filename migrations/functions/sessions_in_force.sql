-- Which of these sessions are in force, and what their people may. As
-- app.api_keys_in_force it takes the credentials of many requests, of any agencies, at once:
-- that each request is checked against the present state would else cost it a transaction of
-- its own. Both answer for what was proved alone: the signature of an access token, the
-- secret of a key. Planning anew would cost more than the look-ups: the plan is kept. Gives
-- the place of each in the arrays, from 1.
create or replace function app.sessions_in_force(p_sessions uuid[], p_users uuid[], p_agencies uuid[], p_now timestamptz)
returns table (place bigint, role text, team_id uuid)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
begin
  return query
    select p.place, u.role, u.team_id
      from unnest(p_sessions, p_users, p_agencies) with ordinality as p(session_id, user_id, agency_id, place)
      join public.sessions s on s.id = p.session_id
      join public.users u on u.id = s.user_id
      join public.agencies a on a.id = s.agency_id
     -- "is true" keeps the planner from walking all sessions of a user
     where (s.user_id = p.user_id) is true and (s.agency_id = p.agency_id) is true
       and s.revoked_at is null and s.expires_at > p_now and u.status = 'active' and a.status = 'active';
end $$;

alter function app.sessions_in_force owner to teamai_definer;
revoke all on function app.sessions_in_force from public;
grant execute on function app.sessions_in_force to teamai_api;
