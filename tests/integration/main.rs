//! Whole tests: the real API on a real Postgres and Redis, one file a topic or fault.

mod agents;
mod auth;
mod frame;
mod secrets;
mod support;
mod teams;
