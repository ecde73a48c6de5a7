//! What handlers and dispatcher tell one another.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// The window is filled again each time this part of the worker's own share was taken.
const REFILL_PART: usize = 4;

/// What the handlers tell the dispatcher, so that it acts when there is something to do.
#[derive(Debug)]
pub struct Signals {
    /// Shared with the bell that rings when the API left a task to us.
    wake: Arc<Notify>,
    more: AtomicBool,
    held: AtomicBool,
    taken: AtomicUsize,
    refill_after: usize,
}

impl Signals {
    #[must_use]
    pub fn new(wake: Arc<Notify>, concurrency: usize) -> Self {
        let refill_after = (concurrency / REFILL_PART).max(1);
        Self { wake, more: false.into(), held: false.into(), taken: 0.into(), refill_after }
    }

    /// A ticket left the window.
    pub fn taken(&self) {
        if self.more.load(Ordering::Relaxed) && self.taken.fetch_add(1, Ordering::Relaxed) + 1 >= self.refill_after {
            self.taken.store(0, Ordering::Relaxed);
            self.wake.notify_one();
        }
    }

    /// A task ended: where a limit held others back, one of them may go.
    pub fn freed(&self) {
        if self.held.load(Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    /// What a pass left: tasks that a limit holds back, and tasks for which the window has no room.
    pub fn left(&self, held: bool, more: bool) {
        self.held.store(held, Ordering::Relaxed);
        self.more.store(more, Ordering::Relaxed);
    }

    /// The dispatcher looks again.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until the dispatcher has something to do.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_dispatcher_is_woken_only_for_what_it_left() {
        let wake = Arc::new(Notify::new());
        let signals = Signals::new(Arc::clone(&wake), 8);
        let rang = || wake.notified().now_or_never().is_some();
        signals.taken();
        signals.taken();
        signals.freed();
        assert!(!rang(), "nothing was left");
        signals.more.store(true, Ordering::Relaxed);
        signals.taken();
        assert!(!rang(), "a part of the window is full");
        signals.taken();
        assert!(rang());
        signals.held.store(true, Ordering::Relaxed);
        signals.freed();
        assert!(rang());
    }
}
