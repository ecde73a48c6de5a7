//! New tickets for what is due. Every worker does this; rows that a peer is at are
//! skipped.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    queue::{Ticket, Tickets},
    tasks::lease,
};

const TICK: Duration = Duration::from_secs(1);
const PRUNE_EVERY: u32 = 2;
/// Tickets that may wait in Redis before no more are added: the backlog is in
/// Postgres, Redis holds what should run next.
const READY_WINDOW: u64 = 2_000;
/// A due row whose last ticket is older than this lost it.
const REDISPATCH_SECONDS: i32 = 15;

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
        match dispatch(&pool, &tickets).await {
            Ok(0) => {}
            Ok(dispatched) => info!(dispatched, "dispatched due tasks again"),
            Err(error) => warn!(%error, "could not dispatch due tasks"),
        }
        if ticks.is_multiple_of(PRUNE_EVERY)
            && let Err(error) = tickets.prune().await
        {
            warn!(%error, "could not prune finished tickets");
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum DispatchError {
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
}

/// Fills the ready window from Postgres. Gives how many tickets were pushed.
async fn dispatch(pool: &PgPool, tickets: &Tickets) -> Result<usize, DispatchError> {
    // Asked first: with Redis away no row may be marked as dispatched.
    let waiting = tickets.depth().await?.waiting;
    let room = i32::try_from(READY_WINDOW.saturating_sub(waiting)).unwrap_or(0);
    if room == 0 {
        return Ok(0);
    }
    let due: Vec<Ticket> = lease::store::due(pool, room, REDISPATCH_SECONDS)
        .await?
        .into_iter()
        .map(|(task_id, dispatch_id)| Ticket { task_id, dispatch_id })
        .collect();
    tickets.push(&due).await?;
    Ok(due.len())
}
