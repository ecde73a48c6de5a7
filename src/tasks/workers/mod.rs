//! The processes that run tasks, as they say themselves every few seconds.

pub mod standstill;
pub mod store;

use chrono::{DateTime, Utc};

pub use standstill::Standstill;

/// A worker that was not heard of for longer counts as gone.
pub const GONE_AFTER_SECONDS: i32 = 15;

/// A worker as an agency sees it.
#[derive(Debug)]
pub struct Worker {
    pub name: String,
    /// Tasks that it can have in flight.
    pub concurrency: i32,
    pub started_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
    /// Whether it was heard of lately.
    pub alive: bool,
    /// The agency's own tasks that it runs.
    pub running: i64,
}
