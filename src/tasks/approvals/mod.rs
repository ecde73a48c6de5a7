//! Questions to people, and their decisions.
//!
//! - [`approval`]: what is asked, and who may answer
//! - [`decide`]: a decision
//! - [`store`]: reading questions, and writing decisions

mod approval;
mod decide;
pub mod store;

pub use approval::{Approval, Asker};
pub use decide::{DecideError, Verdict, decide};
