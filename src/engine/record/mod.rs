//! The one writer of a running task. All tasks of a process share its batches.

mod line;
mod store;
mod writes;

use std::sync::Arc;

use crate::db::lane::{Lane, LaneError};

pub use line::{Charge, LineWrite};
pub use store::RecordFlush;
pub use writes::{
    ChildWrite, Claim, FinishWrite, IntentWrite, PauseWrite, ProgressWrite, QuestionWrite, Record, StepWrite,
};

/// Sends records to the writer lanes.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<[Lane<RecordFlush>]>);

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another worker holds the task now, or it is finished. Stop; this is no failure.
    #[error("the lease of the task is lost")]
    LeaseLost,
    #[error(transparent)]
    Lane(#[from] LaneError),
}

impl Recorder {
    /// Two lanes, so that one batch gathers while another waits for its commit.
    #[must_use]
    pub fn start(pool: &sqlx::PgPool) -> Self {
        let flush = RecordFlush::new(pool.clone());
        Self((0..LANES).map(|_| Lane::start(flush.clone(), MAX_BATCH)).collect())
    }

    /// Waits until the record is durable.
    ///
    /// # Errors
    /// [`RecordError::LeaseLost`] when the fence did not hold: nothing was written.
    pub async fn write(&self, claim: Claim, record: Record) -> Result<(), RecordError> {
        // A task's writes go down one lane: its order is kept.
        let lane = &self.0[usize::from(claim.0.as_bytes()[15]) % self.0.len()];
        if lane.write((claim, record)).await? { Ok(()) } else { Err(RecordError::LeaseLost) }
    }
}

const LANES: usize = 2;
const MAX_BATCH: usize = 200;
