//! Who of a run's nodes is at work and who waits, so that the worker can let go of
//! a task of which nothing can go on.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::base::random;

/// A pause before the next try that is at least this long is not sat out on the worker.
pub const LET_GO_FROM: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(1);

/// When a run looks again whether there is room. So far apart that of two, each with what the
/// other needs, one has gone on before the other is back.
pub fn come_back() -> Duration {
    SOON + 5 * SOON.mul_f64(random::bytes::<1>().map_or(1.0, |[byte]| f64::from(byte) / 255.0))
}

/// The nodes of one run, each item of a `for_each` counted by itself.
#[derive(Debug, Default)]
pub struct Rest {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Begun and not ended, asleep or not.
    begun: usize,
    asleep: HashMap<u64, Nap>,
    next: u64,
}

/// What a node waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nap {
    /// Its next try at this time.
    Until(Instant),
    /// Somebody's answer or another task, at most until then.
    News(Instant),
}

impl Nap {
    fn end(self) -> Instant {
        match self {
            Self::Until(end) | Self::News(end) => end,
        }
    }
}

/// A node at work, until it is dropped.
#[derive(Debug)]
pub struct Begun<'a>(&'a Rest);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.state().begun -= 1;
        self.0.changed.notify_waiters();
    }
}

#[derive(Debug)]
struct Asleep<'a> {
    rest: &'a Rest,
    id: u64,
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.rest.state().asleep.remove(&self.id);
    }
}

impl Rest {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a node as at work.
    #[must_use]
    pub fn begin(&self) -> Begun<'_> {
        self.state().begun += 1;
        Begun(self)
    }

    /// Sleeps for so long. Whoever calls this has begun, holds no open call, and can be
    /// dropped meanwhile: all that it needs to go on is written.
    pub async fn sleep(&self, nap: Nap, at_most: Duration) {
        let asleep = {
            let mut state = self.state();
            state.next += 1;
            let id = state.next;
            state.asleep.insert(id, nap);
            Asleep { rest: self, id }
        };
        self.changed.notify_waiters();
        tokio::time::sleep_until(nap.end().min(Instant::now() + at_most)).await;
        drop(asleep);
    }

    /// Waits until all that has begun is asleep and none of it wakes up soon.
    /// Gives how long the task may be left alone.
    pub async fn settled(&self) -> Duration {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(end) = self.state().quiet(Instant::now()) {
                return end.saturating_duration_since(Instant::now());
            }
            changed.await;
        }
    }
}

impl State {
    fn quiet(&self, now: Instant) -> Option<Instant> {
        if self.asleep.len() < self.begun {
            return None;
        }
        let soon = self.asleep.values().any(|nap| matches!(nap, Nap::Until(end) if *end < now + LET_GO_FROM));
        if soon { None } else { self.asleep.values().map(|nap| nap.end()).min() }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn settles_when_all_are_asleep_and_none_wakes_up_soon() {
        let rest = Rest::default();
        let (_one, two) = (rest.begin(), rest.begin());
        let now = Instant::now();
        let mut long = rest.sleep(Nap::Until(now + 60 * SECOND), 600 * SECOND).boxed();
        assert!(long.as_mut().now_or_never().is_none());
        assert!(rest.settled().now_or_never().is_none(), "another is at work");
        let mut short = rest.sleep(Nap::Until(now + 2 * SECOND), 600 * SECOND).boxed();
        assert!(short.as_mut().now_or_never().is_none());
        assert!(rest.settled().now_or_never().is_none(), "one wakes up soon");
        drop(short);
        drop(two);
        assert_eq!(rest.settled().now_or_never(), Some(60 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn news_are_waited_for_elsewhere_however_near_their_end() {
        let rest = Rest::default();
        let _one = rest.begin();
        let nap = rest.sleep(Nap::News(Instant::now() + SECOND), 600 * SECOND).boxed().now_or_never();
        assert!(nap.is_none());
        assert!(rest.settled().now_or_never().is_none(), "nobody sleeps: the future was dropped");
        let mut nap = rest.sleep(Nap::News(Instant::now() + SECOND), 600 * SECOND).boxed();
        assert!(nap.as_mut().now_or_never().is_none());
        assert_eq!(rest.settled().now_or_never(), Some(SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_nap_ends_at_its_time_and_the_node_is_at_work_again() {
        let rest = Rest::default();
        let _one = rest.begin();
        rest.sleep(Nap::News(Instant::now() + 60 * SECOND), 2 * SECOND).await;
        assert!(rest.settled().now_or_never().is_none());
    }
}
