//! Writes submissions in batches through `app.submit_tasks`.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgPool;
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

use crate::{
    base::{TaskId, TeamId, TenantScope},
    db::{self, lane::Flush},
    queue::{Admission, Ticket, Tickets},
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
    /// Its first ticket's; `None` leaves the task to the dispatcher.
    pub dispatch_id: Option<Uuid>,
    pub idempotency_key: Option<String>,
    /// SHA-256 of the request, with an idempotency key.
    pub request_hash: Option<Vec<u8>>,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    Created {
        team_id: TeamId,
        created_at: DateTime<Utc>,
    },
    AgentUnknown,
    RecipeUnknown,
    /// Another request holds the idempotency key.
    KeyTaken,
}

/// The submit lane's writer: rows first, then one push of their tickets, then the answers.
#[derive(Debug)]
pub struct SubmitFlush {
    pool: PgPool,
    tickets: Option<Tickets>,
    admission: Admission,
    /// Until when no push is tried, after one failed.
    no_push_before: Mutex<Option<Instant>>,
}

/// A Redis that does not answer must not hold up the answers.
const PUSH_TIMEOUT: Duration = Duration::from_millis(300);
const PUSH_PAUSE: Duration = Duration::from_secs(1);

impl SubmitFlush {
    /// Without `tickets` the dispatcher makes them all.
    #[must_use]
    pub fn new(pool: PgPool, tickets: Option<Tickets>) -> Self {
        Self { pool, tickets, admission: Admission::default(), no_push_before: Mutex::new(None) }
    }

    /// Whether a submission may come with a dispatch id.
    #[must_use]
    pub fn admission(&self) -> Admission {
        self.admission.clone()
    }

    /// Pushes tickets, wakes the dispatcher where tasks were `left` to it, and asks for
    /// room. A failure is logged and no more: the row is the outbox.
    async fn push(&self, created: &[Ticket], left: bool) {
        let Some(tickets) = &self.tickets else { return };
        let now = Instant::now();
        if (created.is_empty() && !left) || self.pause().is_some_and(|until| now < until) {
            return;
        }
        let pushed = async {
            if !created.is_empty() {
                tickets.push(created).await?;
            }
            tickets.room(left).await
        };
        match tokio::time::timeout(PUSH_TIMEOUT, pushed).await {
            Ok(Ok(room)) => return self.admission.set(room),
            Ok(Err(error)) => warn!(%error, tasks = created.len(), "tickets not pushed; the dispatcher will"),
            Err(_) => warn!(tasks = created.len(), "Redis did not answer; the dispatcher will push the tickets"),
        }
        self.admission.set(0);
        *self.pause() = Some(now + PUSH_PAUSE);
    }

    fn pause(&self) -> MutexGuard<'_, Option<Instant>> {
        self.no_push_before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flush for SubmitFlush {
    type Op = Submission;
    type Answer = Written;

    async fn flush(&self, batch: &[Submission]) -> Result<Vec<Written>, sqlx::Error> {
        let mut answers = vec![Written::AgentUnknown; batch.len()];
        let rows = sqlx::query!(
            r#"select id as "id!", outcome as "outcome!", team_id, created_at from app.submit_tasks($1)"#,
            batch as _,
        )
        .fetch_all(&self.pool)
        .await?;
        let places: HashMap<Uuid, usize> = batch.iter().enumerate().map(|(index, s)| (s.id, index)).collect();
        let mut created = Vec::with_capacity(rows.len());
        let mut left = false;
        for row in rows {
            let Some(&index) = places.get(&row.id) else { continue };
            answers[index] = match (row.outcome.as_str(), row.team_id, row.created_at) {
                ("created", Some(team), Some(created_at)) => {
                    let submission = &batch[index];
                    match submission.dispatch_id {
                        _ if submission.run_at.is_some_and(|at| at > created_at) => {}
                        Some(dispatch_id) => created.push(Ticket { task_id: submission.id.into(), dispatch_id }),
                        None => left = true,
                    }
                    Written::Created { team_id: team.into(), created_at }
                }
                ("recipe_unknown", ..) => Written::RecipeUnknown,
                ("key_taken", ..) => Written::KeyTaken,
                _ => Written::AgentUnknown,
            };
        }
        self.push(&created, left).await;
        Ok(answers)
    }
}

/// The request behind an idempotency key of the agency, if the key is held.
///
/// # Errors
/// The database is away.
pub async fn key_holder(
    scope: &TenantScope,
    pool: &PgPool,
    key: &str,
) -> Result<Option<(Vec<u8>, TaskId)>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query!("select request_hash, task_id from idempotency_keys where key = $1", key)
        .fetch_optional(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(row.map(|r| (r.request_hash, r.task_id.into())))
}
