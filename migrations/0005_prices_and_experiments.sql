-- What a model costs, and which version of a recipe a run is given.
set local role teamai_owner;

-- USD per million tokens. A new price is a new row; a ledger line keeps the row it used.
create table prices (
  id             uuid primary key,
  agency_id      uuid references agencies on delete restrict,
  provider       text not null,
  model          text not null,
  region         text not null default '',
  tier           text not null default '',
  effective_from timestamptz not null,
  input          numeric(20, 10) not null check (input >= 0),
  cache_read     numeric(20, 10) check (cache_read >= 0),
  cache_write_5m numeric(20, 10) check (cache_write_5m >= 0),
  cache_write_1h numeric(20, 10) check (cache_write_1h >= 0),
  output         numeric(20, 10) not null check (output >= 0),
  reasoning      numeric(20, 10) check (reasoning >= 0),
  source         text not null,
  created_at     timestamptz not null default clock_timestamp(),
  constraint prices_row_taken unique nulls not distinct (agency_id, provider, model, region, tier, effective_from)
);
select app.protect('prices', p_catalogue => true);
create trigger prices_immutable before update or delete on prices for each row execute function app.refuse_change();
grant select on prices to teamai_api, teamai_worker;

-- One for each agency and recipe under test. The salt makes assignments of two
-- experiments independent.
create table experiments (
  id             uuid primary key,
  agency_id      uuid not null references agencies on delete cascade,
  recipe_slug    text not null,
  declared_by    uuid not null references recipes on delete restrict,
  salt           uuid not null,
  success_metric text not null check (success_metric in ('quality_score', 'execution_time', 'token_cost')),
  sample_size    integer not null check (sample_size > 0),
  status         text not null default 'running' check (status in ('running', 'stopped')),
  created_at     timestamptz not null default clock_timestamp(),
  constraint experiments_declaration_key unique (agency_id, declared_by),
  constraint experiments_tenant_key unique (agency_id, id)
);
select app.protect('experiments');
grant select, insert on experiments to teamai_api;
grant update (status) on experiments to teamai_api;
grant select on experiments to teamai_worker;

-- A subject keeps the version it was given first.
create table experiment_assignments (
  agency_id     uuid not null,
  experiment_id uuid not null,
  subject       text not null check (length(subject) between 1 and 255),
  recipe_id     uuid not null references recipes on delete restrict,
  created_at    timestamptz not null default clock_timestamp(),
  primary key (agency_id, experiment_id, subject),
  foreign key (agency_id, experiment_id) references experiments (agency_id, id) on delete cascade
);
select app.protect('experiment_assignments');
grant select, insert on experiment_assignments to teamai_api;

reset role;
