//! Store and whole tests against real Postgres and Redis.
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
