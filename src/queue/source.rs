//! The apalis storage that workers pull tickets from.

use std::time::Duration;

use apalis::prelude::{BackendExt, PollWith, Strategy};
use apalis_redis::{Config, RedisStorage};
use redis::aio::ConnectionManager;

use super::{QUEUE, Ticket, Wake};

/// A worker that was killed is noticed after HEARTBEAT x MISSED; its tickets come
/// back then. Tasks do not wait for that: their leases are in Postgres.
const HEARTBEAT: Duration = Duration::from_secs(5);
const MISSED: usize = 6;
/// Polling without a bell, for the time that the wake channel is away.
const POLL: Duration = Duration::from_secs(1);

pub type Storage = PollWith<RedisStorage<Ticket, ConnectionManager>, Strategy>;

/// A storage for one registration of a worker. One ticket a fetch: a larger batch
/// would keep tickets from idle peers and starve the heartbeat. No locks: they
/// cost O(backlog) a ticket, and the claim in Postgres is what decides.
#[must_use]
pub fn storage(connection: ConnectionManager, wake: &Wake) -> Storage {
    let config = Config::default()
        .queue(QUEUE)
        .batch_size(1)
        .lock_tasks(false)
        .emit_events(false)
        .heartbeat_interval(HEARTBEAT)
        .missed_heartbeats(MISSED);
    RedisStorage::new(connection)
        .with_config(config)
        .poll_with_strategy(Strategy::new().stream(wake.stream()).interval(POLL))
}
