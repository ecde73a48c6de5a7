//! The worker: apalis pulls tickets, tasks are claimed and run, leases are kept
//! alive, and what fell through is dispatched again.
//!
//! - [`handler`]: one ticket, from claim to outcome
//! - [`running`]: the tasks that this process holds
//! - [`heartbeat`]: extends leases, hears cancellations, lets go of what is lost
//! - [`dispatch`]: tickets for what is due, by turns among agencies, and for what lost its own
//! - [`signals`]: what handlers and dispatcher tell one another
//! - [`presence`]: says that the worker is there
//! - [`prune`]: finished tickets dropped
//! - [`scheduler`]: tasks for the schedules whose time has come
//! - [`housekeep`]: cycles rolled forward, old rows dropped
//! - [`keep`]: partitions of events, and what was kept long enough
//! - [`monitor`]: the supervised apalis workers and the orderly end

mod dispatch;
mod handler;
mod heartbeat;
mod housekeep;
mod keep;
mod monitor;
mod presence;
mod prune;
mod running;
mod scheduler;
mod signals;

pub use monitor::{Worker, run};
