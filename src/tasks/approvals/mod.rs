//! Questions to people, and their decisions.
//!
//! - [`approval`]: what is asked, and who may answer
//! - [`decide`]: a decision
//! - [`questions`]: reading what is asked

mod approval;
mod decide;
pub mod questions;

pub use approval::{Approval, Asker};
pub use decide::{DecideError, Verdict, decide};
