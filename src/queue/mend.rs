//! What is in Redis and is not ours, or not what we put there, is dropped: it would stop
//! whoever takes it. The tasks are in Postgres, and get new tickets.

use std::sync::LazyLock;

use redis::{RedisError, Script};

use super::push::{Tickets, key, script};

/// apalis' list of all queues, which each worker adds its own to.
const QUEUES: &str = "core:apalis:queues:list";

/// KEYS: active, data, meta prefix, workers, inflight prefix, done, dead, scheduled. Gives
/// how much was dropped. Of the ids that wait, or are with a worker and would come back
/// from it, those stay that are as PUSH laid them.
static MEND: LazyLock<Script> = LazyLock::new(|| {
    script(
        r#"local active, data, meta, workers, inflight = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
         local dropped = keep(active, 'list') + keep(data, 'hash') + keep(workers, 'zset')
           + keep(KEYS[6], 'set') + keep(KEYS[7], 'set') + redis.call('UNLINK', KEYS[8])
         local uuid = ('%x'):rep(8) .. '%-' .. (('%x'):rep(4) .. '%-'):rep(3) .. ('%x'):rep(12)
         local form = '^{"task_id":"' .. uuid .. '","dispatch_id":"(' .. uuid .. ')"}$'
         local function is_whole(id)
           local own = meta .. ':' .. id
           keep(own, 'hash')
           local found = redis.call('HMGET', own, 'attempts', 'max_attempts', 'status')
           local ticket = string.match(redis.call('HGET', data, id) or '', form)
           if ticket and ticket:gsub('%-', '') == id and redis.call('HLEN', own) == 3
              and found[1] == '0' and found[2] == '1' and found[3] == 'Pending' then
             return true
           end
           redis.call('HDEL', data, id)
           redis.call('UNLINK', own)
           return false
         end
         for _, worker in ipairs(redis.call('ZRANGE', workers, 0, -1)) do
           local held = inflight .. ':' .. worker
           dropped = dropped + keep(held, 'set') + keep(workers .. ':metadata:' .. worker, 'hash')
           for _, id in ipairs(redis.call('SMEMBERS', held)) do
             if not is_whole(id) then dropped = dropped + redis.call('SREM', held, id) end
           end
         end
         local waiting, whole = redis.call('LRANGE', active, 0, -1), {}
         for _, id in ipairs(waiting) do
           if is_whole(id) then whole[#whole + 1] = id end
         end
         if #whole < #waiting then
           redis.call('UNLINK', active)
           for first = 1, #whole, 500 do
             redis.call('RPUSH', active, unpack(whole, first, math.min(first + 499, #whole)))
           end
         end
         return dropped + #waiting - #whole"#,
    )
});

/// A slot of its own in a cluster, so that it has a script of its own.
static MEND_QUEUES: LazyLock<Script> = LazyLock::new(|| script("return keep(KEYS[1], 'zset')"));

impl Tickets {
    /// Drops what stops a worker: keys of another type, and tickets that are none. Gives how many.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn mend(&self) -> Result<u64, RedisError> {
        let mut connection = self.0.clone();
        let mut call = MEND.prepare_invoke();
        for part in ["active", "data", "meta", "workers", "inflight", "done", "dead", "scheduled"] {
            call.key(key(part));
        }
        let of_the_queue: u64 = call.invoke_async(&mut connection).await?;
        let of_all: u64 = MEND_QUEUES.key(QUEUES).invoke_async(&mut connection).await?;
        Ok(of_the_queue + of_all)
    }
}
