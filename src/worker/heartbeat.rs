//! Keeps leases alive, hears of cancellations, and lets go of what is lost.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, channel::mpsc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::running::Running;
use crate::{db, engine::StopReason, tasks::lease};

/// How soon a cancellation is heard at the latest; sooner by the bell.
const CANCEL_POLL: Duration = Duration::from_millis(500);

/// Beats four times a lease (every 15 s of 60). Without a success for two thirds
/// of the lease (40 s of 60) the tasks are let go, which a database that says nothing
/// must not hold up.
pub async fn run(
    pool: PgPool,
    running: Running,
    lease_seconds: u32,
    mut bell: mpsc::Receiver<()>,
    stop: CancellationToken,
) {
    let lease = Duration::from_secs(u64::from(lease_seconds));
    let mut beat = tokio::time::interval(lease / 4);
    let mut listen = tokio::time::interval(CANCEL_POLL);
    for ticker in [&mut beat, &mut listen] {
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => extend(&pool, &running, lease_seconds, lease / 4).await,
            _ = listen.tick() => cancellations(&pool, &running, lease / 4).await,
            Some(()) = bell.next() => cancellations(&pool, &running, lease / 4).await,
        }
        let dropped = running.drop_unconfirmed(lease * 2 / 3);
        if dropped > 0 {
            warn!(dropped, "let go of tasks whose lease could not be confirmed");
        }
    }
}

async fn extend(pool: &PgPool, running: &Running, lease_seconds: u32, within: Duration) {
    let (ids, epochs) = running.claims();
    if ids.is_empty() {
        return;
    }
    let seconds = i32::try_from(lease_seconds).unwrap_or(i32::MAX);
    match db::bounded(within, lease::heartbeat(pool, &ids, &epochs, seconds)).await {
        Ok(held) => running.confirm(&ids, &held.into_iter().collect::<HashMap<_, _>>()),
        Err(error) => warn!(%error, tasks = ids.len(), "a heartbeat failed"),
    }
}

async fn cancellations(pool: &PgPool, running: &Running, within: Duration) {
    let (ids, _) = running.claims();
    if ids.is_empty() {
        return;
    }
    // A failure is the heartbeat's to report.
    for id in db::bounded(within, lease::cancel_requests(pool, &ids)).await.unwrap_or_default() {
        running.stop(id, StopReason::Cancelled);
    }
}
