//! The SQL of feedback.

use sqlx::PgPool;

use super::{Given, Score};
use crate::{
    base::{TaskId, TenantScope},
    db,
    tasks::store::team_bound,
};

/// Keeps it in the place of what was said before.
///
/// # Errors
/// The database is away.
pub async fn give(
    scope: &TenantScope,
    pool: &PgPool,
    task: TaskId,
    given: Score,
    comment: Option<&str>,
) -> Result<Given, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let outcome = sqlx::query_scalar!(
        r#"select app.rate_task($1, $2, $3, $4, $5) as "outcome!""#,
        task.0,
        team_bound(scope),
        scope.user_id().map(|id| id.0),
        given.get(),
        comment,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(match outcome.as_str() {
        "counted" => Given::Kept { counted: true },
        "kept" => Given::Kept { counted: false },
        "not_finished" => Given::NotFinished,
        _ => Given::Unknown,
    })
}
