//! Every table and whose rows it has. One that is not listed fails the test, so that nobody forgets it.

use sqlx::{PgPool, Row};

use super::{ROLES, count};

pub enum Holds {
    /// Rows of tenants: how a row of one is written.
    Tenants(&'static str),
    /// Rows of tenants, and of the platform, which every tenant reads.
    Catalogue(&'static str),
    /// No tenant's rows, and why.
    None(&'static str),
}
use Holds::{Catalogue, Tenants};

pub struct Table {
    pub name: &'static str,
    /// The column that names the tenant.
    pub column: &'static str,
    pub holds: Holds,
}

impl Table {
    pub fn insert(&self) -> Option<&'static str> {
        match self.holds {
            Tenants(insert) | Catalogue(insert) => Some(insert),
            Holds::None(_) => None,
        }
    }
}

const fn table(name: &'static str, holds: Holds) -> Table {
    Table { name, column: "agency_id", holds }
}

/// In an order in which each can refer to those before it. Statements set every reference that they can.
pub const TABLES: &[Table] = &[
    table("_sqlx_migrations", Holds::None("which migrations ran")),
    table("_laid_functions", Holds::None("which texts of functions were laid")),
    table("login_throttle", Holds::None("failed sign-ins by an HMAC, before a tenant is known")),
    Table {
        column: "id",
        ..table("agencies", Tenants("insert into agencies (id, name) values ({agency}, 'A')"))
    },
    table("teams", Tenants("insert into teams (id, agency_id, name) values ({team}, {agency}, 'Team')")),
    table(
        "users",
        Tenants(
            "insert into users (id, agency_id, team_id, email, password_hash, role)
             values ({user}, {agency}, {team}, {user} || '@example.com', 'x', 'agency_admin')",
        ),
    ),
    table(
        "sessions",
        Tenants("insert into sessions (id, agency_id, user_id, expires_at) values ({session}, {agency}, {user}, now())"),
    ),
    table(
        "refresh_tokens",
        Tenants(
            "insert into refresh_tokens (id, agency_id, session_id, token_hash, expires_at)
             values ({token}, {agency}, {session}, sha256(convert_to({token}, 'UTF8')), now())",
        ),
    ),
    table(
        "api_keys",
        Tenants(
            "insert into api_keys (id, agency_id, team_id, name, secret_hash, scopes, created_by)
             values ({key}, {agency}, {team}, 'K', sha256('x'), '{tasks:read}', {user})",
        ),
    ),
    table(
        "invites",
        Tenants(
            "insert into invites (id, agency_id, team_id, email, role, token_hash, invited_by, expires_at)
             values ({invite}, {agency}, {team}, {user} || '@example.com', 'team_member',
                     sha256(convert_to({invite}, 'UTF8')), {user}, now())",
        ),
    ),
    table(
        "oidc_identities",
        Tenants(
            "insert into oidc_identities (id, agency_id, user_id, issuer, subject)
             values ({identity}, {agency}, {user}, 'https://idp.example', {identity})",
        ),
    ),
    table(
        "oidc_codes",
        Tenants(
            "insert into oidc_codes (id, agency_id, user_id, code_hash, expires_at)
             values ({code}, {agency}, {user}, sha256(convert_to({code}, 'UTF8')), now())",
        ),
    ),
    table("oidc_flows", Holds::None("sign-ins by a hash that came back once, before a tenant is known")),
    table("agent_roles", Catalogue("insert into agent_roles (id, agency_id, name) values ({role}, {agency}, {role})")),
    table(
        "cookbooks",
        Catalogue(
            "insert into cookbooks (id, agency_id, agent_role_id, slug, name, version, document, content_hash)
             values ({cookbook}, {agency}, {role}, {cookbook}, 'C', '1', '{}', sha256('x'))",
        ),
    ),
    table(
        "recipes",
        Catalogue(
            "insert into recipes (id, agency_id, cookbook_id, slug, name, version, version_key, document, content_hash)
             values ({recipe}, {agency}, {cookbook}, {recipe}, {recipe}, '1', '1', '{}', sha256('x'))",
        ),
    ),
    table(
            "prices",
            Catalogue(
                "insert into prices (id, agency_id, provider, model, effective_from, input, output, source)
                 values ({price}, {agency}, 'p', {price}, now(), 1, 1, 'a test')",
            ),
        ),
    table(
        "subscriptions",
        Tenants(
            "insert into subscriptions (id, agency_id, agent_role_id, purchased_count, unit_price, cycle_start, cycle_end)
             values ({subscription}, {agency}, {role}, 1, 1, current_date, current_date + 30)",
        ),
    ),
    table(
        "agent_instances",
        Tenants(
            "insert into agent_instances (id, agency_id, team_id, agent_role_id, custom_name)
             values ({agent}, {agency}, {team}, {role}, 'Ada')",
        ),
    ),
    table(
        "queue_pauses",
        Tenants(
            "insert into queue_pauses (id, agency_id, team_id, agent_instance_id, created_by)
             values ({pause}, {agency}, {team}, {agent}, {user})",
        ),
    ),
    table("workers", Holds::None("the processes of the installation, which run everybody's tasks")),
    table(
        "agency_keys",
        Tenants(
            "insert into agency_keys (agency_id, version, root_key_id, nonce, wrapped_key)
             values ({agency}, 1, 'root', decode(repeat('00', 24), 'hex'), decode(repeat('00', 48), 'hex'))",
        ),
    ),
    table(
        "webhooks",
        Tenants(
            "insert into webhooks (id, agency_id, team_id, url, events)
             values ({webhook}, {agency}, {team}, 'https://hooks.example/', '{task.dead}')",
        ),
    ),
    table(
        "secret_locker",
        Tenants(
            "insert into secret_locker (id, agency_id, team_id, webhook_id, key_name, key_version, nonce, ciphertext, last4)
             values ({secret}, {agency}, {team}, {webhook}, 'key', 1, decode(repeat('00', 24), 'hex'), 'x', '')",
        ),
    ),
    table(
        "experiments",
        Tenants(
            "insert into experiments (id, agency_id, recipe_slug, declared_by, salt, success_metric, sample_size)
             values ({experiment}, {agency}, 'r', {recipe}, {experiment}, 'token_cost', 10)",
        ),
    ),
    table(
        "experiment_assignments",
        Tenants(
            "insert into experiment_assignments (agency_id, experiment_id, subject, recipe_id)
             values ({agency}, {experiment}, 's', {recipe})",
        ),
    ),
    table(
        "task_queue",
        Tenants(
            "insert into task_queue (id, agency_id, team_id, agent_instance_id, created_by, recipe_id, recipe_slug,
                                     recipe_version, experiment_id, steps_total)
             values ({task}, {agency}, {team}, {agent}, {user}, {recipe}, 'r', '1', {experiment}, 1)",
        ),
    ),
    table(
        "idempotency_keys",
        Tenants(
            "insert into idempotency_keys (agency_id, key, request_hash, task_id)
             values ({agency}, 'key', sha256('x'), {task})",
        ),
    ),
    table(
        "monthly_executions",
        Tenants(
            "insert into monthly_executions (agency_id, cookbook_id, month) values ({agency}, {cookbook}, '2026-01-01')",
        ),
    ),
    table(
        "schedules",
        Tenants(
            "insert into schedules (id, agency_id, agent_instance_id, created_by, recipe, cron, time_zone, next_run_at)
             values ({schedule}, {agency}, {agent}, {user}, 'r', '0 0 * * *', 'UTC', '2026-01-01')",
        ),
    ),
    table(
        "schedule_fires",
        Tenants("insert into schedule_fires (schedule_id, agency_id, fire_at) values ({schedule}, {agency}, '2025-12-31')"),
    ),
    table(
        "stored_answers",
        Tenants(
            "insert into stored_answers (agency_id, caller, operation, key, request_hash, claim)
             values ({agency}, {user}, 'create_team', 'key', sha256('x'), {user})",
        ),
    ),
    table(
        "task_steps",
        Tenants(
            "insert into task_steps (task_id, agency_id, node_id, occurrence, status, started_at, finished_at)
             values ({task}, {agency}, {agency}, 0, 'completed', now(), now())",
        ),
    ),
    table(
        "agent_turns",
        Tenants(
            "insert into agent_turns (task_id, agency_id, node_id, occurrence, nth, piece)
             values ({task}, {agency}, {agency}, 0, 0, '{}')",
        ),
    ),
    table(
        "task_events",
        Tenants("insert into task_events (seq, agency_id, task_id, type) values (0, {agency}, {task}, 'task.queued')"),
    ),
    table(
        "webhook_deliveries",
        Tenants(
            "insert into webhook_deliveries (id, agency_id, webhook_id, event_seq, type, task_id, data, occurred_at)
             values ({delivery}, {agency}, {webhook}, 0, 'task.queued', {task}, '{}', now())",
        ),
    ),
    table(
        "task_feedback",
        Tenants(
            "insert into task_feedback (task_id, agency_id, quality_score, given_by, counted)
             values ({task}, {agency}, 1, {user}, false)",
        ),
    ),
    table(
        "call_intents",
        Tenants(
            "insert into call_intents (task_id, agency_id, node_id, occurrence, call_no, epoch, kind, request_hash, price_id)
             values ({task}, {agency}, {agency}, 0, 1, 1, 'llm', 'x', {price})",
        ),
    ),
    table(
        "node_progress",
        Tenants(
            "insert into node_progress (task_id, agency_id, node_id, occurrence, attempts, tokens_used, cost_usd,
                                        started_at, resume_at)
             values ({task}, {agency}, {agency}, 0, 1, 0, 0, now(), now())",
        ),
    ),
    table(
        "approvals",
        Tenants(
            "insert into approvals (id, agency_id, team_id, task_id, node_id, occurrence, round, kind, message, approvers,
                                    status, decided_by, decided_by_key, decided_at, expires_at)
             values ({approval}, {agency}, {team}, {task}, {agency}, 0, 0, 'approval', 'Go on?', '{}', 'approved', {user},
                     {key}, now(), now())",
        ),
    ),
    table("task_wakes", Tenants("insert into task_wakes (agency_id, task_id) values ({agency}, {task})")),
    table("tasks_set_aside", Tenants("insert into tasks_set_aside (task_id, agency_id) values ({task}, {agency})")),
    table("ledger_heads", Tenants("insert into ledger_heads (agency_id, seq, hash) values ({agency}, 1, 'x')")),
    table(
            "audit_logs",
            Tenants(
                "insert into audit_logs (id, agency_id, task_id, node_id, occurrence, call_no, team_id, agent_instance_id,
                                         recipe_id, kind, status, price_id, \"timestamp\", seq, prev_hash, hash)
                 values ({line}, {agency}, {task}, 'n', 0, 1, {team}, {agent}, {recipe}, 'llm', 'success', {price}, now(),
                         1, '', 'x')",
            ),
        ),
    table(
        "ab_test_results",
        Tenants(
            "insert into ab_test_results (id, agency_id, experiment_id, task_id, recipe_id, variant, success_metric,
                                          execution_time_ms, tokens_used, token_cost, outcome)
             values ({result}, {agency}, {experiment}, {task}, {recipe}, '1', 'token_cost', 1, 1, 0, 'completed')",
        ),
    ),
];

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_table_is_listed(root: PgPool) {
    let found: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'm', 'f')",
    )
    .fetch_all(&root)
    .await
    .unwrap();
    for name in &found {
        assert!(TABLES.iter().any(|table| table.name == name), "{name}: say in rls/tables.rs whose rows it holds");
    }
    for table in TABLES {
        assert!(found.iter().any(|name| name == table.name), "{} is not there any more", table.name);
        assert!(!matches!(table.holds, Holds::None("")), "{}: say why no tenant has rows in it", table.name);
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn row_level_security_is_enabled_and_forced_on_all_tables_of_tenants(root: PgPool) {
    for table in TABLES.iter().filter(|table| table.insert().is_some()) {
        let row = sqlx::query(
            "select relrowsecurity and relforcerowsecurity,
                    -- the definer, which cannot log in either, owns what it makes partitions of
                    relowner = 'teamai_owner'::regrole or (relkind = 'p' and relowner = 'teamai_definer'::regrole)
               from pg_class where oid = $1::regclass",
        )
        .bind(table.name)
        .fetch_one(&root)
        .await
        .unwrap();
        assert!(row.get::<bool, _>(0), "{}: select app.protect('{}')", table.name, table.name);
        assert!(row.get::<bool, _>(1), "{} belongs to somebody who may log in", table.name);
    }
    let views = "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v'";
    assert_eq!(count(&root, "postgres", None, views).await, 0, "a view reads with its owner's eyes; test it here");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_serving_roles_have_no_way_around_it(root: PgPool) {
    for role in ROLES {
        let attributes =
            "select count(*) from pg_roles where rolname = current_user and not rolsuper and not rolbypassrls
                             and not rolcreaterole and not rolcreatedb and not rolreplication";
        assert_eq!(count(&root, role, None, attributes).await, 1, "{role}");
        let others =
            "select count(*) from pg_roles where rolname <> current_user and pg_has_role(current_user, oid, 'member')";
        assert_eq!(count(&root, role, None, others).await, 0, "{role} can become somebody else");
        let owned = "select count(*) from pg_class where relowner = current_user::regrole";
        assert_eq!(count(&root, role, None, owned).await, 0, "{role} owns a table");
        // None of these asks row-level security.
        for right in ["truncate", "references", "trigger"] {
            let tables = format!(
                "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
                    and has_table_privilege(current_user, oid, '{right}')"
            );
            assert_eq!(count(&root, role, None, &tables).await, 0, "{role} has {right}");
        }
        let make =
            "select (has_schema_privilege('public', 'create') or has_schema_privilege('app', 'create'))::int::bigint";
        assert_eq!(count(&root, role, None, make).await, 0, "{role} can make tables and functions");
    }
}
