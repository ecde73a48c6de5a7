-- Lets old rows of failed sign-ins be found and dropped.
set local role teamai_owner;
create index login_throttle_by_age on login_throttle (updated_at);
reset role;
