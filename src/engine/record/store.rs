//! Writes records in batches through `app.record_work`.

use std::{collections::HashSet, sync::Arc};

use sqlx::PgPool;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    ChildWrite, Claim, FinishWrite, IntentWrite, LineWrite, PauseWrite, ProgressWrite, QuestionWrite, Record, StepWrite,
};
use crate::db::lane::Flush;

/// Bytes of outputs above which a batch waits for the one before it: it is copied for the wire.
const HEAVY: usize = 1024 * 1024;

/// The record lanes' writer.
#[derive(Debug, Clone)]
pub struct RecordFlush {
    pool: PgPool,
    /// One permit, of all that are clones of one another.
    heavy: Arc<Semaphore>,
}

impl RecordFlush {
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, heavy: Arc::new(Semaphore::new(1)) }
    }
}

impl Flush for RecordFlush {
    type Op = (Claim, Record);
    /// Whether the claim's fence held.
    type Answer = bool;

    fn weight((_, record): &(Claim, Record)) -> usize {
        let output = record.step.as_ref().and_then(|step| step.output.as_ref());
        let finish = record.finish.as_ref().and_then(|finish| finish.output.as_ref());
        [output, finish].into_iter().flatten().map(|text| text.as_str().len()).sum()
    }

    async fn flush(&self, batch: &[(Claim, Record)]) -> Result<Vec<bool>, sqlx::Error> {
        let is_heavy = batch.iter().map(Self::weight).sum::<usize>() > HEAVY;
        let _alone = if is_heavy { self.heavy.acquire().await.ok() } else { None };
        let intents: Vec<&IntentWrite> = batch.iter().filter_map(|(_, r)| r.intent.as_ref()).collect();
        let lines: Vec<&LineWrite> = batch.iter().flat_map(|(_, r)| &r.lines).collect();
        let steps: Vec<&StepWrite> = batch.iter().filter_map(|(_, r)| r.step.as_ref()).collect();
        let progress: Vec<&ProgressWrite> = batch.iter().filter_map(|(_, r)| r.progress.as_ref()).collect();
        let questions: Vec<&QuestionWrite> = batch.iter().filter_map(|(_, r)| r.question.as_ref()).collect();
        let children: Vec<&ChildWrite> = batch.iter().filter_map(|(_, r)| r.child.as_ref()).collect();
        let pauses: Vec<&PauseWrite> = batch.iter().filter_map(|(_, r)| r.pause.as_ref()).collect();
        let finishes: Vec<&FinishWrite> = batch.iter().filter_map(|(_, r)| r.finish.as_ref()).collect();
        let held: HashSet<(Uuid, i64)> = sqlx::query!(
            r#"select task_id as "task_id!", epoch as "epoch!" from app.record_work($1, $2, $3, $4, $5, $6, $7, $8)"#,
            intents as _,
            lines as _,
            steps as _,
            progress as _,
            questions as _,
            children as _,
            pauses as _,
            finishes as _,
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|row| (row.task_id, row.epoch))
        .collect();
        Ok(batch.iter().map(|(claim, _)| held.contains(claim)).collect())
    }
}
