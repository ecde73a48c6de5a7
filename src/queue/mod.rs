//! Tickets over apalis-redis: "look at this task now". Redis may lose them all;
//! the dispatcher makes new ones from Postgres.
//!
//! The structures in Redis belong to apalis-redis 1.0.0, which is pinned exactly;
//! a contract test holds this map. `{teamai}` is the queue's name, braces
//! included, so that a cluster keeps all of them in one slot.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{teamai}:active` | list | dispatch ids that wait for a worker |
//! | `{teamai}:data` | hash | dispatch id to ticket, JSON |
//! | `{teamai}:meta:<id>` | hash | `attempts`, `max_attempts`, `status`, `result` |
//! | `{teamai}:inflight:<worker>` | set | ids that a worker holds |
//! | `{teamai}:done`, `{teamai}:dead` | sets | finished ids, which nobody trims but [`prune`] |
//! | `{teamai}:workers` | sorted set | workers by last heartbeat |
//! | `{teamai}:scheduled` | sorted set | what failed there; dropped, as more than 8,000 due ids stop a worker |
//! | `{teamai}:wake` | channel | ours: rings when tickets were pushed |
//! | `{teamai}:backlog` | channel | ours: rings when a task was left to the dispatcher |
//! | `{teamai}:window` | string | ours: tickets that may wait before the API pushes none |
//! | `{teamai}:memory` | string | ours: is gone once Redis lost what it held |
//! | `{teamai}:cancel` | channel | ours: rings when a running task is to be cancelled |
//! | `{teamai}:workers:metadata:<worker>` | hash | what a worker is, for consoles |
//! | `core:apalis:queues:list` | sorted set | the queue's name |
//!
//! A key of another type, or a ticket that is none, is dropped: our own scripts look at what
//! they use, and [`Tickets::mend`] at the rest whenever an apalis worker ended with an error.

mod mend;
mod push;
mod redis_pool;
mod source;
mod wake;
mod window;

use serde::{Deserialize, Serialize};

use crate::base::TaskId;

pub use push::{Depth, Tickets};
pub use redis_pool::connect;
pub use source::{Storage, storage};
pub use wake::Wake;
pub use window::{Admission, Look};

/// The queue's name in Redis.
pub const QUEUE: &str = "{teamai}";
/// The channel that rings when tickets were pushed.
pub const WAKE_CHANNEL: &str = "{teamai}:wake";
/// The channel that rings when a task that is due was left to the dispatcher.
pub const BACKLOG_CHANNEL: &str = "{teamai}:backlog";
/// The channel that rings when somebody asked for a running task to be cancelled.
pub const CANCEL_CHANNEL: &str = "{teamai}:cancel";

/// What travels through Redis. Never trusted: tenant and epoch come from the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub task_id: TaskId,
    /// New for each dispatch: apalis passes over an id that it has seen done.
    pub dispatch_id: uuid::Uuid,
}
