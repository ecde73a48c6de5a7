//! The count in Redis: a bucket is the one time at which it would be full again (GCRA).

use std::{sync::LazyLock, time::Duration};

use redis::{RedisError, Script, aio::ConnectionManager};

use super::bucket::{Bucket, Sized};
use crate::base::redis_type::KEEP;

/// Takes from all buckets or from none, by Redis' own clock, in microseconds.
/// KEYS: buckets. ARGV: needed, wanted, then the size of each bucket.
/// Gives {granted, 0} or {0, microseconds to wait}. A bucket that holds no time that could
/// have been given is full.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    let take = "local minute = 60000000
         local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         local need, grant, wait = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
         local full = {}
         for i, key in ipairs(KEYS) do
           local each = minute / tonumber(ARGV[i + 2])
           keep(key, 'string')
           local at = tonumber(redis.call('GET', key) or 0)
           if not (at and at <= now + 2 * minute) then at = now end
           full[i] = math.max(at, now)
           local available = math.floor((now + minute - full[i]) / each + 0.000001)
           if available < need then
             wait = math.max(wait, full[i] + need * each - now - minute)
           end
           grant = math.min(grant, available)
         end
         if wait > 0 then return {0, math.ceil(wait)} end
         for i, key in ipairs(KEYS) do
           local at = full[i] + grant * minute / tonumber(ARGV[i + 2])
           redis.call('SET', key, string.format('%.3f', at), 'PX', math.ceil((at - now) / 1000) + 1)
         end
         return {grant, 0}";
    Script::new(&format!("{KEEP}{take}"))
});

/// What Redis says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// At least as many as were needed.
    Granted(u32),
    /// Enough will be there after this.
    Refused(Duration),
}

pub struct Shared(ConnectionManager);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    pub fn new(redis: ConnectionManager) -> Self {
        Self(redis)
    }

    /// Takes up to `want`, and not fewer than `need`, from every bucket.
    pub async fn take(&self, buckets: &[Sized], need: u32, want: u32) -> Result<Answer, RedisError> {
        let mut call = TAKE.prepare_invoke();
        call.arg(need).arg(want);
        for (bucket, size) in buckets {
            call.key(key(*bucket)).arg(*size);
        }
        let (granted, micros): (u32, u64) = call.invoke_async(&mut self.0.clone()).await?;
        Ok(if granted >= need { Answer::Granted(granted) } else { Answer::Refused(Duration::from_micros(micros)) })
    }
}

/// In the slot of the queue's keys, so that one script may touch both buckets in a cluster.
fn key(bucket: Bucket) -> String {
    match bucket {
        Bucket::Caller(id) => format!("{{teamai}}:limit:caller:{}", id.simple()),
        Bucket::Agency(id) => format!("{{teamai}}:limit:agency:{}", id.simple()),
        Bucket::Address(address) => format!("{{teamai}}:limit:address:{address}"),
    }
}
