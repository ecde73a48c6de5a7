-- People may unlink their accounts at providers.
set local role teamai_owner;
grant delete on oidc_identities to teamai_api;
reset role;
