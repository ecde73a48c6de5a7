//! Finished tickets are dropped from Redis: apalis keeps them for ever. Every worker does this.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::queue::Tickets;

const EVERY: Duration = Duration::from_secs(2);

/// Runs until stopped. A failure is logged and tried again at the next tick.
pub async fn run(tickets: Tickets, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = tickets.prune().await {
            warn!(%error, "could not prune finished tickets");
        }
    }
}
