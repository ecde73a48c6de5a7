//! Tasks that go on: those that waited for something, and those that were set aside to run alone.

use sqlx::PgPool;

use super::workers::GONE_AFTER_SECONDS;

/// Gives tasks that were set aside at their claim a ticket again, as many as there are
/// workers without such a task. Gives how many.
///
/// # Errors
/// The database is unavailable.
pub async fn admit(pool: &PgPool, alone_from: i32) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"select app.admit_set_aside($1, $2) as "admitted!""#, alone_from, GONE_AFTER_SECONDS)
        .fetch_one(pool)
        .await
}

/// Queues waiting tasks whose time has come, or for which there is news. Gives how many, at most
/// `limit` of each.
///
/// # Errors
/// The database is unavailable.
pub async fn wake(pool: &PgPool, limit: i32) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"select app.wake_waiting($1) as "woken!""#, limit).fetch_one(pool).await
}
