//! Who holds a task: the claim, its heartbeat, and handing it back.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    base::{RunScope, TaskId},
    db::lane::Flush,
};

/// A task as its claim hands it over.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub id: Uuid,
    pub agency_id: Uuid,
    pub team_id: Uuid,
    pub agent_instance_id: Uuid,
    pub recipe_id: Uuid,
    pub recipe_slug: String,
    pub experiment_id: Option<Uuid>,
    pub epoch: i64,
    pub attempt: i32,
    /// `running`: go on. `cancelled` or `dead`: the claim itself ended the task.
    pub status: String,
    pub inputs: Value,
    pub budget_usd: Option<Decimal>,
    pub tokens_used: i64,
    pub cost_usd: Decimal,
    pub started_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    /// The agent instance's.
    pub configuration: Value,
    /// The agency's.
    pub settings: Value,
}

impl Claimed {
    /// What the run of this task may read.
    #[must_use]
    pub fn scope(&self) -> RunScope {
        RunScope::claimed(self.agency_id.into(), self.team_id.into())
    }
}

/// How a worker claims.
#[derive(Debug, Clone)]
pub struct ClaimFlush {
    pub pool: PgPool,
    pub worker: String,
    pub lease_seconds: i32,
    /// Claims after which an unfinished task is dead.
    pub max_claims: i32,
    /// From this claim on a task runs as the only one of its kind in the worker.
    pub alone_from: i32,
    /// The operator's limit on tasks of one agency at once.
    pub agency_limit: Option<i32>,
}

impl Flush for ClaimFlush {
    type Op = TaskId;
    /// `None`: not due, paused, over a limit, set aside, held by another, or finished. The ticket is dropped.
    type Answer = Option<Claimed>;

    async fn flush(&self, batch: &[TaskId]) -> Result<Vec<Option<Claimed>>, sqlx::Error> {
        let ids: Vec<Uuid> = batch.iter().map(|id| id.0).collect();
        let mut claimed = sqlx::query_as!(
            Claimed,
            r#"select id as "id!", agency_id as "agency_id!", team_id as "team_id!",
                      agent_instance_id as "agent_instance_id!", recipe_id as "recipe_id!",
                      recipe_slug as "recipe_slug!", experiment_id, epoch as "epoch!", attempt as "attempt!",
                      status as "status!", inputs as "inputs!", budget_usd, tokens_used as "tokens_used!",
                      cost_usd as "cost_usd!", started_at as "started_at!", created_at as "created_at!",
                      configuration as "configuration!", settings as "settings!"
                 from app.claim_tasks($1, $2, $3, $4, $5, $6)"#,
            &ids,
            self.worker,
            self.lease_seconds,
            self.max_claims,
            self.agency_limit,
            self.alone_from,
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|c| (c.id, c))
        .collect::<std::collections::HashMap<_, _>>();
        // Two tickets of one task in a batch: the first gets the claim.
        Ok(ids.iter().map(|id| claimed.remove(id)).collect())
    }
}

/// Extends the leases that still hold. Gives these, and whether each is to be cancelled.
///
/// # Errors
/// The database is unavailable.
pub async fn heartbeat(
    pool: &PgPool,
    ids: &[Uuid],
    epochs: &[i64],
    lease_seconds: i32,
) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id as "id!", cancel as "cancel!" from app.heartbeat($1, $2, $3)"#,
        ids,
        epochs,
        lease_seconds,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|r| (r.id, r.cancel)).collect())
}

/// Which of the tasks somebody asked to cancel.
///
/// # Errors
/// The database is unavailable.
pub async fn cancel_requests(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(r#"select id as "id!" from app.cancel_requests($1) as c (id)"#, ids).fetch_all(pool).await
}

/// Hands running tasks back, due at once.
///
/// # Errors
/// The database is unavailable.
pub async fn release(pool: &PgPool, ids: &[Uuid], epochs: &[i64]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(r#"select id as "id!" from app.release_tasks($1, $2) as r (id)"#, ids, epochs)
        .fetch_all(pool)
        .await
}
