//! The worker: apalis pulls tickets, tasks are claimed and run, leases are kept
//! alive, and what fell through is dispatched again.
//!
//! - [`handler`]: one ticket, from claim to outcome
//! - [`running`]: the tasks that this process holds
//! - [`heartbeat`]: extends leases, hears cancellations, lets go of what is lost
//! - [`dispatch`]: tickets for what is due, by turns among agencies, and for what lost its own
//! - [`presence`]: says that the worker is there
//! - [`reconcile`] keeps house
//! - [`monitor`]: the supervised apalis workers and the orderly end

mod dispatch;
mod handler;
mod heartbeat;
mod monitor;
mod presence;
mod reconcile;
mod running;

pub use monitor::{Worker, run};
