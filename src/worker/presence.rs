//! The worker says that it is there, and learns how many can run with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::running::Running;
use crate::{db, tasks::workers};

/// Three beats are missed before a worker counts as gone.
const BEAT: Duration = Duration::from_secs(4);

/// Beats until stopped, then takes the worker off the list. `capacity` is set to the
/// tasks that all workers can have in flight.
pub async fn run(
    pool: PgPool,
    name: String,
    concurrency: usize,
    running: Running,
    capacity: Arc<AtomicU32>,
    stop: CancellationToken,
) {
    let concurrency = i32::try_from(concurrency).unwrap_or(i32::MAX);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = beat.tick() => {}
        }
        let tasks = i32::try_from(running.len()).unwrap_or(i32::MAX);
        match db::bounded(BEAT, workers::beat(&pool, &name, concurrency, tasks)).await {
            Ok(total) => capacity.store(u32::try_from(total).unwrap_or(u32::MAX), Ordering::Relaxed),
            Err(error) => warn!(%error, "could not say that this worker is there"),
        }
    }
    if let Err(error) = db::bounded(BEAT, workers::leave(&pool, &name)).await {
        warn!(%error, "could not take this worker off the list");
    }
}
