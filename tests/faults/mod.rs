//! The fault bench: real processes and stores with a proxy between them, one file a family of faults.
//!
//! A fault is a function over a [`bench::Bench`]. Each has a test of its own, in a
//! short form, and `soak` mixes them all for as long as it is told to. After each
//! run one checker ([`checker`]) holds what must be true whatever died: by the rows
//! of Postgres and by the provider's own log, never by what the program says.

mod api_killed;
mod bench;
mod checker;
mod clock_off;
mod disk_full;
mod everything_killed;
mod guards;
mod honest;
mod hostile_agency;
mod ledger_check;
mod load;
mod poison;
mod postgres;
mod postgres_gone;
mod provider;
mod provider_faults;
mod proxy;
pub mod random;
mod redis_gone;
mod rolling;
mod soak;
mod stranger;
mod tickets;
mod worker_killed;
mod worker_paused;
