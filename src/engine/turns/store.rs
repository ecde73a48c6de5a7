//! Writes turns through `app.record_turns`, and reads them.

use std::collections::HashSet;

use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    base::{RunScope, TaskId},
    db::{
        self,
        lane::{Flush, Lane},
    },
    engine::record::LineWrite,
};

/// Turns are few beside steps: one lane takes them.
const MAX_BATCH: usize = 100;

/// A piece of a conversation; the composite type `app.turn_write`.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(type_name = "app.turn_write")]
pub struct TurnWrite {
    pub task_id: Uuid,
    pub epoch: i64,
    pub node_id: String,
    pub occurrence: i32,
    pub nth: i32,
    pub piece: Value,
}

/// The lane's writer: a piece, and the ledger lines of the calls that it comes from.
#[derive(Debug, Clone)]
pub struct TurnFlush(pub PgPool);

impl Flush for TurnFlush {
    type Op = (Vec<LineWrite>, TurnWrite);
    /// Whether the claim's fence held.
    type Answer = bool;

    async fn flush(&self, batch: &[(Vec<LineWrite>, TurnWrite)]) -> Result<Vec<bool>, sqlx::Error> {
        let lines: Vec<&LineWrite> = batch.iter().flat_map(|(lines, _)| lines).collect();
        let turns: Vec<&TurnWrite> = batch.iter().map(|(_, turn)| turn).collect();
        let held: HashSet<(Uuid, i64)> = sqlx::query!(
            r#"select task_id as "task_id!", epoch as "epoch!" from app.record_turns($1, $2)"#,
            lines as _,
            turns as _,
        )
        .fetch_all(&self.0)
        .await?
        .into_iter()
        .map(|row| (row.task_id, row.epoch))
        .collect();
        Ok(batch.iter().map(|(_, turn)| held.contains(&(turn.task_id, turn.epoch))).collect())
    }
}

/// The writer of all agents' turns in a process.
pub fn lane(pool: &PgPool) -> Lane<TurnFlush> {
    Lane::start(TurnFlush(pool.clone()), MAX_BATCH)
}

/// What was kept of one occurrence of a node, in order.
///
/// # Errors
/// The database is unavailable.
pub async fn kept(
    run: &RunScope,
    pool: &PgPool,
    task: TaskId,
    node_id: &str,
    occurrence: i32,
) -> Result<Vec<Value>, sqlx::Error> {
    let mut tx = db::tenant(pool, run.agency_id()).await?;
    let pieces = sqlx::query_scalar!(
        "select piece from agent_turns where task_id = $1 and node_id = $2 and occurrence = $3 order by nth",
        task.0,
        node_id,
        occurrence,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(pieces)
}
