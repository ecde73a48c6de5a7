//! Tasks and steps as the API shows them.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object, types::Any};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use crate::tasks;

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
#[derive(Debug, Object)]
pub struct Progress {
    done: i32,
    total: i32,
}

#[derive(Debug, Object)]
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
    inputs: Any<Value>,
    output: Option<Any<Value>>,
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
    created_at: DateTime<Utc>,
    run_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
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
            inputs: Any(task.inputs),
            output: task.output.map(Any),
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
#[derive(Debug, Object)]
pub struct Step {
    node_id: String,
    /// The item's index under a `for_each`, else 0.
    occurrence: i32,
    /// `completed`, `failed` or `skipped`.
    status: String,
    attempts: i32,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    output: Option<Any<Value>>,
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
            output: step.output.map(Any),
            error: step.error.map(Any),
            tokens: step.tokens_used,
            cost: usd(step.cost_usd),
            cached: step.cached,
            copied: step.copied_from.is_some(),
            copied_from: step.copied_from,
        }
    }
}

#[derive(Debug, Object)]
pub struct Steps {
    pub items: Vec<Step>,
    /// Always null: a task's steps come in one page.
    pub next_cursor: Option<String>,
}

/// A decimal string without trailing zeros, as the contract shows money.
pub fn usd(amount: Decimal) -> String {
    amount.normalize().to_string()
}
