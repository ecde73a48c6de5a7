-- Answers to requests with an Idempotency-Key, for whoever repeats the request.
set local role teamai_owner;

create table stored_answers (
  agency_id    uuid not null references agencies on delete cascade,
  -- the person or the API key: an answer may hold a secret that was shown to them alone
  caller       uuid not null,
  operation    text not null check (length(operation) between 1 and 100),
  key          text not null check (length(key) between 1 and 255),
  request_hash bytea not null check (octet_length(request_hash) = 32),
  -- of the request that is at it, or was
  claim        uuid not null,
  -- NULL while it is under way
  status       smallint check (status between 200 and 299),
  -- headers and body, sealed with the agency's key of this version
  key_version  integer,
  nonce        bytea,
  ciphertext   bytea,
  created_at   timestamptz not null default clock_timestamp(),
  primary key (agency_id, caller, operation, key),
  constraint stored_answers_whole
    check ((status is null) = (ciphertext is null) and num_nulls(key_version, nonce, ciphertext) in (0, 3))
);
create index stored_answers_age on stored_answers (created_at);
select app.protect('stored_answers');
grant select, insert, update, delete on stored_answers to teamai_api;

reset role;
