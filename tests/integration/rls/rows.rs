//! Rows of one tenant under the context of another, and under none. Every grant is open
//! and every trigger off, so that row-level security alone stands in the way.

use sqlx::{AssertSqlSafe, PgPool};

use super::{
    Ids, ROLES, act, count, open_every_grant, seed,
    tables::{Holds, TABLES, Table},
};

/// Refused by row-level security.
const REFUSED: &str = "42501";

fn of_tenants() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(|table| table.insert().is_some())
}

async fn row_level_security_alone(root: &PgPool) {
    open_every_grant(root).await;
    for table in of_tenants() {
        let statement = format!("alter table {} disable trigger user", table.name);
        sqlx::query(AssertSqlSafe(statement)).execute(root).await.unwrap();
    }
}

/// Writes a tenant's rows as the role itself, having tried without and in the wrong context.
async fn insert(root: &PgPool, role: &str, theirs: &Ids) -> Ids {
    let own = Ids::new();
    for table in of_tenants() {
        let statement = own.fill(table.insert().unwrap());
        for context in [None, Some(theirs.agency())] {
            let refused = act(root, role, context, &statement).await;
            assert_eq!(refused, Err(REFUSED.to_owned()), "{role}: insert into {} in {context:?}", table.name);
        }
        let done = act(root, role, Some(own.agency()), &statement).await;
        assert_eq!(done, Ok(1), "{role}: the tenant's own {}", table.name);
    }
    own
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn rows_are_read_and_written_in_their_own_tenants_context_alone(root: PgPool) {
    row_level_security_alone(&root).await;
    for role in ROLES {
        let theirs = seed(&root).await;
        let own = insert(&root, role, &theirs).await;
        for table in of_tenants() {
            nothing_without_a_context(&root, role, table).await;
            nothing_in_anothers(&root, role, table, &own, &theirs).await;
            a_row_stays(&root, role, table, &own, &theirs).await;
        }
    }
}

async fn nothing_without_a_context(root: &PgPool, role: &str, table: &Table) {
    let Table { name, column, .. } = table;
    let rows = format!("select count(*) from {name} where {column} is not null");
    assert_eq!(count(root, role, None, &rows).await, 0, "{role} reads {name} without a context");
    for statement in
        [format!("update {name} set {column} = {column} where {column} is not null"), format!("delete from {name}")]
    {
        assert_eq!(act(root, role, None, &statement).await, Ok(0), "{role} without a context: {statement}");
    }
}

async fn nothing_in_anothers(root: &PgPool, role: &str, table: &Table, own: &Ids, theirs: &Ids) {
    let Table { name, column, .. } = table;
    let (here, other) = (own.agency(), theirs.agency());
    for (context, of) in [(here, other), (other, here)] {
        let rows = |which: &str| format!("select count(*) from {name} where {column} {which} '{context}'");
        assert!(count(root, role, Some(context), &rows("=")).await > 0, "{role} misses its own {name}");
        let foreign = count(root, role, Some(context), &rows("<>")).await;
        assert_eq!(foreign, 0, "{role} reads another tenant's {name}");
        for statement in [
            format!("update {name} set {column} = {column} where {column} = '{of}'"),
            // To take it over.
            format!("update {name} set {column} = '{context}' where {column} = '{of}'"),
            format!("delete from {name} where {column} = '{of}'"),
        ] {
            assert_eq!(act(root, role, Some(context), &statement).await, Ok(0), "{role}: {statement}");
        }
    }
}

/// An UPDATE cannot give a row to another tenant.
async fn a_row_stays(root: &PgPool, role: &str, table: &Table, own: &Ids, theirs: &Ids) {
    let Table { name, column, .. } = table;
    let given = format!("update {name} set {column} = '{}' where {column} = '{}'", theirs.agency(), own.agency());
    let refused = act(root, role, Some(own.agency()), &given).await.unwrap_err();
    assert_eq!(refused, REFUSED, "{role}: {given}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_platforms_rows_are_read_by_all_and_written_by_no_tenant(root: PgPool) {
    row_level_security_alone(&root).await;
    let platform = Ids::new();
    let own = seed(&root).await;
    for table in TABLES {
        let Holds::Catalogue(insert) = table.holds else { continue };
        let Table { name, .. } = table;
        let statement = platform.fill(&insert.replace("{agency}", "null"));
        for role in ROLES {
            let refused = act(&root, role, Some(own.agency()), &statement).await;
            assert_eq!(refused, Err(REFUSED.to_owned()), "{role} writes the platform's {name}");
        }
        sqlx::query(AssertSqlSafe(statement)).execute(&root).await.unwrap();
        for role in ROLES {
            let seen = format!("select count(*) from {name} where agency_id is null");
            for context in [None, Some(own.agency())] {
                assert_eq!(count(&root, role, context, &seen).await, 1, "{role} does not see the platform's {name}");
            }
            for statement in [
                format!("update {name} set agency_id = agency_id where agency_id is null"),
                format!("update {name} set agency_id = '{}' where agency_id is null", own.agency()),
                format!("delete from {name} where agency_id is null"),
            ] {
                assert_eq!(act(&root, role, Some(own.agency()), &statement).await, Ok(0), "{role}: {statement}");
            }
            let given = format!("update {name} set agency_id = null where agency_id = '{}'", own.agency());
            assert_eq!(act(&root, role, Some(own.agency()), &given).await, Err(REFUSED.to_owned()), "{role}: {given}");
        }
    }
}
