//! What a running task writes together, as the composite types of `app.record_work`.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use super::line::LineWrite;
use crate::db::JsonText;

/// A task and the epoch under which it is held.
pub type Claim = (Uuid, i64);

/// What is written together or not at all, all of one task and epoch.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub intent: Option<IntentWrite>,
    pub lines: Vec<LineWrite>,
    pub step: Option<StepWrite>,
    pub progress: Option<ProgressWrite>,
    pub question: Option<QuestionWrite>,
    pub child: Option<ChildWrite>,
    /// The task waits from then on; its claim is over.
    pub pause: Option<PauseWrite>,
    pub finish: Option<FinishWrite>,
}

/// A call about to leave; the composite type `app.intent_write`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.intent_write")]
pub struct IntentWrite {
    pub task_id: Uuid,
    pub epoch: i64,
    pub node_id: String,
    pub occurrence: i32,
    pub call_no: i32,
    pub kind: String,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub request_hash: Vec<u8>,
    pub reserved_usd: Decimal,
    pub price_id: Option<Uuid>,
}

/// A node's result; the composite type `app.result_write`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.result_write")]
pub struct StepWrite {
    pub task_id: Uuid,
    pub epoch: i64,
    pub node_id: String,
    pub occurrence: i32,
    pub status: String,
    pub attempts: i32,
    pub output: Option<JsonText>,
    pub error: Option<Value>,
    pub tokens_used: i64,
    pub cost_usd: Decimal,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    /// Whether the node is done with this: false for all but the last item of a `for_each`.
    pub closes_node: bool,
    /// Whether it was taken from the cache: no call was made for it.
    pub cached: bool,
}

/// The end of a task; the composite type `app.finish_write`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.finish_write")]
pub struct FinishWrite {
    pub task_id: Uuid,
    pub epoch: i64,
    pub status: String,
    pub output: Option<JsonText>,
    pub error: Option<Value>,
    pub quality_score: Option<Decimal>,
}

/// The tries of a node so far; the composite type `app.try_write`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.try_write")]
pub struct ProgressWrite {
    pub task_id: Uuid,
    pub epoch: i64,
    pub node_id: String,
    pub occurrence: i32,
    /// Failed tries so far, of all claims.
    pub attempts: i32,
    /// Tries that a slowed key put off, of all claims.
    pub slowed: i32,
    pub tokens_used: i64,
    pub cost_usd: Decimal,
    pub error: Option<Value>,
    pub started_at: DateTime<Utc>,
    /// Until the next try.
    pub delay_ms: i64,
}

/// A question to people; the composite type `app.question_write`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.question_write")]
pub struct QuestionWrite {
    pub id: Uuid,
    pub task_id: Uuid,
    pub epoch: i64,
    pub node_id: String,
    pub occurrence: i32,
    /// 0 for an Approval node; for a lost call its number.
    pub round: i32,
    /// `approval` or `lost_call`.
    pub kind: String,
    pub message: String,
    pub form: Option<Value>,
    pub approvers: Vec<String>,
    pub timeout_ms: i64,
}

/// The task of a sub-recipe; the composite type `app.child_start`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.child_start")]
pub struct ChildWrite {
    pub id: Uuid,
    /// The parent's.
    pub task_id: Uuid,
    pub epoch: i64,
    pub node_id: String,
    pub occurrence: i32,
    pub recipe_id: Uuid,
    pub recipe_slug: String,
    pub recipe_version: String,
    pub inputs: Value,
    pub budget_usd: Option<Decimal>,
    pub budget_tokens: Option<i64>,
    pub steps_total: i32,
}

/// A task that waits from now on; the composite type `app.pause_write`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.pause_write")]
pub struct PauseWrite {
    pub task_id: Uuid,
    pub epoch: i64,
    /// It goes on after this at the latest.
    pub delay_ms: i64,
}
