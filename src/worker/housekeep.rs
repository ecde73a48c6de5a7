//! What is done for all agencies every few minutes: cycles rolled forward, old rows dropped.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{db, tasks::housekeeping};

const EVERY: Duration = Duration::from_mins(5);
/// A database that says nothing must not hold it up for ever.
const WITHIN: Duration = Duration::from_mins(5);
/// Tasks deleted in one statement; between two of them others get their turn.
const PRUNE_BATCH: i32 = 500;

/// Runs until stopped. A failure is logged and tried again at the next turn.
pub async fn run(pool: PgPool, retention_days: u32, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = db::bounded(WITHIN, housekeeping::housekeep(&pool)).await {
            warn!(%error, "housekeeping failed");
        }
        super::keep::events(&pool).await;
        match db::bounded(WITHIN, prune(&pool, retention_days, &stop)).await {
            Ok(0) => {}
            Ok(pruned) => info!(pruned, "deleted finished tasks that were kept long enough"),
            Err(error) => warn!(%error, "could not delete old tasks"),
        }
    }
}

/// Deletes what is old, batch by batch. Gives how many tasks went.
async fn prune(pool: &PgPool, retention_days: u32, stop: &CancellationToken) -> Result<i64, sqlx::Error> {
    let days = i32::try_from(retention_days).unwrap_or(i32::MAX);
    let mut pruned = 0;
    while !stop.is_cancelled() {
        let batch = housekeeping::prune(pool, days, PRUNE_BATCH).await?;
        pruned += i64::from(batch);
        if batch < PRUNE_BATCH {
            break;
        }
    }
    Ok(pruned)
}
