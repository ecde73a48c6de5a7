//! The worker: apalis pulls tickets, tasks are claimed and run, leases are kept
//! alive, and what fell through is dispatched again.
//!
//! - [`handler`]: one ticket, from claim to outcome
//! - [`running`]: the tasks that this process holds
//! - [`heartbeat`]: extends leases, hears cancellations, lets go of what is lost
//! - [`reconcile`]: new tickets for what is due
//! - [`scheduler`]: tasks for the schedules whose time has come
//! - [`housekeep`]: cycles rolled forward, old rows dropped
//! - [`monitor`]: the supervised apalis workers and the orderly end

mod handler;
mod heartbeat;
mod housekeep;
mod monitor;
mod reconcile;
mod running;
mod scheduler;

pub use monitor::{Worker, run};
