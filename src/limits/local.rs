//! The count of this process alone, for the time that Redis is away.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::bucket::{Bucket, Sized};

/// Each process gives out this part of a limit, so that a few of them together stay within it.
const SHARE: u32 = 4;
const MINUTE: Duration = Duration::from_mins(1);
/// Buckets that are full again are dropped when there are so many.
const MANY: usize = 10_000;

/// By bucket, when it will be full again.
#[derive(Debug, Default)]
pub struct Local(Mutex<HashMap<Bucket, Instant>>);

impl Local {
    /// Takes from all buckets or from none.
    ///
    /// # Errors
    /// How long it takes until enough is there.
    pub fn take(&self, buckets: &[Sized], requests: u32) -> Result<(), Duration> {
        let mut full = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if full.len() > MANY {
            full.retain(|_, at| *at > now);
        }
        let after: Vec<_> = buckets
            .iter()
            .map(|(bucket, size)| {
                let at = full.get(bucket).copied().unwrap_or(now).max(now);
                let share = (size / SHARE).max(1);
                (*bucket, at + MINUTE * requests.min(share) / share)
            })
            .collect();
        let wait = after.iter().map(|(_, at)| at.duration_since(now).saturating_sub(MINUTE)).max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        full.extend(after);
        Ok(())
    }
}
