//! Row-level security, proved table by table and function by function from the database's own catalogue.

mod doors;
mod functions;
mod ledger;
mod news;
mod pool;
mod references;
mod rows;
mod tables;

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use crate::fixture::id;

/// The roles under which requests and tasks are served.
pub const ROLES: [&str; 2] = ["teamai_api", "teamai_worker"];

/// The ids of one tenant's rows, by the names that the statements of [`tables::TABLES`] use.
pub struct Ids(BTreeMap<&'static str, Uuid>);

impl Ids {
    pub fn new() -> Self {
        const NAMES: &[&str] = &[
            "agency",
            "team",
            "user",
            "session",
            "token",
            "role",
            "cookbook",
            "recipe",
            "price",
            "subscription",
            "agent",
            "secret",
            "experiment",
            "task",
            "line",
            "result",
            "key",
            "invite",
            "identity",
            "approval",
            "code",
            "pause",
            "webhook",
            "delivery",
            "schedule",
        ];
        Self(NAMES.iter().map(|name| (*name, id())).collect())
    }

    pub fn agency(&self) -> Uuid {
        self.0["agency"]
    }

    /// The statement with `{name}` replaced by the ids.
    pub fn fill(&self, statement: &str) -> String {
        self.0
            .iter()
            .fold(statement.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), &format!("'{id}'")))
    }
}

/// Runs a statement as a role, in a tenant's context or in none, and keeps what
/// it did. Gives the rows affected, or the SQLSTATE.
pub async fn act(root: &PgPool, role: &str, context: Option<Uuid>, statement: &str) -> Result<u64, String> {
    let mut tx = root.begin().await.unwrap();
    enter(&mut tx, role, context).await;
    match sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *tx).await {
        Ok(done) => {
            tx.commit().await.unwrap();
            Ok(done.rows_affected())
        }
        Err(error) => Err(code(&error)),
    }
}

/// The rows that a statement gives to a role in no tenant's context; what it did is kept.
pub async fn run(root: &PgPool, role: &str, statement: String) -> Vec<PgRow> {
    run_in(root, role, None, statement).await
}

/// As [`run`], in a tenant's context.
pub async fn run_in(root: &PgPool, role: &str, context: Option<Uuid>, statement: String) -> Vec<PgRow> {
    let mut tx = root.begin().await.unwrap();
    enter(&mut tx, role, context).await;
    let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    rows
}

/// What the query's only number is, as a role in a context.
pub async fn count(root: &PgPool, role: &str, context: Option<Uuid>, query: &str) -> i64 {
    let mut tx = root.begin().await.unwrap();
    enter(&mut tx, role, context).await;
    let row = sqlx::query(AssertSqlSafe(query.to_owned())).fetch_one(&mut *tx).await;
    row.unwrap_or_else(|error| panic!("{role}: {query}: {error}")).get(0)
}

async fn enter(tx: &mut PgConnection, role: &str, context: Option<Uuid>) {
    let context = context.map(|agency| agency.to_string()).unwrap_or_default();
    sqlx::query("select set_config('role', $1, true), set_config('app.agency_id', $2, true)")
        .bind(role)
        .bind(context)
        .execute(tx)
        .await
        .unwrap();
}

pub fn code(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .unwrap_or_else(|| panic!("{error}"))
        .into_owned()
}

/// Every right on every table, so that row-level security alone stands in the way.
pub async fn open_every_grant(root: &PgPool) {
    sqlx::query("grant select, insert, update, delete on all tables in schema public to teamai_api, teamai_worker")
        .execute(root)
        .await
        .unwrap();
}

/// Writes a row of the tenant into every table, as the superuser.
pub async fn seed(root: &PgPool) -> Ids {
    let ids = Ids::new();
    for table in tables::TABLES {
        if let Some(insert) = table.insert() {
            let statement = ids.fill(insert);
            let done = sqlx::query(AssertSqlSafe(statement)).execute(root).await;
            done.unwrap_or_else(|error| panic!("{}: {error}", table.name));
        }
    }
    ids
}
