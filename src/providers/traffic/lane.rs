//! The pace of one key: how many calls at once, and from when on after a 429.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

/// Where a provider does not say how long to wait: doubled with each 429 in a row.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
const MOST_DOUBLINGS: u32 = 5;

/// How a call waits for its turn.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub longest: Duration,
    /// Whether a key that the provider slowed down is waited for. Not, where another
    /// model can be asked at once.
    pub for_limits: bool,
}

/// One key of one provider.
#[derive(Debug)]
pub struct Lane {
    pace: Mutex<Pace>,
    /// Passed from one that waits to the next: whoever leaves the queue, or frees a place, wakes one.
    free: Notify,
}

#[derive(Debug)]
struct Pace {
    in_flight: u32,
    /// Calls at once; halved by a 429, and one more with each answer.
    limit: u32,
    /// What the operator allows.
    most: u32,
    not_before: Option<Instant>,
    refusals: u32,
}

/// Why a call may not leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The provider slowed the key; for how long still.
    Slowed(Duration),
    /// So many calls are in flight, as many as the operator allows.
    Full(u32),
}

/// A place among the calls in flight; free again when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<Lane>);

impl Lane {
    pub fn new(most: Option<u32>) -> Self {
        let most = most.unwrap_or(u32::MAX);
        let pace = Pace { in_flight: 0, limit: most, most, not_before: None, refusals: 0 };
        Self { pace: Mutex::new(pace), free: Notify::new() }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is lost by forgetting it.
    pub fn rests(&self) -> bool {
        let pace = self.pace();
        pace.in_flight == 0 && pace.limit == pace.most && pace.not_before.is_none_or(|then| then <= Instant::now())
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// There is none in the time that `patience` allows.
    pub async fn enter(self: &Arc<Self>, patience: Patience) -> Result<Place, Closed> {
        if let Some(place) = self.try_enter() {
            return Ok(place);
        }
        let give_up = Instant::now() + patience.longest;
        let _queued = Queued(self);
        loop {
            let freed = self.free.notified();
            if let Some(place) = self.try_enter() {
                return Ok(place);
            }
            match self.waits_until() {
                Some(then) if !patience.for_limits || then > give_up => {
                    return Err(Closed::Slowed(then - Instant::now()));
                }
                Some(then) => sleep_until(then).await,
                None => {
                    let closed = self.closed();
                    let waits = patience.for_limits || matches!(closed, Closed::Full(_));
                    if !waits || timeout_at(give_up, freed).await.is_err() {
                        return Err(closed);
                    }
                }
            }
        }
    }

    fn try_enter(self: &Arc<Self>) -> Option<Place> {
        let mut pace = self.pace();
        if pace.in_flight >= pace.limit || pace.not_before.is_some_and(|then| then > Instant::now()) {
            return None;
        }
        pace.in_flight += 1;
        Some(Place(Arc::clone(self)))
    }

    fn waits_until(&self) -> Option<Instant> {
        self.pace().not_before.filter(|then| *then > Instant::now())
    }

    fn closed(&self) -> Closed {
        let pace = self.pace();
        if pace.limit < pace.most { Closed::Slowed(FIRST_WAIT) } else { Closed::Full(pace.most) }
    }
}

impl Place {
    pub fn answered(&self) {
        let mut pace = self.0.pace();
        pace.refusals = 0;
        // Every answer makes room for one call more: the pace doubles with each round.
        pace.limit = if pace.limit >= pace.most.min(FREE) { pace.most } else { pace.limit + 1 };
        drop(pace);
        self.0.free.notify_one();
    }

    pub fn slow_down(&self, after: Option<Duration>) {
        let mut pace = self.0.pace();
        let wait = after.unwrap_or_else(|| FIRST_WAIT * 2_u32.pow(pace.refusals.min(MOST_DOUBLINGS)));
        let then = Instant::now() + wait;
        // Calls that left together are refused together, and that is one refusal.
        if pace.not_before.is_none_or(|before| before <= Instant::now()) {
            pace.refusals += 1;
            pace.limit = (pace.in_flight / 2).clamp(1, pace.most);
        }
        pace.not_before = Some(pace.not_before.map_or(then, |before| before.max(then)));
    }
}

/// A slowed key that is back at so many calls at once is slowed no more.
const FREE: u32 = 1_024;

impl Drop for Place {
    fn drop(&mut self) {
        self.0.pace().in_flight -= 1;
        self.0.free.notify_one();
    }
}

/// One that waits. However it leaves, the next may look.
struct Queued<'a>(&'a Lane);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.free.notify_one();
    }
}
