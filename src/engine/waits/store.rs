//! Reads questions and sub-recipes' tasks, and ends a question whose time is over.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::super::run_ledger::Loan;
use crate::{
    base::{RunScope, Usd},
    db,
    tasks::TaskStatus,
};

/// Which question of a task.
pub struct Key<'a> {
    pub task: Uuid,
    pub node: &'a str,
    pub occurrence: i32,
    pub kind: &'a str,
    pub round: i32,
}

pub struct Found {
    pub id: Uuid,
    pub status: String,
    /// Until it expires.
    pub left: Duration,
    payload: Option<Value>,
    decided_by: Option<Uuid>,
    decided_at: Option<DateTime<Utc>>,
}

/// What was decided.
pub struct Decision {
    pub payload: Option<Value>,
    /// A person's id, or an API key's.
    pub decided_by: Option<Uuid>,
    pub decided_at: Option<DateTime<Utc>>,
}

impl Found {
    pub fn decision(self) -> Decision {
        Decision { payload: self.payload, decided_by: self.decided_by, decided_at: self.decided_at }
    }
}

/// The question, or a later round of it.
///
/// # Errors
/// The database is unavailable.
pub async fn question(run: &RunScope, pool: &PgPool, key: &Key<'_>) -> Result<Option<Found>, sqlx::Error> {
    let mut tx = db::tenant(pool, run.agency_id()).await?;
    let row = sqlx::query!(
        r#"select id, status, payload, coalesce(decided_by, decided_by_key) as decided_by, decided_at,
                  greatest(extract(epoch from expires_at - clock_timestamp()), 0)::float8 as "left!"
             from approvals
            where task_id = $1 and node_id = $2 and occurrence = $3 and kind = $4 and round >= $5
            order by round desc limit 1"#,
        key.task,
        key.node,
        key.occurrence,
        key.kind,
        key.round,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.map(|r| Found {
        id: r.id,
        status: r.status,
        left: Duration::try_from_secs_f64(r.left).unwrap_or_default(),
        payload: r.payload,
        decided_by: r.decided_by,
        decided_at: r.decided_at,
    }))
}

/// Ends an open question whose time is over. False: somebody decided before.
///
/// # Errors
/// The database is unavailable.
pub async fn expire(run: &RunScope, pool: &PgPool, question: Uuid) -> Result<bool, sqlx::Error> {
    let mut tx = db::tenant(pool, run.agency_id()).await?;
    let done = sqlx::query!(
        "update approvals set status = 'expired', decided_at = clock_timestamp()
          where id = $1 and status = 'open' and expires_at <= clock_timestamp()",
        question,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// The task of a sub-recipe.
pub struct Child {
    pub id: Uuid,
    pub recipe: String,
    pub status: TaskStatus,
    pub output: Option<Value>,
    pub error: Option<Value>,
    pub tokens_used: i64,
    pub cost_usd: Decimal,
    pub loan: Loan,
}

/// # Errors
/// The database is unavailable.
pub async fn child(
    run: &RunScope,
    pool: &PgPool,
    parent: Uuid,
    node: &str,
    occurrence: i32,
) -> Result<Option<Child>, sqlx::Error> {
    let mut tx = db::tenant(pool, run.agency_id()).await?;
    let row = sqlx::query!(
        "select id, recipe_slug, status, output -> 'value' as output, error, tokens_used, cost_usd, budget_usd,
                budget_tokens
           from task_queue where parent_task_id = $1 and parent_node_id = $2 and parent_occurrence = $3",
        parent,
        node,
        occurrence,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    row.map(|r| {
        Ok(Child {
            id: r.id,
            recipe: r.recipe_slug,
            status: r.status.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            output: r.output,
            error: r.error,
            tokens_used: r.tokens_used,
            cost_usd: r.cost_usd,
            loan: Loan { cost: r.budget_usd.map(Usd), tokens: r.budget_tokens.map(i64::unsigned_abs) },
        })
    })
    .transpose()
}

/// The recipes of a task and of those above it, itself first.
///
/// # Errors
/// The database is unavailable.
pub async fn above(run: &RunScope, pool: &PgPool, task: Uuid) -> Result<Vec<String>, sqlx::Error> {
    let mut tx = db::tenant(pool, run.agency_id()).await?;
    let slugs = sqlx::query_scalar!(
        r#"with recursive up as (
             select t.recipe_slug, t.parent_task_id, t.depth from task_queue t where t.id = $1
             union all
             select t.recipe_slug, t.parent_task_id, t.depth from up join task_queue t on t.id = up.parent_task_id
           )
           select recipe_slug as "recipe_slug!" from up order by depth desc"#,
        task,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(slugs)
}
