//! Why and when a run stops before its end.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it: the task ends as `cancelled`.
    Cancelled,
    /// Another worker may hold the task: nothing more is written.
    LeaseLost,
    /// This worker ends: the task is handed back.
    Shutdown,
}

/// Stops one run; the first reason counts. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    token: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

impl StopSignal {
    pub fn stop(&self, reason: StopReason) {
        // Only the first reason is kept; a later one finds the run stopping already.
        drop(self.reason.set(reason));
        self.token.cancel();
    }

    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    /// Waits for the signal.
    pub async fn stopped(&self) -> StopReason {
        self.token.cancelled().await;
        self.reason().unwrap_or(StopReason::Shutdown)
    }
}
