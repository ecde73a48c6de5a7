//! A reference cannot cross tenants: its key carries the agency, or a trigger looks at the owner.

use sqlx::{AssertSqlSafe, PgPool, Row};

use super::{
    ROLES, act, open_every_grant, seed,
    tables::{Holds, TABLES},
};

/// References without either, in columns that no serving role may write.
const WRITTEN_BY_FUNCTIONS: [(&str, &str); 5] = [
    ("task_queue_recipe_id_fkey", "app.submit_tasks looks whether the agency may see the recipe"),
    ("ab_test_results_recipe_id_fkey", "app.record copies the task's own recipe"),
    ("call_intents_price_id_fkey", "app.record takes the price that the worker found for the task's agency"),
    ("audit_logs_price_id_fkey", "as that of the intent"),
    ("agency_keys_agency_id_fkey", "to the agency itself"),
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

#[sqlx::test(migrations = "./migrations")]
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

#[sqlx::test(migrations = "./migrations")]
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
