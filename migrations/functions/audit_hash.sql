-- The hash that a line of the ledger has to carry: what recomputing the chain compares.
create or replace function app.audit_hash(l public.audit_logs) returns bytea
language sql stable
return app.chained(l.prev_hash, l.seq, app.audit_text(l));

alter function app.audit_hash owner to teamai_definer;
revoke all on function app.audit_hash from public;
