//! Which tasks get a ticket next, and which lost theirs.
//!
//! Postgres holds the backlog; Redis holds a shallow window of what should run next.
//! `task_queue.dispatched_at` says where a task is: null in the backlog, a time in the
//! window or in a worker's hands, infinity where it waits for something else.

pub mod store;

use crate::queue::Ticket;

/// What one look at the backlog came to.
#[derive(Debug)]
pub struct Dispatched {
    /// In the order in which they should run.
    pub tickets: Vec<Ticket>,
    /// Others could have gone if there had been room.
    pub more: bool,
    /// Some wait because a limit is reached: they go when a task ends.
    pub held: bool,
}
