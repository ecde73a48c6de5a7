//! A task and its steps as they are read.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use crate::db::JsonText;

/// A row of `task_queue`, without what only the queue needs.
#[derive(Debug, Clone)]
pub struct Task {
    pub id: Uuid,
    pub agency_id: Uuid,
    pub team_id: Uuid,
    pub agent_instance_id: Uuid,
    pub recipe_id: Uuid,
    pub recipe: String,
    pub recipe_version: String,
    pub experiment_id: Option<Uuid>,
    pub variant: Option<String>,
    pub subject: Option<String>,
    pub status: String,
    pub priority: i16,
    pub inputs: JsonText,
    /// The output's value alone; see [`TaskOutput`] for its type and file name.
    pub output: Option<JsonText>,
    /// Whether inputs and output were left where they are, as they are large.
    pub values_left_out: bool,
    /// `{code, message, node_id?, field?}`
    pub error: Option<Value>,
    pub attempt: i32,
    pub tokens_used: i64,
    pub cost_usd: Decimal,
    pub budget_usd: Option<Decimal>,
    pub steps_done: i32,
    pub steps_total: i32,
    pub tags: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub run_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// The task that started this one for a `SubRecipe` node.
    pub parent_task_id: Option<Uuid>,
    /// The finished task that this one goes on from.
    pub retry_of: Option<Uuid>,
}

impl Task {
    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.finished_at.is_none()
    }
}

/// The committed result of a node, or of one item of its `for_each`.
#[derive(Debug, Clone)]
pub struct Step {
    pub node_id: String,
    pub occurrence: i32,
    pub status: String,
    pub attempts: i32,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub output: Option<JsonText>,
    /// Whether the output was left where it is, as it is large.
    pub output_left_out: bool,
    pub error: Option<Value>,
    pub tokens_used: i64,
    pub cost_usd: Decimal,
    /// Taken from the cache: no call was made.
    pub cached: bool,
    /// The task that ran it, if that is another one: this one has it for nothing.
    pub copied_from: Option<Uuid>,
}

/// What a finished task hands out, as it is kept in `task_queue.output`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TaskOutput {
    pub content_type: String,
    pub filename: String,
    pub value: Value,
}
