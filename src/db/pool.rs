//! The connection pool, and transactions that see one tenant's rows.

use std::{
    io,
    pin::{Pin, pin},
    str::FromStr,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::future::BoxFuture;
use sqlx::{
    Connection, PgConnection, PgPool, Postgres, SqlSafeStr, Transaction,
    pool::MaybePoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use crate::base::AgencyId;

/// How long a request waits for a free connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A database that says nothing for so long is taken as away.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A connection that is looked at before it goes back has this long to answer.
const SIGN_OF_LIFE_WITHIN: Duration = Duration::from_secs(2);
/// After a silence, connections are looked at for so long.
const SUSPICIOUS_FOR: Duration = Duration::from_mins(5);

/// When a statement last got no answer, in this process.
static SILENCE: Mutex<Option<Instant>> = Mutex::new(None);

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
        .after_release(|connection, _| {
            Box::pin(async move {
                let goes_back = alive(connection).await?;
                // They grow to the largest message, and the driver leaves them so: twenty
                // connections that each wrote 16 MiB once would keep 320 of them.
                connection.shrink_buffers();
                Ok(goes_back)
            })
        })
        .connect_lazy_with(options))
}

/// Gives up on work that the database does not answer.
///
/// A connection can die without a word: a firewall forgets it, a host is gone. The
/// kernel goes on sending for a quarter of an hour before it says so.
///
/// # Errors
/// Those of the work, or an I/O error of the kind `TimedOut`, which counts as the database being away.
pub async fn bounded<T, E: From<sqlx::Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut work = pin!(work);
    if let Ok(done) = timeout(limit, work.as_mut()).await {
        return done;
    }
    // Before the work is dropped, which gives its connection back.
    *SILENCE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer")).into())
}

/// Whether a connection may go back to its pool. A dead one would never get there:
/// the driver waits for its answer without end, and its place stays taken. Asked
/// only after a silence, because it costs a round trip.
async fn alive(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let silence = *SILENCE.lock().unwrap_or_else(PoisonError::into_inner);
    if silence.is_none_or(|since| since.elapsed() > SUSPICIOUS_FOR) {
        return Ok(true);
    }
    match timeout(SIGN_OF_LIFE_WITHIN, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
    }
}

/// A transaction in which row-level security shows the agency's rows alone.
///
/// # Errors
/// The database is unavailable.
pub async fn tenant(pool: &PgPool, agency: AgencyId) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    // In one round trip; an id prints as hexadecimal digits and hyphens only.
    let begin = format!("begin; select set_config('app.agency_id', '{agency}', true)");
    let begin = Some(sqlx::AssertSqlSafe(begin).into_sql_str());
    let connection = MaybePoolConnection::PoolConnection(pool.acquire().await?);
    bounded(ANSWER_WITHIN, ToTheEnd(Some(Transaction::begin(connection, begin)))).await
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
            runtime.spawn(bounded(ANSWER_WITHIN, async move { begin.await.map(drop) }));
        }
    }
}
