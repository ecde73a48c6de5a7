//! Writes submissions in batches through `app.submit_tasks`.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    base::{AgencyId, TaskId, TeamId},
    db::{self, lane::Flush},
};

/// One task about to be written; the composite type `app.submission`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.submission")]
pub struct Submission {
    pub id: Uuid,
    pub agency_id: Uuid,
    /// Set for a team member: the agent must be of this team.
    pub member_team_id: Option<Uuid>,
    pub agent_instance_id: Uuid,
    pub created_by: Option<Uuid>,
    pub recipe_id: Uuid,
    pub recipe_slug: String,
    pub recipe_version: String,
    pub experiment_id: Option<Uuid>,
    pub variant: Option<String>,
    pub subject: Option<String>,
    pub priority: i16,
    pub inputs: Value,
    pub budget_usd: Option<Decimal>,
    pub steps_total: i32,
    pub tags: Vec<String>,
    pub run_at: Option<DateTime<Utc>>,
    pub dispatch_id: Uuid,
    pub idempotency_key: Option<String>,
    /// SHA-256 of the request, with an idempotency key.
    pub request_hash: Option<Vec<u8>>,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    Created { team_id: TeamId, created_at: DateTime<Utc> },
    AgentUnknown,
    RecipeUnknown,
    /// Another request holds the idempotency key.
    KeyTaken,
}

/// The submit lane's writer.
#[derive(Debug, Clone)]
pub struct SubmitFlush(pub PgPool);

impl Flush for SubmitFlush {
    type Op = Submission;
    type Answer = Written;

    async fn flush(&self, batch: &[Submission]) -> Result<Vec<Written>, sqlx::Error> {
        let mut answers = vec![Written::AgentUnknown; batch.len()];
        let rows = sqlx::query!(
            r#"select ord as "ord!", outcome as "outcome!", team_id, created_at from app.submit_tasks($1)"#,
            batch as _,
        )
        .fetch_all(&self.0)
        .await?;
        for row in rows {
            let index = usize::try_from(row.ord - 1).unwrap_or(usize::MAX);
            let Some(answer) = answers.get_mut(index) else { continue };
            *answer = match (row.outcome.as_str(), row.team_id, row.created_at) {
                ("created", Some(team), Some(created_at)) => Written::Created { team_id: team.into(), created_at },
                ("recipe_unknown", ..) => Written::RecipeUnknown,
                ("key_taken", ..) => Written::KeyTaken,
                _ => Written::AgentUnknown,
            };
        }
        Ok(answers)
    }
}

/// The request behind an idempotency key of the agency, if the key is held.
///
/// # Errors
/// The database is away.
pub async fn key_holder(
    pool: &PgPool,
    agency: AgencyId,
    key: &str,
) -> Result<Option<(Vec<u8>, TaskId)>, sqlx::Error> {
    let mut tx = db::tenant(pool, agency).await?;
    let row = sqlx::query!("select request_hash, task_id from idempotency_keys where key = $1", key)
        .fetch_optional(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(row.map(|r| (r.request_hash, r.task_id.into())))
}
