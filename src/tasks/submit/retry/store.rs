//! The SQL of a retry: what the finished task has, and the new one's write.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    base::{TaskId, TenantScope},
    db,
    tasks::submit::store::Submission,
};

/// Each node that has steps, and whether one of them failed.
///
/// # Errors
/// The database is away.
pub async fn step_states(scope: &TenantScope, pool: &PgPool, of: TaskId) -> Result<Vec<(String, bool)>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query!(
        r#"select node_id, bool_or(status = 'failed') as "failed!" from task_steps where task_id = $1 group by node_id"#,
        of.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(|row| (row.node_id, row.failed)).collect())
}

/// What the database decided of a new task.
#[derive(Debug)]
pub struct Made {
    pub team_id: Uuid,
    pub created_at: DateTime<Utc>,
    pub steps_done: i32,
}

/// Writes the new task with the steps it takes over, or gives the outcome that refused it.
///
/// # Errors
/// The database is away.
pub async fn retry(
    scope: &TenantScope,
    pool: &PgPool,
    of: TaskId,
    task: &Submission,
    keep: &[String],
) -> Result<Result<Made, String>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query!(
        r#"select outcome as "outcome!", team_id, created_at, steps_done from app.retry_task($1, $2, $3)"#,
        of.0,
        task as &Submission,
        keep,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(match (row.outcome.as_str(), row.team_id, row.created_at) {
        ("created", Some(team_id), Some(created_at)) => {
            Ok(Made { team_id, created_at, steps_done: row.steps_done.unwrap_or_default() })
        }
        _ => Err(row.outcome),
    })
}
