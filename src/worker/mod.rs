//! The worker: apalis pulls tickets, tasks are claimed and run, leases are kept
//! alive, and what fell through is dispatched again.
//!
//! - [`handler`]: one ticket, from claim to outcome
//! - [`running`]: the tasks that this process holds
//! - [`heartbeat`]: extends leases, hears cancellations, lets go of what is lost
//! - [`reconcile`]: new tickets for what is due, and housekeeping
//! - [`keep`]: partitions of events, and what was kept long enough
//! - [`monitor`]: the supervised apalis workers and the orderly end

mod handler;
mod heartbeat;
mod keep;
mod monitor;
mod reconcile;
mod running;

pub use monitor::{Worker, run};
