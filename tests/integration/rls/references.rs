//! A reference cannot cross tenants: its key carries the agency, or a trigger looks at the owner.

use sqlx::{AssertSqlSafe, PgPool, Row};

use super::{
    ROLES, act, open_every_grant, seed,
    tables::{Holds, TABLES},
};

/// References without either, in columns that no serving role may write.
const WRITTEN_BY_FUNCTIONS: [(&str, &str); 5] = [
    ("task_queue_recipe_id_fkey", "app.write_tasks looks whether the agency may see the recipe"),
    ("ab_test_results_recipe_id_fkey", "app.record copies the task's own recipe"),
    ("call_intents_price_id_fkey", "app.record takes the price that the worker found for the task's agency"),
    ("audit_logs_price_id_fkey", "as that of the intent"),
    ("agency_keys_agency_id_fkey", "to the agency itself"),
];

/// Columns that hold an id without a reference, and why; a serving role may write only those of [`COMPARED`].
const NO_REFERENCE: &[(&str, &str)] = &[
    ("ab_test_results.task_id", "outlives its task; app.record copies the task's own"),
    ("audit_logs.agent_instance_id", "the ledger outlives what it tells of; copied from the task"),
    ("audit_logs.recipe_id", "as its agent"),
    ("audit_logs.task_id", "as its agent"),
    ("audit_logs.team_id", "as its agent"),
    ("idempotency_keys.task_id", "outlives its task; app.write_tasks writes the one that it makes"),
    ("idempotency_keys.task_ids", "as its task_id"),
    ("schedule_fires.task_id", "the task may go before; app.fire_schedule writes the one that it makes"),
    ("schedules.last_task_id", "as that of the fire"),
    ("task_events.task_id", "written by triggers, from the task's own row"),
    ("task_queue.dispatch_id", "names a ticket in Redis, no row"),
    ("task_queue.parent_task_id", "the parent may go before; app.record_work takes it from the parent's own row"),
    ("task_queue.retry_of", "that one may go before; app.retry_task looks whose it is"),
    ("task_steps.copied_from", "as retry_of"),
    ("tasks_set_aside.task_id", "app.set_aside copies the task's own row"),
    ("webhook_deliveries.task_id", "written by triggers, from the event's own row"),
];

/// As [`NO_REFERENCE`], in columns that a serving role writes: who reads them compares, or nobody takes them for an id.
const COMPARED: &[(&str, &str)] = &[
    ("experiments.salt", "a random number"),
    ("stored_answers.caller", "part of the key, whoever it names; read for one's own alone"),
    ("stored_answers.claim", "a random number of the request that is at it"),
    ("task_wakes.task_id", "whoever brings news waits for nobody: rls::news"),
    ("webhook_deliveries.webhook_id", "a reference would fail batches of tasks: rls::news"),
];

struct Reference {
    constraint: String,
    table: String,
    target: String,
    columns: Vec<String>,
    target_columns: Vec<String>,
}

/// References from a table of tenants to rows that some tenant owns.
async fn references(root: &PgPool) -> Vec<Reference> {
    let rows = sqlx::query(
        "select c.conname::text, c.conrelid::regclass::text, c.confrelid::regclass::text,
                array(select a.attname::text from unnest(c.conkey) with ordinality k (n, nth)
                        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n order by nth),
                array(select a.attname::text from unnest(c.confkey) with ordinality k (n, nth)
                        join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.n order by nth)
           from pg_constraint c where c.contype = 'f' and c.connamespace = 'public'::regnamespace
          order by 1",
    )
    .fetch_all(root)
    .await
    .unwrap();
    let reference = |row: &sqlx::postgres::PgRow| Reference {
        constraint: row.get(0),
        table: row.get(1),
        target: row.get(2),
        columns: row.get(3),
        target_columns: row.get(4),
    };
    // Whose tenant a row is, its own column says, which row-level security guards.
    let to_agency = |reference: &Reference| reference.target == "agencies" && reference.columns == ["agency_id"];
    rows.iter().map(reference).filter(|reference| !to_agency(reference)).collect()
}

fn is_catalogue(name: &str) -> bool {
    TABLES.iter().any(|table| table.name == name && matches!(table.holds, Holds::Catalogue(_)))
}

async fn has_owner_trigger(root: &PgPool, reference: &Reference) -> bool {
    let found: i64 = sqlx::query_scalar(
        "select count(*) from pg_trigger t
          where t.tgrelid = $1::regclass and t.tgfoid = 'app.check_catalogue_owner'::regproc and t.tgenabled = 'O'
            and encode(t.tgargs, 'escape') = $2 || '\\000' || $3 || '\\000'",
    )
    .bind(&reference.table)
    .bind(&reference.target)
    .bind(&reference.columns[0])
    .fetch_one(root)
    .await
    .unwrap();
    found > 0
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_reference_is_bound_to_its_tenant(root: PgPool) {
    let found = references(&root).await;
    assert!(found.len() > 15, "only {} references were found", found.len());
    for reference in &found {
        let Reference { constraint, table, target, columns, target_columns } = reference;
        if let Some((_, reason)) = WRITTEN_BY_FUNCTIONS.iter().find(|(name, _)| name == constraint) {
            assert!(!reason.is_empty());
            for role in ROLES {
                let may: bool = sqlx::query_scalar(
                    "select has_column_privilege($1, $2, $3, 'insert') or has_column_privilege($1, $2, $3, 'update')",
                )
                .bind(role)
                .bind(table)
                .bind(&columns[0])
                .fetch_one(&root)
                .await
                .unwrap();
                assert!(!may, "{role} may write {table}.{}, which nothing binds to its tenant", columns[0]);
            }
            continue;
        }
        if is_catalogue(target) {
            assert!(
                has_owner_trigger(&root, reference).await,
                "{constraint}: create a trigger on {table} that executes app.check_catalogue_owner('{target}', '{}')",
                columns[0]
            );
            continue;
        }
        let carried = columns.iter().zip(target_columns).any(|(own, other)| own == "agency_id" && other == "agency_id");
        assert!(carried, "{constraint}: {table} has to refer to {target} by (agency_id, ...)");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_row_cannot_refer_to_another_tenants(root: PgPool) {
    open_every_grant(&root).await;
    let (own, theirs) = (seed(&root).await, seed(&root).await);
    for reference in references(&root).await {
        let Reference { constraint, table, columns, .. } = &reference;
        if WRITTEN_BY_FUNCTIONS.iter().any(|(name, _)| name == constraint) {
            continue;
        }
        let mut changes = Vec::new();
        for column in columns.iter().filter(|column| *column != "agency_id") {
            let query = format!("select {column}::text from {table} where agency_id = '{}'", theirs.agency());
            let value: Option<String> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&root).await.unwrap();
            let value = value.unwrap_or_else(|| panic!("{table}.{column}: set it in rls/tables.rs"));
            // Versions of keys are numbers of the agency's own: one that only the other has.
            changes.push(if column == "key_version" {
                format!("{column} = 99")
            } else {
                format!("{column} = '{value}'")
            });
        }
        let statement = format!("update {table} set {} where agency_id = '{}'", changes.join(", "), own.agency());
        for role in ROLES {
            let refused = act(&root, role, Some(own.agency()), &statement).await;
            assert_eq!(refused, Err("23503".to_owned()), "{role}, {constraint}: {statement}");
        }
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_id_is_a_reference_that_carries_the_agency_or_says_why_not(root: PgPool) {
    let rows = sqlx::query(
        "select c.relname || '.' || a.attname,
                exists (select from unnest($1::text[]) role
                         where has_column_privilege(role, c.oid, a.attnum, 'insert')
                            or has_column_privilege(role, c.oid, a.attnum, 'update'))
           from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
            and a.atttypid in ('uuid'::regtype, 'uuid[]'::regtype) and a.attname not in ('id', 'agency_id')
            and exists (select from pg_attribute g where g.attrelid = c.oid and g.attname = 'agency_id')
            and not exists (select from pg_constraint k
                             where k.contype = 'f' and k.conrelid = c.oid and a.attnum = any (k.conkey))",
    )
    .bind(ROLES.as_slice())
    .fetch_all(&root)
    .await
    .unwrap();
    for row in &rows {
        let (column, written): (String, bool) = (row.get(0), row.get(1));
        let listed = if written { COMPARED } else { NO_REFERENCE };
        let reason = listed.iter().find(|(name, _)| *name == column).map(|(_, reason)| reason);
        let may = if written { "a serving role writes it" } else { "no serving role writes it" };
        assert!(
            reason.is_some_and(|reason| !reason.is_empty()),
            "{column} ({may}): refer by (agency_id, ...), or list it in rls/references.rs with a reason"
        );
    }
    assert_eq!(rows.len(), NO_REFERENCE.len() + COMPARED.len(), "a column that is listed is gone, or refers");
}

/// A key without the agency, in a table that a serving role writes, and why nobody can stand in another's way by it.
const KEYS_OF_ALL: &[(&str, &str)] = &[
    ("invites_token_key", "a hash of 32 random bytes"),
    ("oidc_codes_hash_key", "a hash of 32 random bytes"),
    ("oidc_identities_subject_taken", "an account of a provider is one person's, whose the provider says"),
    ("refresh_tokens_hash_key", "a hash of 32 random bytes"),
    ("users_email_taken", "an address signs in by itself: it is one person's"),
];

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_unique_key_that_a_serving_role_can_fill_carries_the_agency_or_says_why_not(root: PgPool) {
    let found: Vec<String> = sqlx::query_scalar(
        "select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
          where c.relnamespace = 'public'::regnamespace and i.indisunique
            and exists (select from unnest($1::text[]) role where has_any_column_privilege(role, c.oid, 'insert'))
            and exists (select from pg_attribute g where g.attrelid = c.oid and g.attname = 'agency_id')
            and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum = any (i.indkey::int2[])
                             and (a.attname = 'agency_id' or (a.attname = 'id' and i.indnkeyatts = 1)))
          order by 1",
    )
    .bind(ROLES.as_slice())
    .fetch_all(&root)
    .await
    .unwrap();
    let listed: Vec<&str> = KEYS_OF_ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, listed, "carry agency_id in it, or list it with a reason");
}
