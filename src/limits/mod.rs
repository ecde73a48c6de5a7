//! How many requests a caller may make: counted in Redis for all processes, in
//! slices, so that a busy caller costs a question now and then and not one a request.
//!
//! - [`limiter`]: who passes, and who has to wait
//! - [`bucket`]: whose requests are counted
//! - [`shared`]: the count in Redis
//! - [`local`]: the count of this process, for the time that Redis is away
//! - [`slice`]: what a caller has been given and not yet used
//!
//! Why it is so: `docs/decisions/0006-rate-limits.md`.

mod bucket;
mod limiter;
mod local;
mod shared;
mod slice;
#[cfg(test)]
mod tests;

pub use limiter::{Access, Limiter, Refused};
