//! The connection pool, and transactions that see one tenant's rows.

use std::{
    pin::Pin,
    str::FromStr,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::future::BoxFuture;
use sqlx::{
    PgPool, Postgres, SqlSafeStr, Transaction,
    pool::MaybePoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::runtime::Handle;

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
        .connect_lazy_with(options))
}

/// A transaction in which row-level security shows the agency's rows alone.
///
/// # Errors
/// The database is away.
pub async fn tenant(pool: &PgPool, agency: AgencyId) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    // In one round trip; an id prints as hexadecimal digits and hyphens only.
    let begin = format!("begin; select set_config('app.agency_id', '{agency}', true)");
    let begin = Some(sqlx::AssertSqlSafe(begin).into_sql_str());
    let connection = MaybePoolConnection::PoolConnection(pool.acquire().await?);
    ToTheEnd(Some(Transaction::begin(connection, begin))).await
}

/// A `begin` that goes on to its end if whoever asked for it is gone.
///
/// One that was dropped half-way would go back into the pool with its transaction
/// open and the tenant's context in it: the driver rolls back only what it knows
/// to have begun. The next user of the connection would see that tenant's rows.
struct ToTheEnd(Option<BoxFuture<'static, Result<Transaction<'static, Postgres>, sqlx::Error>>>);

impl Future for ToTheEnd {
    type Output = Result<Transaction<'static, Postgres>, sqlx::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(begin) = self.0.as_mut() else { return Poll::Pending };
        let transaction = ready!(begin.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(transaction)
    }
}

impl Drop for ToTheEnd {
    fn drop(&mut self) {
        // Without a runtime no connection goes back to the pool either.
        if let (Some(begin), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move { drop(begin.await) });
        }
    }
}
