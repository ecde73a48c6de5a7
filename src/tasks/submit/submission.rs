//! Submissions as they are written: in batches, through `app.submit_tasks`.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    base::{TaskId, TeamId, TenantScope},
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
    /// Its first ticket's; `None` leaves the task to the dispatcher.
    pub dispatch_id: Option<Uuid>,
    pub idempotency_key: Option<String>,
    /// SHA-256 of the request, with an idempotency key.
    pub request_hash: Option<Vec<u8>>,
    /// The id of the group's first task: all of a group are written, or none.
    pub group_id: Uuid,
    pub cookbook_id: Option<Uuid>,
    /// Executions that the cookbook allows an agency in a calendar month, UTC.
    pub monthly_limit: Option<i32>,
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
    OverMonthlyLimit,
    /// Another task of its group could not be written.
    RefusedWithGroup,
    /// Another request holds the idempotency key.
    KeyTaken,
}

/// The submit lane's writer.
#[derive(Debug)]
pub struct SubmitFlush {
    pool: PgPool,
}

/// Rows of one statement, unless a single group has more.
const MAX_ROWS: usize = 1_000;

impl SubmitFlush {
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// One statement, which names the agencies of its batch; answers in the order of the rows.
    async fn write(&self, submissions: &[&Submission]) -> Result<Vec<Written>, sqlx::Error> {
        let mut answers = vec![Written::AgentUnknown; submissions.len()];
        let agencies: HashSet<Uuid> = submissions.iter().map(|submission| submission.agency_id).collect();
        // The argument names `named`, so that the call cannot be made before the agencies are.
        let rows = sqlx::query!(
            r#"select r.id as "id!", r.outcome as "outcome!", r.team_id, r.created_at
                 from (select set_config('app.batch', ($2::uuid[])::text, true)) b (named)
                cross join lateral app.submit_tasks(case when b.named is not null then $1::app.submission[] end) r"#,
            submissions as _,
            &agencies.into_iter().collect::<Vec<_>>(),
        )
        .fetch_all(&self.pool)
        .await?;
        let places: HashMap<Uuid, usize> = submissions.iter().enumerate().map(|(index, s)| (s.id, index)).collect();
        for row in rows {
            let Some(&index) = places.get(&row.id) else { continue };
            answers[index] = match (row.outcome.as_str(), row.team_id, row.created_at) {
                ("created", Some(team), Some(created_at)) => Written::Created { team_id: team.into(), created_at },
                ("recipe_unknown", ..) => Written::RecipeUnknown,
                ("over_monthly_limit", ..) => Written::OverMonthlyLimit,
                ("refused_with_its_group", ..) => Written::RefusedWithGroup,
                ("key_taken", ..) => Written::KeyTaken,
                _ => Written::AgentUnknown,
            };
        }
        Ok(answers)
    }
}

impl Flush for SubmitFlush {
    /// A group: all of its tasks are written, or none.
    type Op = Vec<Submission>;
    type Answer = Vec<Written>;

    /// More than [`MAX_ROWS`] are written in several statements: the groups that
    /// were committed before one failed are known again when the batch is repeated.
    async fn flush(&self, batch: &[Vec<Submission>]) -> Result<Vec<Vec<Written>>, sqlx::Error> {
        let mut answers = Vec::with_capacity(batch.len());
        let mut rest = batch;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(groups_that_fit(rest));
            let rows: Vec<&Submission> = now.iter().flatten().collect();
            let mut written = self.write(&rows).await?.into_iter();
            answers.extend(now.iter().map(|group| written.by_ref().take(group.len()).collect::<Vec<_>>()));
            rest = later;
        }
        Ok(answers)
    }
}

/// At least one, and as many as [`MAX_ROWS`] has room for.
fn groups_that_fit(groups: &[Vec<Submission>]) -> usize {
    let mut rows = 0;
    let fitting = groups.iter().take_while(|group| {
        rows += group.len();
        rows <= MAX_ROWS
    });
    fitting.count().max(1)
}

/// What an idempotency key of the agency was used for.
#[derive(Debug)]
pub struct KeyHolder {
    pub request_hash: Vec<u8>,
    /// In the order of the request.
    pub tasks: Vec<TaskId>,
}

/// `None` if nobody holds the key.
///
/// # Errors
/// The database is unavailable.
pub async fn key_holder(scope: &TenantScope, pool: &PgPool, key: &str) -> Result<Option<KeyHolder>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query!(
        r#"select request_hash, coalesce(task_ids, array[task_id]) as "tasks!" from idempotency_keys where key = $1"#,
        key
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.map(|r| KeyHolder { request_hash: r.request_hash, tasks: r.tasks.into_iter().map(Into::into).collect() }))
}
