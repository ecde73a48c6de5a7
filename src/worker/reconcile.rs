//! Tasks for the schedules, and finished tickets dropped. Every worker does this; rows that a
//! peer is at are skipped.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    db,
    queue::Tickets,
    tasks::{schedules, submit::Submitter},
};

const TICK: Duration = Duration::from_secs(1);
const PRUNE_EVERY: u32 = 2;
const FIRE_WITHIN: Duration = Duration::from_secs(60);

/// Runs until stopped. A failure is logged and tried again at the next tick.
pub async fn run(pool: PgPool, tickets: Tickets, submitter: Submitter, stop: CancellationToken) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks: u32 = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        ticks = ticks.wrapping_add(1);
        if let Err(error) = db::bounded(FIRE_WITHIN, schedules::fire::fire_due(&pool, &submitter)).await {
            warn!(%error, "could not see to the schedules that are due");
        }
        if ticks.is_multiple_of(PRUNE_EVERY)
            && let Err(error) = tickets.prune().await
        {
            warn!(%error, "could not prune finished tickets");
        }
    }
}
