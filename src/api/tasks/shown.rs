//! Tasks and steps as the API shows them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, Utc};
use poem_openapi::{Enum, Object, types::Any};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::super::http::{
    json_answer::{self, AnyJson},
    page::NOT_OF_THIS_LIST,
    problem::{Problem, Result},
};
use crate::tasks::{self, read::StepPlace};

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
        #[oai(rename_all = "snake_case")]
        pub enum TaskStatus { $($(#[$doc])* $name),+ }

        impl From<TaskStatus> for tasks::TaskStatus {
            fn from(status: TaskStatus) -> Self {
                match status { $(TaskStatus::$name => Self::$name),+ }
            }
        }
    };
}

statuses! {
    Queued,
    Running,
    /// For an approval or a delay.
    Waiting,
    /// Out of budget.
    Parked,
    Completed,
    Failed,
    Cancelled,
    /// Claimed too often without finishing.
    Dead,
}

/// How far a run is, in nodes.
#[derive(Debug, Object, Serialize)]
pub struct Progress {
    done: i32,
    total: i32,
}

#[derive(Debug, Object, Serialize)]
pub struct Task {
    id: Uuid,
    agency_id: Uuid,
    team_id: Uuid,
    agent_instance_id: Uuid,
    recipe_id: Uuid,
    /// The recipe's slug.
    recipe: String,
    recipe_version: String,
    experiment_id: Option<Uuid>,
    /// The version that the experiment assigned.
    variant: Option<String>,
    subject: Option<String>,
    /// `queued`, `running`, `waiting`, `parked`, `completed`, `failed`, `cancelled` or `dead`.
    status: String,
    priority: i16,
    inputs: AnyJson,
    output: Option<AnyJson>,
    /// `{code, message, node_id, field}`.
    error: Option<Any<Value>>,
    /// Claims so far.
    attempt: i32,
    tokens_used: i64,
    /// What providers charged so far, a decimal string.
    cost_usd: String,
    /// The recipe's bound, a decimal string.
    budget_usd: Option<String>,
    progress: Progress,
    tags: Vec<String>,
    #[serde(serialize_with = "json_answer::time")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "json_answer::time")]
    run_at: DateTime<Utc>,
    #[serde(serialize_with = "json_answer::time_if_any")]
    started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "json_answer::time_if_any")]
    finished_at: Option<DateTime<Utc>>,
    /// The task that started this one for a `SubRecipe` node. Its cost counts there too.
    parent_task_id: Option<Uuid>,
    /// The finished task that this one goes on from, by POST /tasks/{id}/retry.
    retry_of: Option<Uuid>,
}

impl From<tasks::Task> for Task {
    fn from(task: tasks::Task) -> Self {
        Self {
            id: task.id,
            agency_id: task.agency_id,
            team_id: task.team_id,
            agent_instance_id: task.agent_instance_id,
            recipe_id: task.recipe_id,
            recipe: task.recipe,
            recipe_version: task.recipe_version,
            experiment_id: task.experiment_id,
            variant: task.variant,
            subject: task.subject,
            status: task.status,
            priority: task.priority,
            inputs: AnyJson(task.inputs),
            output: task.output.map(AnyJson),
            error: task.error.map(Any),
            attempt: task.attempt,
            tokens_used: task.tokens_used,
            cost_usd: usd(task.cost_usd),
            budget_usd: task.budget_usd.map(usd),
            progress: Progress { done: task.steps_done, total: task.steps_total },
            tags: task.tags,
            created_at: task.created_at,
            run_at: task.run_at,
            started_at: task.started_at,
            finished_at: task.finished_at,
            parent_task_id: task.parent_task_id,
            retry_of: task.retry_of,
        }
    }
}

/// The result of a node, or of one item of its `for_each`.
#[derive(Debug, Object, Serialize)]
pub struct Step {
    node_id: String,
    /// The item's index under a `for_each`, else 0.
    occurrence: i32,
    /// `completed`, `failed` or `skipped`.
    status: String,
    attempts: i32,
    #[serde(serialize_with = "json_answer::time")]
    started_at: DateTime<Utc>,
    #[serde(serialize_with = "json_answer::time")]
    finished_at: DateTime<Utc>,
    output: Option<AnyJson>,
    error: Option<Any<Value>>,
    tokens: i64,
    /// A decimal string, USD.
    cost: String,
    /// Whether the result was kept of an earlier run: nothing was called, nothing is charged.
    cached: bool,
    /// Taken over from the task that this one is a retry of, which paid for it.
    copied: bool,
    /// The task that ran it, if it is copied.
    copied_from: Option<Uuid>,
}

impl From<tasks::Step> for Step {
    fn from(step: tasks::Step) -> Self {
        Self {
            node_id: step.node_id,
            occurrence: step.occurrence,
            status: step.status,
            attempts: step.attempts,
            started_at: step.started_at,
            finished_at: step.finished_at,
            output: step.output.map(AnyJson),
            error: step.error.map(Any),
            tokens: step.tokens_used,
            cost: usd(step.cost_usd),
            cached: step.cached,
            copied: step.copied_from.is_some(),
            copied_from: step.copied_from,
        }
    }
}

#[derive(Debug, Object, Serialize)]
pub struct Steps {
    pub items: Vec<Step>,
    /// For `?cursor=`; null at the end of the list.
    pub next_cursor: Option<String>,
}

impl Steps {
    pub fn of(steps: Vec<tasks::Step>, next: Option<&StepPlace>) -> Self {
        let next_cursor =
            next.and_then(|place| serde_json::to_vec(place).ok()).map(|place| URL_SAFE_NO_PAD.encode(place));
        Self { items: steps.into_iter().map(Step::from).collect(), next_cursor }
    }
}

/// The place that a cursor of [`Steps`] stands for.
///
/// # Errors
/// 422: no page of steps gave it.
pub fn place(cursor: &str) -> Result<StepPlace> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    // Later years are none of Postgres'.
    place
        .filter(|place: &StepPlace| (1970..10_000).contains(&place.finished_at.year()) && !place.node_id.contains('\0'))
        .ok_or_else(|| Problem::invalid("cursor", NOT_OF_THIS_LIST))
}

/// A decimal string without trailing zeros, as the contract shows money.
pub fn usd(amount: Decimal) -> String {
    amount.normalize().to_string()
}
