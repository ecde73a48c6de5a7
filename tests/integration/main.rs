//! Whole tests: the real API on a real Postgres and Redis, one file a topic or fault.

mod auth;
mod frame;
mod support;
