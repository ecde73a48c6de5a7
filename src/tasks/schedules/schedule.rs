//! What a schedule is, and what it is to do.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::cron::CronTimes;
use crate::{base::AgentId, tasks::submit::NewTask};

/// Schedules of an agency.
pub const MAX_SCHEDULES: i64 = 1_000;
/// Times in a row without a task after which a schedule says that it is failing.
pub const FAILING_AFTER: i32 = 3;

/// What becomes of times that came while no worker ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Missed {
    Skip,
    /// One task for all of them.
    RunOnce,
    /// One for each, the last [`MAX_CATCH_UP`](super::MAX_CATCH_UP) of them.
    RunAll,
}

/// What a schedule runs, its parts checked for form.
#[derive(Debug, Clone)]
pub struct Job {
    pub agent_instance_id: AgentId,
    /// An id or a slug, looked up anew at each time.
    pub recipe: String,
    pub version: Option<String>,
    pub inputs: Map<String, Value>,
    /// 0 to 9.
    pub priority: i16,
    pub subject: Option<String>,
    pub tags: Vec<String>,
}

impl Job {
    /// The task of one time.
    #[must_use]
    pub fn task(&self) -> NewTask {
        NewTask {
            agent_instance_id: self.agent_instance_id,
            recipe: self.recipe.clone(),
            version: self.version.clone(),
            inputs: self.inputs.clone(),
            priority: self.priority,
            run_at: None,
            subject: self.subject.clone(),
            tags: self.tags.clone(),
            idempotency_key: None,
        }
    }
}

/// A schedule as it is wanted: all that a caller decides.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub job: Job,
    pub times: CronTimes,
    pub missed: Missed,
    pub enabled: bool,
}

/// A schedule as it is read.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub id: Uuid,
    pub agent_instance_id: Uuid,
    pub recipe: String,
    pub version: Option<String>,
    pub inputs: Value,
    pub priority: i16,
    pub subject: Option<String>,
    pub tags: Vec<String>,
    pub cron: String,
    pub time_zone: String,
    pub missed: Missed,
    pub enabled: bool,
    /// `None` while disabled.
    pub next_run_at: Option<DateTime<Utc>>,
    pub last_run_at: Option<DateTime<Utc>>,
    pub last_task_id: Option<Uuid>,
    pub last_error: Option<String>,
    /// Times in a row for which no task could be made.
    pub failures: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Schedule {
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failures >= FAILING_AFTER
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    #[error("there is no such agent, or it is not active: GET /agents lists them")]
    AgentUnknown,
    #[error("an agency may have {} schedules; delete one", MAX_SCHEDULES)]
    TooMany,
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for ScheduleError {
    fn from(error: sqlx::Error) -> Self {
        match crate::db::violated_constraint(&error) {
            Some("schedules_agent_unknown") => Self::AgentUnknown,
            _ => Self::Database(error),
        }
    }
}
