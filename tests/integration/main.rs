//! Store and whole tests against real Postgres and Redis.

mod agents;
mod auth;
mod fixture;
mod frame;
mod secrets;
mod support;
mod teams;
mod way_of_a_task;
