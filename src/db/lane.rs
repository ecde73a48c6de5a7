//! Group commit: many callers' writes, one statement, one fsync.
//!
//! A lane takes whatever has gathered while the flush before it was waiting for
//! its commit. No timer: an idle lane flushes at once, a busy one shares.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tracing::warn;

const PAUSE: Duration = Duration::from_millis(100);
/// A statement is copied for the wire: large operations are written a few at a time.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Writes one batch, or looks one up; answers in the batch's order, one answer an operation.
pub trait Flush: Send + Sync + 'static {
    type Op: Send + Sync + 'static;
    type Answer: Send + 'static;

    /// How long the lane goes on trying once the database is unavailable.
    const PATIENCE: Duration = Duration::from_secs(8);

    /// Bytes of an operation; batches are cut where these come to more than [`MAX_BATCH_BYTES`].
    fn weight(_operation: &Self::Op) -> usize {
        0
    }

    /// Repeating a batch whose answer was lost must be harmless.
    fn flush(&self, batch: &[Self::Op]) -> impl Future<Output = Result<Vec<Self::Answer>, sqlx::Error>> + Send;
}

/// Why an operation was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LaneError {
    #[error("the database is unavailable")]
    Unavailable,
    /// The operation itself was refused; its neighbours in the batch were not.
    #[error("the database refused the write: {0}")]
    Refused(Arc<sqlx::Error>),
}

type Entry<F> = (<F as Flush>::Op, oneshot::Sender<Result<<F as Flush>::Answer, LaneError>>);

/// The sending side of a lane; cheap to clone. The lane ends with its last sender.
#[derive(Debug)]
pub struct Lane<F: Flush>(mpsc::Sender<Entry<F>>);

impl<F: Flush> Clone for Lane<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Flush> Lane<F> {
    /// Starts the lane's task. `max_batch` bounds one statement; four times as
    /// many operations may wait, then callers do.
    #[must_use]
    pub fn start(flush: F, max_batch: usize) -> Self {
        let (sender, receiver) = mpsc::channel(max_batch * 4);
        tokio::spawn(run(flush, receiver, max_batch));
        Self(sender)
    }

    /// Waits until the operation is durable and gives its answer. The operation
    /// is written even if the caller stops waiting.
    ///
    /// # Errors
    /// See [`LaneError`].
    pub async fn write(&self, op: F::Op) -> Result<F::Answer, LaneError> {
        let (sender, receiver) = oneshot::channel();
        self.0.send((op, sender)).await.map_err(|_| LaneError::Unavailable)?;
        receiver.await.map_err(|_| LaneError::Unavailable)?
    }
}

async fn run<F: Flush>(flush: F, mut receiver: mpsc::Receiver<Entry<F>>, max_batch: usize) {
    let mut entries = Vec::with_capacity(max_batch);
    while receiver.recv_many(&mut entries, max_batch).await > 0 {
        while !entries.is_empty() {
            let (ops, waiters): (Vec<_>, Vec<_>) = entries.drain(..fitting::<F>(&entries)).unzip();
            for (waiter, answer) in waiters.into_iter().zip(answers(&flush, &ops).await) {
                // A caller that went away needs no answer; its write stands.
                drop(waiter.send(answer));
            }
        }
    }
}

/// How many of the first entries go into one batch: at least one.
fn fitting<F: Flush>(entries: &[Entry<F>]) -> usize {
    let mut bytes = 0;
    let fits = |(op, _): &&Entry<F>| {
        bytes += F::weight(op);
        bytes <= MAX_BATCH_BYTES
    };
    entries.iter().take_while(fits).count().max(1)
}

async fn answers<F: Flush>(flush: &F, ops: &[F::Op]) -> Vec<Result<F::Answer, LaneError>> {
    match persist(flush, ops).await {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(LaneError::Refused(error)) if ops.len() > 1 => {
            // One bad row must not take its neighbours with it.
            warn!(%error, batch = ops.len(), "a batch was refused; writing its operations one by one");
            let mut answers = Vec::with_capacity(ops.len());
            for op in ops {
                answers.push(match persist(flush, std::slice::from_ref(op)).await {
                    Ok(mut one) => one.pop().ok_or(LaneError::Unavailable),
                    Err(error) => Err(error),
                });
            }
            answers
        }
        Err(error) => ops.iter().map(|_| Err(error.clone())).collect(),
    }
}

async fn persist<F: Flush>(flush: &F, ops: &[F::Op]) -> Result<Vec<F::Answer>, LaneError> {
    let mut give_up = None;
    loop {
        let error = match super::bounded(super::ANSWER_WITHIN, flush.flush(ops)).await {
            Ok(answers) => return Ok(answers),
            Err(error) if !super::is_unavailable(&error) => return Err(LaneError::Refused(Arc::new(error))),
            Err(error) => error,
        };
        // From the first failure: a silence is long by itself, and the next connection may be good.
        let now = tokio::time::Instant::now();
        if now >= *give_up.get_or_insert(now + F::PATIENCE) {
            warn!(%error, "gave up writing a batch: the database is unavailable");
            return Err(LaneError::Unavailable);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
