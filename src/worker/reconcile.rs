//! Housekeeping: what finished tickets and days that are over leave behind. Every worker does this.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{queue::Tickets, tasks::lease};

const TICK: Duration = Duration::from_secs(1);
const PRUNE_EVERY: u32 = 2;
const HOUSEKEEP_EVERY: u32 = 300;

/// Runs until stopped. A failure is logged and tried again at the next tick.
pub async fn run(pool: PgPool, tickets: Tickets, stop: CancellationToken) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks: u32 = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        ticks = ticks.wrapping_add(1);
        if ticks.is_multiple_of(PRUNE_EVERY)
            && let Err(error) = tickets.prune().await
        {
            warn!(%error, "could not prune finished tickets");
        }
        if ticks % HOUSEKEEP_EVERY == 1
            && let Err(error) = lease::store::housekeep(&pool).await
        {
            warn!(%error, "housekeeping failed");
        }
    }
}
