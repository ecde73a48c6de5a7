//! From the backlog in Postgres to the window in Redis. Every worker does this; one at a
//! time does it for all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::signals::Signals;
use crate::{
    db,
    queue::Tickets,
    tasks::{dispatch, waking},
};

/// How late a task may be whose time has come, or that was made ready without a word.
const TICK: Duration = Duration::from_millis(250);
/// Waiting tasks that go on at one tick.
const WAKE_AT_MOST: i32 = 1_000;
/// Lost tickets, leases that ran out and places for what was set aside are looked for at every second tick.
const LOOK_EVERY: u32 = 2;
/// Passes follow one another no faster: what changes meanwhile shares the next.
const BREATH: Duration = Duration::from_millis(5);
/// As long as this a ticket may be on its way to a claim before it counts as lost.
const GRACE_MS: i32 = 2_000;
/// Tickets that wait at most, however many workers there are: what comes later waits
/// behind them.
const WIDEST: u32 = 2_000;
const NARROWEST: u32 = 4;

/// What the dispatcher needs.
#[derive(Debug)]
pub struct Dispatcher {
    pub pool: PgPool,
    pub tickets: Tickets,
    pub signals: Arc<Signals>,
    /// Tasks that all workers can have in flight.
    pub capacity: Arc<AtomicU32>,
    /// The operator's limit on tasks of one agency at once.
    pub agency_limit: Option<i32>,
    /// With this claim a task runs beside no other that has but one.
    pub alone_from: i32,
}

#[derive(Debug, thiserror::Error)]
enum DispatchError {
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
}

impl Dispatcher {
    /// Runs until stopped. A failure is logged and tried again at the next tick.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks: u32 = 0;
        // With Redis away no row may be marked as dispatched.
        let mut redis_answers = false;
        loop {
            let (ticked, look) = tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {
                    ticks = ticks.wrapping_add(1);
                    (true, ticks % LOOK_EVERY == 1)
                }
                () = self.signals.woken() => (false, false),
            };
            let done = async {
                if ticked {
                    db::bounded(db::ANSWER_WITHIN, waking::wake(&self.pool, WAKE_AT_MOST)).await?;
                }
                if look {
                    db::bounded(db::ANSWER_WITHIN, waking::admit(&self.pool, self.alone_from)).await?;
                }
                if look || !redis_answers {
                    self.reclaim(redis_answers).await?;
                }
                self.pass().await
            };
            // A Redis that stalls must not hold up the end; what was marked is found by a peer.
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = done => done,
            };
            match done {
                Ok(()) => redis_answers = true,
                Err(error) => {
                    warn!(%error, "could not dispatch due tasks");
                    redis_answers &= !matches!(error, DispatchError::Redis(_));
                }
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// As many tickets may wait as tasks can run: then what comes new waits for about one
    /// task's time, and a free place still finds work.
    fn window(&self) -> u32 {
        self.capacity.load(Ordering::Relaxed).clamp(NARROWEST, WIDEST)
    }

    /// Puts back into the backlog what lost its ticket, or its worker.
    async fn reclaim(&self, redis_answered: bool) -> Result<(), DispatchError> {
        let look = self.tickets.look().await?;
        // After a loss nothing is on its way any more.
        let grace = if look.remembers && redis_answered { GRACE_MS } else { 0 };
        let reclaimed = db::bounded(db::ANSWER_WITHIN, dispatch::reclaim(&self.pool, &look.waiting, grace)).await?;
        if reclaimed > 0 {
            info!(reclaimed, "tasks without a ticket or a live lease are dispatched again");
        }
        Ok(())
    }

    async fn pass(&self) -> Result<(), DispatchError> {
        let window = self.window();
        let Some(found) =
            db::bounded(db::ANSWER_WITHIN, dispatch::dispatch(&self.pool, window.cast_signed(), self.agency_limit))
                .await?
        else {
            // A peer is at it, and may have looked before a task came in.
            self.signals.wake();
            return Ok(());
        };
        self.signals.left(found.held, found.more);
        self.tickets.permit(if found.more { 0 } else { window }).await?;
        if found.tickets.is_empty() {
            return Ok(());
        }
        self.tickets.push(&found.tickets).await?;
        debug!(dispatched = found.tickets.len(), more = found.more, held = found.held, "filled the window");
        if found.more {
            // An agency gets no more than its turn in one go, though there may be room left.
            self.signals.wake();
        }
        Ok(())
    }
}
