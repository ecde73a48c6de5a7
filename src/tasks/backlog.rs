//! How much waits, comes in and is done, in the tenant's context.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{db, tenancy::TenantScope};

/// Open tasks of a team in one status.
#[derive(Debug, Clone)]
pub struct Depth {
    pub team_id: Uuid,
    pub status: String,
    pub count: i64,
    /// When the oldest of them became due.
    pub oldest_run_at: DateTime<Utc>,
}

/// What the agency has open, by team and status.
///
/// # Errors
/// The database is unavailable.
pub async fn depth(scope: &TenantScope, pool: &PgPool) -> Result<Vec<Depth>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        Depth,
        r#"select team_id, status, count(*) as "count!", min(run_at) as "oldest_run_at!"
             from task_queue where agency_id = $1 and finished_at is null
            group by team_id, status order by team_id, status"#,
        scope.agency_id().0,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows)
}

/// How many tasks of the agency have not ended, counted up to `most`.
///
/// # Errors
/// The database is unavailable.
pub async fn open(scope: &TenantScope, pool: &PgPool, most: u32) -> Result<i64, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!"
             from (select run_at from task_queue where agency_id = $1 and finished_at is null limit $2) open"#,
        scope.agency_id().0,
        i64::from(most),
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(count)
}

/// Tasks of the agency finished since then, by status.
///
/// # Errors
/// The database is unavailable.
pub async fn finished_since(
    scope: &TenantScope,
    pool: &PgPool,
    since: DateTime<Utc>,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query!(
        r#"select status, count(*) as "count!" from task_queue
            where agency_id = $1 and finished_at >= $2 group by status order by status"#,
        scope.agency_id().0,
        since,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(|r| (r.status, r.count)).collect())
}

/// How many tasks of the agency were taken in since then.
///
/// # Errors
/// The database is unavailable.
pub async fn submitted_since(scope: &TenantScope, pool: &PgPool, since: DateTime<Utc>) -> Result<i64, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    // Ids begin with the time: the newest are read, and no more.
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from task_queue where agency_id = $1 and id >= $2 and created_at >= $3"#,
        scope.agency_id().0,
        first_id_at(since),
        since,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(count)
}

/// The least UUIDv7 of a time.
fn first_id_at(time: DateTime<Utc>) -> Uuid {
    let milliseconds = u64::try_from(time.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &[0; 10]).into_uuid()
}
