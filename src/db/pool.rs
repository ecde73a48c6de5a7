//! The connection pool, and transactions that see one tenant's rows.

use std::{str::FromStr, time::Duration};

use sqlx::{
    PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::base::AgencyId;

/// How long a request waits for a free connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A lazy pool: no connection is made before the first use, so that a process
/// starts while Postgres is away and says so on `/readyz`.
///
/// # Errors
/// The URL is not a Postgres URL.
pub fn connect(url: &str, application_name: &str, max_connections: u32) -> Result<PgPool, sqlx::Error> {
    // No session settings here: a pooler in transaction mode would refuse them.
    // The roles carry idle_in_transaction_session_timeout themselves.
    let options = PgConnectOptions::from_str(url)?.application_name(application_name);
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A ping before each use doubles the round trips; a broken connection is
        // found by the statement and dropped.
        .test_before_acquire(false)
        // A begin that was cancelled can leave an open transaction behind.
        .after_release(|connection, _| Box::pin(async move { Ok(!sqlx::Connection::is_in_transaction(connection)) }))
        .connect_lazy_with(options))
}

/// A transaction in which row-level security shows the agency's rows alone.
///
/// # Errors
/// The database is away.
pub async fn tenant(pool: &PgPool, agency: AgencyId) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    // In one round trip; an id prints as hexadecimal digits and hyphens only.
    let begin = format!("begin; select set_config('app.agency_id', '{agency}', true)");
    pool.begin_with(sqlx::AssertSqlSafe(begin)).await
}
