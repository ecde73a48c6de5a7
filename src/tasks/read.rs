//! Reading tasks, in the tenant's context.

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
/// The database is unavailable.
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
/// The database is unavailable.
pub async fn get(scope: &TenantScope, pool: &PgPool, id: TaskId) -> Result<Option<Task>, sqlx::Error> {
    Ok(many(scope, pool, &[id]).await?.pop())
}

/// The tasks in the order of the ids; those that are not there, or not the caller's
/// to see, are left out.
///
/// # Errors
/// The database is unavailable.
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
/// The database is unavailable.
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
/// The database is unavailable.
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
