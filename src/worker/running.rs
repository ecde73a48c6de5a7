//! The tasks that this process holds.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use crate::engine::{StopReason, StopSignal};

/// Shared by the handler, which adds and removes, and the heartbeat.
#[derive(Debug, Clone, Default)]
pub struct Running {
    tasks: Arc<Mutex<HashMap<Uuid, Held>>>,
    claiming: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct Held {
    epoch: i64,
    stop: StopSignal,
    confirmed: Instant,
}

/// Removes the task from the table when its run is over, however it ends.
#[derive(Debug)]
pub struct Guard {
    running: Running,
    id: Uuid,
    epoch: i64,
}

/// A claim that was asked for and not yet answered.
#[derive(Debug)]
pub struct Claiming(Running);

impl Drop for Claiming {
    fn drop(&mut self) {
        self.0.claiming.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut tasks = self.running.lock();
        // A later claim of the same task may be in this process already.
        if tasks.get(&self.id).is_some_and(|held| held.epoch == self.epoch) {
            tasks.remove(&self.id);
        }
        drop(tasks);
        self.running.changed.notify_waiters();
    }
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Held>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be held from before a claim is asked for until its task is held.
    #[must_use]
    pub fn claiming(&self) -> Claiming {
        self.claiming.fetch_add(1, Ordering::SeqCst);
        Claiming(self.clone())
    }

    /// Takes a claimed task in.
    #[must_use]
    pub fn hold(&self, id: Uuid, epoch: i64) -> (Guard, StopSignal) {
        let stop = StopSignal::default();
        let held = Held { epoch, stop: stop.clone(), confirmed: Instant::now() };
        if let Some(older) = self.lock().insert(id, held) {
            older.stop.stop(StopReason::LeaseLost);
        }
        (Guard { running: self.clone(), id, epoch }, stop)
    }

    /// Ids and epochs, in step with each other.
    #[must_use]
    pub fn claims(&self) -> (Vec<Uuid>, Vec<i64>) {
        self.lock().iter().map(|(id, held)| (*id, held.epoch)).unzip()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn stop(&self, id: Uuid, reason: StopReason) {
        if let Some(held) = self.lock().get(&id) {
            held.stop.stop(reason);
        }
    }

    pub fn stop_all(&self, reason: StopReason) {
        for held in self.lock().values() {
            held.stop.stop(reason);
        }
    }

    /// Takes in a heartbeat's answer: what is not in it is lost.
    pub fn confirm(&self, asked: &[Uuid], held: &HashMap<Uuid, bool>) {
        let now = Instant::now();
        let mut tasks = self.lock();
        for id in asked {
            let Some(task) = tasks.get_mut(id) else { continue };
            match held.get(id) {
                None => task.stop.stop(StopReason::LeaseLost),
                Some(true) => task.stop.stop(StopReason::Cancelled),
                Some(false) => task.confirmed = now,
            }
        }
    }

    /// Lets go of tasks whose lease was not confirmed for so long that another
    /// worker may hold them. Monotonic time: a wrong wall clock does no harm.
    pub fn drop_unconfirmed(&self, longer_than: Duration) -> usize {
        let mut dropped = 0;
        for held in self.lock().values() {
            if held.confirmed.elapsed() > longer_than && held.stop.reason().is_none() {
                held.stop.stop(StopReason::LeaseLost);
                dropped += 1;
            }
        }
        dropped
    }

    /// Waits until nothing runs and no claim is on its way, at most so long.
    pub async fn drained(&self, at_most: Duration) -> bool {
        self.becomes(at_most, || self.len() == 0 && !self.is_claiming()).await
    }

    /// Waits until no claim is on its way, at most so long.
    pub async fn claimed(&self, at_most: Duration) -> bool {
        self.becomes(at_most, || !self.is_claiming()).await
    }

    fn is_claiming(&self) -> bool {
        self.claiming.load(Ordering::SeqCst) > 0
    }

    async fn becomes(&self, at_most: Duration, so: impl Fn() -> bool) -> bool {
        tokio::time::timeout(at_most, async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if so() {
                    return;
                }
                changed.await;
            }
        })
        .await
        .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_heartbeat_that_does_not_name_a_task_lets_it_go() {
        let running = Running::default();
        let (kept, lost, cancelled) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let signals: Vec<_> = [kept, lost, cancelled].iter().map(|id| running.hold(*id, 1)).collect();
        running.confirm(&[kept, lost, cancelled], &HashMap::from([(kept, false), (cancelled, true)]));
        let reasons: Vec<_> = signals.iter().map(|(_, signal)| signal.reason()).collect();
        assert_eq!(reasons, [None, Some(StopReason::LeaseLost), Some(StopReason::Cancelled)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_without_a_confirmed_lease_is_let_go() {
        let running = Running::default();
        let (_guard, signal) = running.hold(Uuid::from_u128(1), 1);
        tokio::time::advance(Duration::from_secs(39)).await;
        assert_eq!(running.drop_unconfirmed(Duration::from_secs(40)), 0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(running.drop_unconfirmed(Duration::from_secs(40)), 1);
        assert_eq!(signal.reason(), Some(StopReason::LeaseLost));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_on_its_way_is_waited_for() {
        let running = Running::default();
        let claiming = running.claiming();
        assert!(!running.drained(Duration::from_secs(1)).await, "its task would be left to its lease");
        assert!(!running.claimed(Duration::from_secs(1)).await);
        let (guard, _signal) = running.hold(Uuid::from_u128(1), 1);
        drop(claiming);
        assert!(running.claimed(Duration::from_secs(1)).await);
        assert!(!running.drained(Duration::from_secs(1)).await);
        drop(guard);
        assert!(running.drained(Duration::from_secs(1)).await);
    }

    #[tokio::test]
    async fn an_older_guard_leaves_a_newer_claim_alone() {
        let running = Running::default();
        let (old, old_signal) = running.hold(Uuid::from_u128(1), 1);
        let (_new, new_signal) = running.hold(Uuid::from_u128(1), 2);
        drop(old);
        assert_eq!(running.len(), 1);
        assert_eq!(old_signal.reason(), Some(StopReason::LeaseLost));
        assert_eq!(new_signal.reason(), None);
    }
}
