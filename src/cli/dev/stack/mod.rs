//! A private Postgres and Redis as child processes, for `dev`, `demo`, `bench` and the tests.
//!
//! The children listen on free loopback ports with random passwords and end with
//! this process, however it ends: see [`watchdog`].

pub mod account;
pub mod keys;
mod options;
mod place;
mod postgres;
mod redis;
mod running;
mod server;
#[cfg(test)]
mod tests;
mod watchdog;

pub use options::Options;
pub use running::{DATABASE, Stack, program};
