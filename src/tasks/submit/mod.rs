//! From a request to a durable row and a ticket.
//!
//! - [`new_task`]: what is asked for
//! - [`submitter`]: a recipe, its variant and checked inputs become a row
//! - [`submission`]: the row, and its write
//! - [`batch`]: rows that are written together
//! - [`room`]: how many tasks an agency can have
//! - [`retry`]: a finished task once more
//! - [`recipes`]: which recipe a name means
//! - [`variant`]: which version a run under test is given
//! - [`push`]: tickets for what was written

mod batch;
mod error;
mod new_task;
mod push;
mod recipes;
mod retry;
mod room;
pub mod submission;
mod submitter;
mod variant;

pub use error::SubmitError;
pub use new_task::NewTask;
pub use retry::RetryError;
pub use submitter::{Prepared, Submitter};
