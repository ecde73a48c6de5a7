-- The hash of what a line says (p_text), its number, and the hash before it.
create or replace function app.chained(p_prev bytea, p_seq bigint, p_text text) returns bytea
language sql immutable
return sha256(p_prev || convert_to(p_seq::text || '|' || p_text, 'UTF8'));

alter function app.chained owner to teamai_definer;
revoke all on function app.chained from public;
