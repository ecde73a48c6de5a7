-- A UUIDv7: lists go by id, and ids by time.
create or replace function app.uuid_v7() returns uuid
language sql volatile
return encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
         placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
         52, 1), 53, 1), 'hex')::uuid;

alter function app.uuid_v7 owner to teamai_definer;
revoke all on function app.uuid_v7 from public;
