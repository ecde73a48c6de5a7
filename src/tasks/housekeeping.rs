//! What is rolled forward and dropped in passing: cycles, and old tasks.

use sqlx::PgPool;

/// Rolls billing cycles, counts active agents, drops what has had its day.
///
/// # Errors
/// The database is unavailable.
pub async fn housekeep(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query!("select app.housekeep()").execute(pool).await?;
    Ok(())
}

/// Deletes finished tasks, at most `limit`, that are older than their agency keeps them;
/// `default_days` where it has not said. Gives how many.
///
/// # Errors
/// The database is unavailable.
pub async fn prune(pool: &PgPool, default_days: i32, limit: i32) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"select app.prune_tasks($1, $2) as "deleted!""#, default_days, limit).fetch_one(pool).await
}
