//! Reading tasks, in the tenant's context.
//!
//! What is stored of a value says how much of it there is without reading it: stored values
//! are compressed, to a ninetieth at most. Statements here leave out what is stored in more
//! bytes than they are told; [`super::reader`] says how many.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Step, Task, TaskStatus};
use crate::{
    base::{Page, TaskId},
    db::{self, JsonText},
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

/// The step that a page of steps follows, in their order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StepPlace {
    pub finished_at: DateTime<Utc>,
    pub node_id: String,
    pub occurrence: i32,
}

/// A task's output as a file.
#[derive(Debug)]
pub struct OutputFile {
    pub content_type: String,
    pub filename: String,
    /// Of an output that is a text and no JSON.
    pub text: Option<String>,
    /// Of every other.
    pub json: Option<JsonText>,
}

/// A task's status, and its output if it has one and it was not left out.
#[derive(Debug)]
pub struct FoundOutput {
    pub status: String,
    pub left_out: bool,
    pub file: Option<OutputFile>,
}

/// An admin sees every team; a member its own, and without one nothing.
pub(super) fn team_bound(scope: &TenantScope) -> Option<Uuid> {
    if scope.is_admin() { None } else { Some(scope.team_id().map_or(Uuid::nil(), |team| team.0)) }
}

/// Newest first, one more than the page has. The values of all after the first `most_stored`
/// bytes are left out.
///
/// # Errors
/// The database is unavailable.
pub(super) async fn list(
    scope: &TenantScope,
    pool: &PgPool,
    filter: &Filter,
    page: Page,
    most_stored: i64,
) -> Result<Vec<Task>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let tasks = sqlx::query_as!(
        Task,
        r#"select id, agency_id, team_id, agent_instance_id, recipe_id, recipe_slug as recipe, recipe_version,
                  experiment_id, variant, subject, status, priority,
                  case when stored <= $10 then inputs else '{}' end as "inputs!: JsonText",
                  case when stored <= $10 then output -> 'value' end as "output: JsonText",
                  stored > $10 as "values_left_out!", error,
                  attempt, tokens_used, cost_usd, budget_usd, steps_done, steps_total, tags, created_at, run_at,
                  started_at, finished_at, parent_task_id, retry_of
             from (select *, sum(pg_column_size(inputs) + coalesce(pg_column_size(output), 0))
                             over (order by agency_id desc, id desc) as stored
                     from (select * from task_queue
                            where ($1::uuid is null or id < $1)
                              and ($2::text is null or status = $2)
                              and ($3::uuid is null or agent_instance_id = $3)
                              and ($4::text is null or recipe_slug = $4)
                              and ($5::uuid is null or team_id = $5)
                              and ($6::uuid is null or team_id = $6)
                              and ($7::timestamptz is null or created_at > $7)
                              and ($8::text is null or $8 = any (tags))
                            order by agency_id desc, id desc limit $9) page) page
            order by agency_id desc, id desc"#,
        page.before,
        filter.status.map(TaskStatus::as_str),
        filter.agent_instance_id,
        filter.recipe.as_deref(),
        filter.team_id,
        team_bound(scope),
        filter.created_after,
        filter.tag.as_deref(),
        page.fetch(),
        most_stored,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(tasks)
}

/// # Errors
/// The database is unavailable.
pub(super) async fn get(
    scope: &TenantScope,
    pool: &PgPool,
    id: TaskId,
    most_stored: i64,
) -> Result<Option<Task>, sqlx::Error> {
    Ok(many(scope, pool, &[id], most_stored).await?.pop())
}

/// The tasks in the order of the ids; those that are not there, or not the caller's
/// to see, are left out. So are the values of each that has more than `most_stored` bytes.
///
/// # Errors
/// The database is unavailable.
pub(super) async fn many(
    scope: &TenantScope,
    pool: &PgPool,
    ids: &[TaskId],
    most_stored: i64,
) -> Result<Vec<Task>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let tasks = sqlx::query_as!(
        Task,
        r#"select id, agency_id, team_id, agent_instance_id, recipe_id, recipe_slug as recipe, recipe_version,
                  experiment_id, variant, subject, status, priority,
                  case when stored <= $3 then inputs else '{}' end as "inputs!: JsonText",
                  case when stored <= $3 then output -> 'value' end as "output: JsonText",
                  stored > $3 as "values_left_out!", error,
                  attempt, tokens_used, cost_usd, budget_usd, steps_done, steps_total, tags, created_at, run_at,
                  started_at, finished_at, parent_task_id, retry_of
             from task_queue, lateral (select pg_column_size(inputs)::bigint + coalesce(pg_column_size(output), 0)) size (stored)
            where id = any ($1) and ($2::uuid is null or team_id = $2)
            order by array_position($1, id)"#,
        &ids,
        team_bound(scope),
        most_stored,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(tasks)
}

/// The inputs of a task that was found; none if it was pruned since.
///
/// # Errors
/// The database is unavailable.
pub(super) async fn inputs(scope: &TenantScope, pool: &PgPool, id: TaskId) -> Result<Map<String, Value>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let inputs = sqlx::query_scalar!(
        r#"select inputs as "inputs: JsonText" from task_queue where id = $1 and ($2::uuid is null or team_id = $2)"#,
        id.0,
        team_bound(scope),
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(inputs.and_then(|inputs| serde_json::from_str(inputs.as_str()).ok()).unwrap_or_default())
}

/// The steps of a task in the order in which they were finished, after a place and at most so
/// many; `None` if there is no such task. The outputs of all after the first `most_stored`
/// bytes are left out.
///
/// # Errors
/// The database is unavailable.
pub(super) async fn steps(
    scope: &TenantScope,
    pool: &PgPool,
    id: TaskId,
    after: Option<&StepPlace>,
    (limit, most_stored): (i64, i64),
) -> Result<Option<Vec<Step>>, sqlx::Error> {
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
        r#"select node_id, occurrence, status, attempts, started_at, finished_at,
                  case when stored <= $6 then output end as "output: JsonText",
                  stored > $6 as "output_left_out!", error, tokens_used, cost_usd, cached, copied_from
             from (select *, sum(coalesce(pg_column_size(output), 0))
                             over (order by finished_at, node_id, occurrence) as stored
                     from (select * from task_steps
                            where task_id = $1
                              and ($2::timestamptz is null or (finished_at, node_id, occurrence) > ($2, $3, $4))
                            order by finished_at, node_id, occurrence limit $5) page) page
            order by finished_at, node_id, occurrence"#,
        id.0,
        after.map(|place| place.finished_at),
        after.map(|place| place.node_id.as_str()),
        after.map(|place| place.occurrence),
        limit,
        most_stored,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(steps))
}

/// The output of one step of a task that the caller was found to see.
///
/// # Errors
/// The database is unavailable.
pub(super) async fn step_output(
    scope: &TenantScope,
    pool: &PgPool,
    id: TaskId,
    step: &Step,
) -> Result<Option<JsonText>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let output = sqlx::query_scalar!(
        r#"select output as "output: JsonText" from task_steps
            where task_id = $1 and node_id = $2 and occurrence = $3"#,
        id.0,
        step.node_id,
        step.occurrence,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(output.flatten())
}

/// The output with its content type and file name, unless more than `most_stored` bytes are
/// stored of it; `None` if there is no such task.
///
/// # Errors
/// The database is unavailable.
pub(super) async fn output(
    scope: &TenantScope,
    pool: &PgPool,
    id: TaskId,
    most_stored: i32,
) -> Result<Option<FoundOutput>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query!(
        r#"select status, coalesce(pg_column_size(output) > $3, false) as "left_out!",
                  shown ->> 'content_type' as content_type, shown ->> 'filename' as filename,
                  case when is_text then shown ->> 'value' end as text,
                  case when not is_text then shown -> 'value' end as "json: JsonText"
             from task_queue,
                  lateral (select case when pg_column_size(output) <= $3 then output end) as one (shown),
                  lateral (select jsonb_typeof(shown -> 'value') = 'string'
                                  and shown ->> 'content_type' not like 'application/json%') as kind (is_text)
            where id = $1 and ($2::uuid is null or team_id = $2)"#,
        id.0,
        team_bound(scope),
        most_stored,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.map(|row| {
        let named = row.content_type.zip(row.filename);
        let file =
            named.map(|(content_type, filename)| OutputFile { content_type, filename, text: row.text, json: row.json });
        FoundOutput { status: row.status, left_out: row.left_out, file }
    }))
}
