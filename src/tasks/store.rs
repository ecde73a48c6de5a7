//! Reading tasks, and cancelling one. Everything runs in the tenant's context.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Step, Task, TaskStatus};
use crate::{
    base::{Page, Paged, TaskId},
    db,
    tenancy::TenantScope,
};

/// What a list of tasks can be narrowed to; `None` is no bound.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub status: Option<TaskStatus>,
    pub agent_instance_id: Option<Uuid>,
    /// The recipe's slug.
    pub recipe: Option<String>,
    pub team_id: Option<Uuid>,
    pub created_after: Option<DateTime<Utc>>,
    pub tag: Option<String>,
}

/// An admin sees every team; a member its own, and without one nothing.
pub(super) fn team_bound(scope: &TenantScope) -> Option<Uuid> {
    if scope.is_admin() { None } else { Some(scope.team_id().map_or(Uuid::nil(), |team| team.0)) }
}

/// Newest first.
///
/// # Errors
/// The database is away.
pub async fn list(scope: &TenantScope, pool: &PgPool, filter: &Filter, page: Page) -> Result<Paged<Task>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let tasks = sqlx::query_as!(
        Task,
        r#"select id, agency_id, team_id, agent_instance_id, recipe_id, recipe_slug as recipe, recipe_version,
                  experiment_id, variant, subject, status, priority, inputs, output -> 'value' as output, error,
                  attempt, tokens_used, cost_usd, budget_usd, steps_done, steps_total, tags, created_at, run_at,
                  started_at, finished_at, parent_task_id, retry_of
             from task_queue
            where ($1::uuid is null or id < $1)
              and ($2::text is null or status = $2)
              and ($3::uuid is null or agent_instance_id = $3)
              and ($4::text is null or recipe_slug = $4)
              and ($5::uuid is null or team_id = $5)
              and ($6::uuid is null or team_id = $6)
              and ($7::timestamptz is null or created_at > $7)
              and ($8::text is null or $8 = any (tags))
            order by agency_id desc, id desc limit $9"#,
        page.before,
        filter.status.map(TaskStatus::as_str),
        filter.agent_instance_id,
        filter.recipe.as_deref(),
        filter.team_id,
        team_bound(scope),
        filter.created_after,
        filter.tag.as_deref(),
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(tasks, |task| task.id))
}

/// # Errors
/// The database is away.
pub async fn get(scope: &TenantScope, pool: &PgPool, id: TaskId) -> Result<Option<Task>, sqlx::Error> {
    Ok(many(scope, pool, &[id]).await?.pop())
}

/// The tasks in the order of the ids; those that are not there, or not the caller's
/// to see, are left out.
///
/// # Errors
/// The database is away.
pub async fn many(scope: &TenantScope, pool: &PgPool, ids: &[TaskId]) -> Result<Vec<Task>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let tasks = sqlx::query_as!(
        Task,
        r#"select id, agency_id, team_id, agent_instance_id, recipe_id, recipe_slug as recipe, recipe_version,
                  experiment_id, variant, subject, status, priority, inputs, output -> 'value' as output, error,
                  attempt, tokens_used, cost_usd, budget_usd, steps_done, steps_total, tags, created_at, run_at,
                  started_at, finished_at, parent_task_id, retry_of
             from task_queue where id = any ($1) and ($2::uuid is null or team_id = $2)
            order by array_position($1, id)"#,
        &ids,
        team_bound(scope),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(tasks)
}

/// The steps of a task in the order in which they were finished; `None` if there is no such task.
///
/// # Errors
/// The database is away.
pub async fn steps(scope: &TenantScope, pool: &PgPool, id: TaskId) -> Result<Option<Vec<Step>>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let known = sqlx::query_scalar!(
        r#"select true as "known!" from task_queue where id = $1 and ($2::uuid is null or team_id = $2)"#,
        id.0,
        team_bound(scope),
    )
    .fetch_optional(&mut *tx)
    .await?;
    if known.is_none() {
        return Ok(None);
    }
    let steps = sqlx::query_as!(
        Step,
        "select node_id, occurrence, status, attempts, started_at, finished_at, output, error, tokens_used, cost_usd,
                cached, copied_from
           from task_steps where task_id = $1 order by finished_at, node_id, occurrence",
        id.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(steps))
}

/// The whole output column, content type and file name included, with the task's status.
///
/// # Errors
/// The database is away.
pub async fn output(
    scope: &TenantScope,
    pool: &PgPool,
    id: TaskId,
) -> Result<Option<(String, Option<Value>)>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query!(
        "select status, output from task_queue where id = $1 and ($2::uuid is null or team_id = $2)",
        id.0,
        team_bound(scope),
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.map(|r| (r.status, r.output)))
}

/// Ends a queued task at once, with its line in the ledger, and asks a running one
/// to stop. Says whether there was such a task and it was not finished yet.
///
/// # Errors
/// The database is away.
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
/// The database is away.
pub async fn requeue(scope: &TenantScope, pool: &PgPool, id: TaskId) -> Result<bool, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let put_back = sqlx::query_scalar!(r#"select id as "id!" from app.requeue_dead($1) as r (id)"#, id.0)
        .fetch_optional(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(put_back.is_some())
}

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
/// The database is away.
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

/// Tasks of the agency finished since then, by status.
///
/// # Errors
/// The database is away.
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
/// The database is away.
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
