//! Makes the tasks of the schedules whose time has come. Every worker does this.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    db,
    tasks::{schedules, submit::Submitter},
};

const TICK: Duration = Duration::from_secs(1);
/// A database that says nothing must not hold it up for ever.
const WITHIN: Duration = Duration::from_mins(1);

/// Runs until stopped. A failure is logged and tried again at the next tick.
pub async fn run(pool: PgPool, submitter: Submitter, stop: CancellationToken) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = db::bounded(WITHIN, schedules::fire::fire_due(&pool, &submitter, &stop)).await {
            warn!(%error, "could not see to the schedules that are due");
        }
    }
}
