//! Writes records in batches through `app.record`, and reads checkpoints.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Claim, Record};
use crate::{
    base::{RunScope, TaskId},
    db::{self, lane::Flush},
};

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

/// A ledger line; the composite type `app.line_write`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.line_write")]
pub struct LineWrite {
    pub id: Uuid,
    pub task_id: Uuid,
    pub epoch: i64,
    pub node_id: String,
    pub occurrence: i32,
    pub call_no: i32,
    pub kind: String,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub status: String,
    pub tokens_used: i64,
    pub usage: Option<Value>,
    pub raw_usage: Option<Value>,
    pub cost_usd: Option<Decimal>,
    pub billed_usd: Decimal,
    pub price_id: Option<Uuid>,
    pub estimated: bool,
    pub flags: Vec<String>,
    pub execution_time_ms: i64,
    pub request_id: Option<String>,
    pub timestamp: DateTime<Utc>,
}

/// A node's result; the composite type `app.step_write`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.step_write")]
pub struct StepWrite {
    pub task_id: Uuid,
    pub epoch: i64,
    pub node_id: String,
    pub occurrence: i32,
    pub status: String,
    pub attempts: i32,
    pub output: Option<Value>,
    pub error: Option<Value>,
    pub tokens_used: i64,
    pub cost_usd: Decimal,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    /// Whether the node is done with this: false for all but the last item of a `for_each`.
    pub closes_node: bool,
}

/// The end of a task; the composite type `app.finish_write`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.finish_write")]
pub struct FinishWrite {
    pub task_id: Uuid,
    pub epoch: i64,
    pub status: String,
    pub output: Option<Value>,
    pub error: Option<Value>,
    pub quality_score: Option<Decimal>,
}

/// The record lanes' writer.
#[derive(Debug, Clone)]
pub struct RecordFlush(pub PgPool);

impl Flush for RecordFlush {
    type Op = (Claim, Record);
    /// Whether the claim's fence held.
    type Answer = bool;

    async fn flush(&self, batch: &[(Claim, Record)]) -> Result<Vec<bool>, sqlx::Error> {
        let intents: Vec<&IntentWrite> = batch.iter().filter_map(|(_, r)| r.intent.as_ref()).collect();
        let lines: Vec<&LineWrite> = batch.iter().flat_map(|(_, r)| &r.lines).collect();
        let steps: Vec<&StepWrite> = batch.iter().filter_map(|(_, r)| r.step.as_ref()).collect();
        let finishes: Vec<&FinishWrite> = batch.iter().filter_map(|(_, r)| r.finish.as_ref()).collect();
        let held: HashSet<(Uuid, i64)> = sqlx::query!(
            r#"select task_id as "task_id!", epoch as "epoch!" from app.record($1, $2, $3, $4)"#,
            intents as _,
            lines as _,
            steps as _,
            finishes as _,
        )
        .fetch_all(&self.0)
        .await?
        .into_iter()
        .map(|row| (row.task_id, row.epoch))
        .collect();
        Ok(batch.iter().map(|(claim, _)| held.contains(claim)).collect())
    }
}

/// A committed result, as a later claim finds it.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub node_id: String,
    pub occurrence: i32,
    pub status: String,
    pub output: Option<Value>,
    pub error: Option<Value>,
}

/// The committed results of a task, and for each node and occurrence the highest call number used.
///
/// # Errors
/// The database is away.
pub async fn checkpoints(
    run: &RunScope,
    pool: &PgPool,
    task: TaskId,
) -> Result<(Vec<Checkpoint>, Vec<(String, i32, i32)>), sqlx::Error> {
    let mut tx = db::tenant(pool, run.agency_id()).await?;
    let steps = sqlx::query_as!(
        Checkpoint,
        "select node_id, occurrence, status, output, error from task_steps where task_id = $1",
        task.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    let calls = sqlx::query!(
        r#"select node_id, occurrence, max(call_no) as "call_no!" from call_intents where task_id = $1 group by 1, 2"#,
        task.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok((steps, calls.into_iter().map(|c| (c.node_id, c.occurrence, c.call_no)).collect()))
}

impl Default for LineWrite {
    fn default() -> Self {
        Self {
            id: uuid::Uuid::nil(),
            task_id: uuid::Uuid::nil(),
            epoch: 0,
            node_id: String::new(),
            occurrence: 0,
            call_no: 0,
            kind: String::new(),
            provider: None,
            model: None,
            status: String::new(),
            tokens_used: 0,
            usage: None,
            raw_usage: None,
            cost_usd: None,
            billed_usd: Decimal::ZERO,
            price_id: None,
            estimated: false,
            flags: Vec::new(),
            execution_time_ms: 0,
            request_id: None,
            timestamp: chrono::DateTime::UNIX_EPOCH,
        }
    }
}
