//! Cancelling a task, and putting a dead one back, in the tenant's context.

use sqlx::PgPool;

use super::read::team_bound;
use crate::{base::TaskId, db, tenancy::TenantScope};

/// Ends a queued task at once, with its line in the ledger, and asks a running one
/// to stop. Says whether there was such a task and it was not finished yet.
///
/// # Errors
/// The database is unavailable.
pub async fn cancel(scope: &TenantScope, pool: &PgPool, id: TaskId) -> Result<bool, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let touched = sqlx::query_scalar!(
        "update task_queue
            set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
                status = case when status = 'running' then status else 'cancelled' end,
                finished_at = case when status = 'running' then null else clock_timestamp() end
          where id = $1 and ($2::uuid is null or team_id = $2) and finished_at is null
         returning status",
        id.0,
        team_bound(scope),
    )
    .fetch_optional(&mut *tx)
    .await?;
    if touched.as_deref() == Some("cancelled") {
        sqlx::query!("select app.close_unrun(array[$1::uuid])", id.0).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(touched.is_some())
}

/// Puts a dead task back into the queue, with what it has finished. Says whether there
/// was such a task and it was dead.
///
/// # Errors
/// The database is unavailable.
pub async fn requeue(scope: &TenantScope, pool: &PgPool, id: TaskId) -> Result<bool, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let put_back = sqlx::query_scalar!(r#"select id as "id!" from app.requeue_dead($1) as r (id)"#, id.0)
        .fetch_optional(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(put_back.is_some())
}
