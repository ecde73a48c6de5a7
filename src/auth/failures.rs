//! Sign-ins that failed, counted for the throttle.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

pub async fn blocked_until(pool: &PgPool, key: &[u8]) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let until = sqlx::query_scalar!("select blocked_until from login_throttle where key = $1", key)
        .fetch_optional(pool)
        .await?;
    Ok(until.flatten())
}

/// Counts a failure: five are free, the next costs a second, each further one
/// twice as much, up to 15 minutes. A day without failures starts the count anew.
pub async fn count_failure(pool: &PgPool, key: &[u8], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with old as (
           delete from login_throttle where key in (
             select key from login_throttle where updated_at < $2::timestamptz - interval '1 day' and key <> $1
              order by updated_at limit 10 for update skip locked)
         )
         insert into login_throttle as t (key, failures, updated_at) values ($1, 1, $2)
         on conflict (key) do update set
           failures = case when t.updated_at < $2 - interval '1 day' then 1 else least(t.failures + 1, 1000) end,
           blocked_until = case when t.updated_at >= $2 - interval '1 day' and t.failures >= 5
             then $2 + make_interval(secs => least(900, power(2, least(t.failures - 5, 10)))) end,
           updated_at = $2",
        key,
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub async fn forget_failures(pool: &PgPool, key: &[u8]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from login_throttle where key = $1", key).execute(pool).await?;
    Ok(())
}
