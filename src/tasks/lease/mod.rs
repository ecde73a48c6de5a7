//! Who holds a task: the claim, its heartbeat, and handing it back.
pub mod store;
pub use store::{ClaimFlush, Claimed};
