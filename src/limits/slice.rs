//! What callers were given and have not used yet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::bucket::Bucket;

/// What is not used within this is given up.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// The largest slice, whatever the limit.
const LARGEST: u32 = 1_000;
/// No slice is larger than this part of the limit.
const PART: u32 = 50;
/// Callers that were not seen lately are dropped when there are so many.
const MANY: usize = 10_000;

#[derive(Debug, Default)]
pub struct Slices(Mutex<HashMap<Bucket, Arc<Held>>>);

impl Slices {
    pub fn of(&self, bucket: Bucket) -> Arc<Held> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = all.get(&bucket) {
            return Arc::clone(held);
        }
        if all.len() >= MANY {
            all.retain(|_, held| !held.is_stale());
        }
        Arc::clone(all.entry(bucket).or_default())
    }
}

/// One caller's slice.
#[derive(Debug, Default)]
pub struct Held {
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    left: u32,
    /// How many the slice had.
    of: u32,
    given_at: Option<Instant>,
    refused_until: Option<Instant>,
}

/// What became of a request that needed nobody to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Granted,
    /// Too many a moment ago, and not long enough since.
    Refused(Duration),
}

impl Held {
    /// `None` if somebody has to be asked.
    pub fn take(&self, requests: u32) -> Option<Taken> {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(until) = state.refused_until.filter(|until| now < *until) {
            return Some(Taken::Refused(until - now));
        }
        let good = state.given_at.is_some_and(|at| now < at + GOOD_FOR);
        if !good || state.left < requests {
            return None;
        }
        state.left -= requests;
        Some(Taken::Granted)
    }

    /// Only who has the turn asks.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// How many to ask for: twice as many where the last slice did not last, else
    /// as many as were used of it, so that little is given up.
    pub fn next_slice(&self, limit: u32) -> u32 {
        let state = self.lock();
        let lasted = state.given_at.is_none_or(|at| at.elapsed() >= GOOD_FOR);
        let next = if lasted { state.of - state.left } else { state.of.saturating_mul(2) };
        next.clamp(1, (limit / PART).clamp(1, LARGEST))
    }

    pub fn refill(&self, left: u32, of: u32) {
        *self.lock() = State { left, of, given_at: Some(Instant::now()), refused_until: None };
    }

    /// Refuses without asking, for at most as long as a slice is good.
    pub fn refuse(&self, wait: Duration) {
        self.lock().refused_until = Some(Instant::now() + wait.min(GOOD_FOR));
    }

    fn is_stale(&self) -> bool {
        let state = self.lock();
        let now = Instant::now();
        state.given_at.is_none_or(|at| now >= at + GOOD_FOR) && state.refused_until.is_none_or(|until| now >= until)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
