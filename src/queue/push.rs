//! Pushing tickets, and trimming what finished ones leave behind.
//!
//! Whoever pushes decides before that there is room: see [`super::window`].

use std::sync::LazyLock;

use redis::{RedisError, Script, aio::ConnectionManager};

use super::{CANCEL_CHANNEL, QUEUE, Ticket, WAKE_CHANNEL};
use crate::base::redis_type::KEEP;

/// apalis' own push goes through `:scheduled`, where a backlog stops the worker
/// (docs/decisions/0002). This one lays the same fields straight into `:active`.
/// KEYS: data, active, meta prefix, wake channel. ARGV: id and ticket by turns.
static PUSH: LazyLock<Script> = LazyLock::new(|| {
    script(
        "keep(KEYS[1], 'hash')
         keep(KEYS[2], 'list')
         for i = 1, #ARGV, 2 do
           redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
           redis.call('HSET', KEYS[3] .. ':' .. ARGV[i], 'attempts', 0, 'max_attempts', 1, 'status', 'Pending')
           redis.call('RPUSH', KEYS[2], ARGV[i])
         end
         redis.call('PUBLISH', KEYS[4], '1')
         return #ARGV / 2",
    )
});

/// KEYS: where finished ids are, data, meta prefix. ARGV: how many at most, the type of the first.
static PRUNE: LazyLock<Script> = LazyLock::new(|| {
    script(
        "keep(KEYS[1], ARGV[2])
         keep(KEYS[2], 'hash')
         local ids
         if ARGV[2] == 'set' then
           ids = redis.call('SPOP', KEYS[1], ARGV[1])
         else
           ids = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
           redis.call('ZREMRANGEBYRANK', KEYS[1], 0, ARGV[1] - 1)
         end
         for _, id in ipairs(ids) do
           redis.call('HDEL', KEYS[2], id)
           redis.call('UNLINK', KEYS[3] .. ':' .. id)
         end
         return #ids",
    )
});

/// Ids in one script call; Redis serves nobody else while it runs.
const BATCH: usize = 500;

/// Pushes and prunes tickets; cheap to clone.
#[derive(Clone)]
pub struct Tickets(pub(super) ConnectionManager);

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

/// How many tickets are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    pub waiting: u64,
    pub workers: u64,
}

impl Tickets {
    #[must_use]
    pub fn new(connection: ConnectionManager) -> Self {
        Self(connection)
    }

    /// Pushes tickets and rings the bell.
    ///
    /// # Errors
    /// Redis is away. The rows in Postgres are the outbox: nothing is lost.
    pub async fn push(&self, tickets: &[Ticket]) -> Result<(), RedisError> {
        let mut connection = self.0.clone();
        for batch in tickets.chunks(BATCH) {
            let mut call = PUSH.prepare_invoke();
            call.key(key("data")).key(key("active")).key(key("meta")).key(WAKE_CHANNEL);
            for ticket in batch {
                let body = serde_json::to_vec(ticket).map_err(|_| malformed())?;
                call.arg(ticket.dispatch_id.simple().to_string()).arg(body);
            }
            call.invoke_async::<u64>(&mut connection).await?;
        }
        Ok(())
    }

    /// Tells the workers to look for cancellations now, instead of at their next poll.
    ///
    /// # Errors
    /// Redis is away: they look by themselves within half a second.
    pub async fn ring_cancel(&self) -> Result<(), RedisError> {
        redis::cmd("PUBLISH").arg(CANCEL_CHANNEL).arg("1").exec_async(&mut self.0.clone()).await
    }

    /// Drops what finished tickets left behind, so that Redis' memory stays flat.
    /// Gives how many were dropped.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn prune(&self) -> Result<u64, RedisError> {
        let mut connection = self.0.clone();
        let mut pruned = 0;
        // What is scheduled are tickets whose handler panicked, or that were none: the row is the truth.
        for (of, kind) in [("done", "set"), ("dead", "set"), ("scheduled", "zset")] {
            loop {
                let n: u64 = PRUNE
                    .key(key(of))
                    .key(key("data"))
                    .key(key("meta"))
                    .arg(BATCH)
                    .arg(kind)
                    .invoke_async(&mut connection)
                    .await?;
                pruned += n;
                if n < BATCH as u64 {
                    break;
                }
            }
        }
        Ok(pruned)
    }

    /// Tickets that wait, and workers that are registered.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn depth(&self) -> Result<Depth, RedisError> {
        let (waiting, workers) = redis::pipe()
            .cmd("LLEN")
            .arg(key("active"))
            .cmd("ZCARD")
            .arg(key("workers"))
            .query_async(&mut self.0.clone())
            .await?;
        Ok(Depth { waiting, workers })
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), RedisError> {
        redis::cmd("PING").query_async(&mut self.0.clone()).await
    }
}

/// A script that can `keep` keys to their type.
pub(super) fn script(body: &str) -> Script {
    Script::new(&format!("{KEEP}{body}"))
}

pub(super) fn key(part: &str) -> String {
    format!("{QUEUE}:{part}")
}

fn malformed() -> RedisError {
    RedisError::from(std::io::Error::new(std::io::ErrorKind::InvalidData, "a ticket could not be written as JSON"))
}
