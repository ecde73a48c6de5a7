//! The window: how many tickets may wait in Redis, and who may add to it.
//!
//! The dispatcher, in the workers, fills it from the backlog by turns among agencies.
//! While nothing that could run is left there, it lets the API push tickets of what
//! is submitted at once, up to the window's size; else a new task takes its turn.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicI64, Ordering},
};

use redis::{RedisError, Script};
use uuid::Uuid;

use super::{
    BACKLOG_CHANNEL,
    push::{Tickets, key, script},
};

/// Without a word from a dispatcher for so long, the API pushes nothing: there is nobody to run it.
const PERMISSION_MS: u64 = 3_000;

/// Longer no list of tickets that wait can be: each process adds to it up to a window.
const LONGEST: u32 = 100_000;
/// And none lets the API push more than this before it asks again.
const MOST_ROOM: i64 = 10_000;

/// KEYS: window, active, backlog channel. ARGV: 1 to wake the dispatchers.
static ROOM: LazyLock<Script> = LazyLock::new(|| {
    script(
        "keep(KEYS[1], 'string')
         keep(KEYS[2], 'list')
         if ARGV[1] == '1' then redis.call('PUBLISH', KEYS[3], '1') end
         return (tonumber(redis.call('GET', KEYS[1])) or 0) - redis.call('LLEN', KEYS[2])",
    )
});

/// KEYS: memory, active. ARGV: how long the list can be. A list that had to go is a loss.
static LOOK: LazyLock<Script> = LazyLock::new(|| {
    script(
        "local remembers = redis.call('EXISTS', KEYS[1])
         if keep(KEYS[2], 'list') == 1 then remembers = 0 end
         if redis.call('LLEN', KEYS[2]) > tonumber(ARGV[1]) then
           redis.call('UNLINK', KEYS[2])
           remembers = 0
         end
         redis.call('SET', KEYS[1], '1')
         return {remembers, redis.call('LRANGE', KEYS[2], 0, -1)}",
    )
});

/// What Redis has of the tickets.
#[derive(Debug)]
pub struct Look {
    /// False at the first look after Redis lost its memory.
    pub remembers: bool,
    /// Dispatch ids of the tickets that wait, in their order.
    pub waiting: Vec<Uuid>,
}

/// How many tickets this process may push before it asks again; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Admission(Arc<AtomicI64>);

impl Admission {
    /// Whether one more ticket may be pushed at once. Takes the place.
    #[must_use]
    pub fn take(&self) -> bool {
        let taken = |places: i64| (places > 0).then(|| places - 1);
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    /// Takes in what [`Tickets::room`] said.
    pub fn set(&self, places: i64) {
        self.0.store(places, Ordering::Relaxed);
    }
}

impl Tickets {
    /// How many tickets the API may push: none while the dispatcher has a backlog. Wakes
    /// the dispatchers first where a task was `left` to them.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn room(&self, left: bool) -> Result<i64, RedisError> {
        let mut call = ROOM.prepare_invoke();
        call.key(key("window")).key(key("active")).key(BACKLOG_CHANNEL).arg(i32::from(left));
        let room: i64 = call.invoke_async(&mut self.0.clone()).await?;
        Ok(room.min(MOST_ROOM))
    }

    /// The dispatcher's word on what the API may push: up to `window` waiting tickets, or none.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn permit(&self, window: u32) -> Result<(), RedisError> {
        redis::cmd("SET")
            .arg(key("window"))
            .arg(window)
            .arg("PX")
            .arg(PERMISSION_MS)
            .exec_async(&mut self.0.clone())
            .await
    }

    /// What waits, and whether Redis still knows what it was given. Once it is asked,
    /// it remembers again.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn look(&self) -> Result<Look, RedisError> {
        let mut call = LOOK.prepare_invoke();
        call.key(key("memory")).key(key("active")).arg(LONGEST);
        let (remembers, waiting): (bool, Vec<Vec<u8>>) = call.invoke_async(&mut self.0.clone()).await?;
        Ok(Look { remembers, waiting: waiting.iter().filter_map(|id| Uuid::try_parse_ascii(id).ok()).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;

    #[test]
    fn as_many_are_admitted_as_there_are_places() {
        let admission = Admission::default();
        assert!(!admission.take(), "nobody said yet that there is room");
        admission.set(2);
        assert_eq!([admission.take(), admission.take(), admission.take()], [true, true, false]);
        admission.set(-5);
        assert!(!admission.take());
    }
}
