//! Store and whole tests: the real API and worker on a real Postgres and Redis, one file a topic or fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "the helpers are tests too")]

mod agents;
mod auth;
mod dev_is_killed;
mod fixture;
mod frame;
mod secrets;
mod support;
mod teams;
mod way_of_a_task;
